"""Model folders: what is written loads in a fresh process, and what is damaged, changed or unfit is said clearly."""

import json
import os
import resource
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from assay.checkpoints import Conversion, load_model, read_folder, write_folder
from assay.checkpoints.conversions import registry
from assay.errors import InputError, MachineError

SOURCE = """
from torch import nn

def make_model():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
"""
TIED = """
from torch import nn

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
    def forward(self, x):
        return self.second(self.first(x))

def make_model():
    return Tied()
"""


def model_of(source=SOURCE, seed=0):
    torch.manual_seed(seed)
    names = {}
    exec(source, names)
    return names["make_model"]().eval()


def set_line(folder, name, value):
    file = folder / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))


def test_a_folder_gives_the_same_outputs_in_a_fresh_process(tmp_path):
    model, inputs = model_of(), torch.randn(3, 4)
    write_folder(tmp_path / "model", SOURCE, model)
    torch.save(inputs, tmp_path / "inputs.pt")
    code = (
        "import sys, torch; from assay.checkpoints import load_model; "
        "print(load_model(sys.argv[1])(torch.load(sys.argv[2])).tolist())"
    )
    said = subprocess.run([sys.executable, "-c", code, tmp_path / "model", tmp_path / "inputs.pt"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert json.loads(said.stdout) == model(inputs).tolist()


def test_several_seeds_of_one_architecture_share_a_folder(tmp_path):
    models = {seed: model_of(seed=seed) for seed in (3, 11)}
    assert write_folder(tmp_path / "model", SOURCE, models).seeds == (3, 11)
    for seed, model in models.items():
        assert torch.equal(load_model(tmp_path / "model", seed)[0].weight, model[0].weight)
    assert torch.equal(load_model(tmp_path / "model")[0].weight, models[3][0].weight)
    with pytest.raises(InputError, match="seeds 3, 11"):
        load_model(tmp_path / "model", 4)


def test_tied_weights_are_stored_once_and_loaded_into_both(tmp_path):
    model = model_of(TIED)
    folder = write_folder(tmp_path / "model", TIED, model)
    assert folder.weights().stat().st_size < 2 * model.first.weight.nbytes + 500
    loaded = load_model(tmp_path / "model")
    assert torch.equal(loaded.second.weight, model.first.weight)
    assert loaded.second.weight.data_ptr() == loaded.first.weight.data_ptr()


def test_a_slice_of_a_larger_tensor_is_stored_as_large_as_it_is(tmp_path):
    model = model_of()
    large = torch.randn(1000, 4)
    model[0].weight = nn.Parameter(large[:8])
    write_folder(tmp_path / "model", SOURCE, model)
    assert torch.equal(load_model(tmp_path / "model")[0].weight, large[:8])
    assert (tmp_path / "model" / "weights.safetensors").stat().st_size < large.nbytes


def test_loading_leaves_torchs_random_numbers_alone(tmp_path):
    write_folder(tmp_path / "model", SOURCE, model_of())
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    load_model(tmp_path / "model")
    assert torch.equal(torch.rand(1), expected)


def test_conversions_are_done_in_order_before_weights_are_loaded(tmp_path, monkeypatch):
    def widen(model, settings):
        model[2] = nn.Linear(8, model[2].out_features + settings["by"])
        return model

    monkeypatch.setitem(registry.CONVERSIONS, "widen", widen)
    steps = (Conversion("widen", {"by": 1}), Conversion("widen", {"by": 2}))
    model = registry.apply_conversions(model_of(), steps)
    folder = write_folder(tmp_path / "model", SOURCE, model, steps)
    assert folder.conversions == steps
    assert torch.equal(load_model(tmp_path / "model")[2].weight, model[2].weight)
    assert model[2].out_features == 5


def test_an_unknown_conversion_is_refused_by_name(tmp_path):
    write_folder(tmp_path / "model", SOURCE, model_of())
    set_line(tmp_path / "model", "conversions", [{"name": "halve", "settings": {}}])
    with pytest.raises(InputError, match="halve"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.py", "weights.safetensors"])
def test_a_changed_or_missing_file_is_found_and_named(tmp_path, name):
    write_folder(tmp_path / "model", SOURCE, model_of())
    file = tmp_path / "model" / name
    file.write_bytes(file.read_bytes()[:-1] + b"~")
    for read in (read_folder, load_model):
        with pytest.raises(InputError, match=f"{name}: sha256"):
            read(tmp_path / "model")
    file.unlink()
    for read in (read_folder, load_model):
        with pytest.raises(InputError, match=f"{name}: No such file"):
            read(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("version", 2, "another version"),
        ("version", True, "another version"),
        ("schema", "assay-certificate", "not a model folder"),
        ("files", {"model.py": "0" * 64}, "damaged"),
        ("files", {"model.py": "0" * 64, "../weights.safetensors": "0" * 64}, "damaged"),
        ("files", {"model.py": 7, "weights.safetensors": "0" * 64}, "damaged"),
        ("conversions", [{"name": 3}], "damaged"),
        ("assay", None, "damaged"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(tmp_path, name, value, words):
    write_folder(tmp_path / "model", SOURCE, model_of())
    set_line(tmp_path / "model", name, value)
    with pytest.raises(InputError, match=words):
        read_folder(tmp_path / "model")


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a model folder"):
        read_folder(tmp_path)
    (tmp_path / "model.json").write_text("[")
    with pytest.raises(InputError, match="damaged"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SOURCE.replace("(8, 2)", "(8, 3)"), "size mismatch"),
        (SOURCE.replace("nn.BatchNorm1d(8)", "nn.ReLU()"), "1.running_mean is not of this model"),
        (SOURCE.replace("(8, 2)", "(8, 2, dtype=__import__('torch').float64)"), "2.weight is torch.float32"),
        (SOURCE.replace("return ", "raise OSError('no luck') #"), "no luck"),
        (SOURCE.replace("return ", "return 7 #"), "no nn.Module"),
        ("x = 1", "make_model"),
    ],
)
def test_a_folder_that_would_not_load_is_not_written(tmp_path, source, words):
    with pytest.raises(InputError, match=words):
        write_folder(tmp_path / "model", source, model_of())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_never_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    write_folder(tmp_path / "model", SOURCE, model_of(seed=1))
    with pytest.raises(InputError, match="never replaced"):
        write_folder(tmp_path / "model", SOURCE, model_of(seed=2))
    assert torch.equal(load_model(tmp_path / "model")[0].weight, model_of(seed=1)[0].weight)


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        with pytest.raises(MachineError, match="cannot be written"):
            write_folder(tmp_path / "model", SOURCE, model_of())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path):
    leftover = tmp_path / ".model.writing-1-abcd"
    leftover.mkdir()
    os.utime(leftover, (time.time() - 100,) * 2)
    write_folder(tmp_path / "model", SOURCE, model_of())
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_state_that_is_no_tensor_is_refused(tmp_path):
    class Counting(nn.Linear):
        def get_extra_state(self):
            return {"steps": 3}

    with pytest.raises(InputError, match="no tensor"):
        write_folder(tmp_path / "model", SOURCE, Counting(2, 2))
