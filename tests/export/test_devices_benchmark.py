"""The benchmark's own parts: exact pruning, networks from files, and a report that shows what failed."""

import json

import pytest
import torch
from safetensors.torch import save_file

from assay.pruning.masks import keep_largest
from benchmarks.devices.networks import from_file, life_by_hand, life_module, life_patches
from benchmarks.devices.report import render

ROW = {"network": "net", "seed": 0, "bits": 8, "device": "cortex-m0plus", "decisions": 10, "right_in_pytorch": 9,
       "in_program": 5}  # fmt: skip
MEASURED = {"right": 8, "flash_bytes": 2000, "ram_bytes": 100, "instructions": 500.0, "cycles": 700.0,
            "estimated_joules": 2e-6, "estimated_cell_days": {"1440": 3652.5}}  # fmt: skip


def test_exactly_as_many_weights_are_kept_with_ties_too():
    sizes = {"first": torch.ones(3, 4), "second": torch.full((5,), 2.0)}
    everything = {name: torch.ones_like(each, dtype=torch.bool) for name, each in sizes.items()}
    masks = list(keep_largest(sizes, 7, everything).values())
    assert sum(int(mask.sum()) for mask in masks) == 7
    assert masks[1].all()
    assert masks[0].flatten().tolist() == [1, 1] + 10 * [0]


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_network_comes_from_a_file_with_all_its_weights(tmp_path, kind):
    state = life_by_hand(0).model.state_dict()
    path = tmp_path / f"life.{kind}"
    if kind == "json":
        path.write_text(json.dumps({name: values.tolist() for name, values in state.items()}))
    else:
        save_file(state, path)
    subject = life_patches(from_file(path, life_module()))
    with torch.no_grad():
        decided = (subject.model(subject.inputs) > 0.5).long()[:, 0]
    assert torch.equal(decided, subject.targets)
    with pytest.raises(RuntimeError):
        from_file(path, life_module(width=2))


def test_the_report_shows_means_ranges_and_failures():
    rows = [
        {**ROW, **MEASURED}, {**ROW, **MEASURED, "seed": 1, "right": 10, "flash_bytes": 3000},
        {**ROW, "bits": 32, "failed": "the program does not fit the device"},
    ]  # fmt: skip
    suite = {
        "results": rows,
        "settings": {"tools": {"gcc": "gcc 12"}},
        "complete": False,
        "finished": "now",
        "seconds": 90,
    }
    text = render({"file": {"machine": {"cpu_model": "a processor"}, "suites": {"devices": suite}}})
    assert "| net | int8 | 5 | 90.0% | 90.0% (80.0% to 100.0%) | 2,500 | 100 | 500 | 700 | 2 | 10.0 |" in text
    assert "- net, float: the program does not fit the device" in text
    assert "Cut short" in text
