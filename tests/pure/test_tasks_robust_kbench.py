"""robust-kbench folders in both directions."""

import json

import pytest

from assay.core.sources import TaskFormat
from assay.errors import InputError, TaskError
from assay.tasks.listing import list_tasks
from assay.tasks.load import load_task

PROGRAM = """import torch
import torch.nn as nn

def forward_fn(x, w):
    return x * w

class Model(nn.Module):
    def __init__(self, width, style="plain"):
        super().__init__()
        self.w = nn.Parameter(torch.ones(width))

    def forward(self, x, fn=forward_fn):
        return fn(x, self.w)

def get_inputs(batch=2, width=4):
    return [torch.randn(batch, width, requires_grad=True)]

input_names = ["x"]
"""
CONFIG = {
    "single_input_configs": [{"batch": 8}],
    "single_init_configs": [{"style": "bold", "unused": 1}],
    "single_shared_configs": [{"width": 16}],
    "multi_input_configs": [{"batch": 8}, {"batch": 32}, {}],
    "multi_init_configs": [{"style": "bold"}, {"style": "plain"}],
    "multi_shared_configs": [{"width": 16}],
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "scale"
    path.mkdir()
    for direction in ("forward", "backward"):
        (path / f"func_{direction}.py").write_text(PROGRAM)
        (path / f"config_{direction}.json").write_text(json.dumps(CONFIG))
    return path


def refused(spec, kind=TaskError):
    with pytest.raises(kind) as caught:
        load_task(spec)
    return caught.value


def test_a_folder_means_its_forward_task(folder):
    task = load_task(folder)
    text = task.files[0].text
    assert (task.name, task.format, task.entry) == ("scale", TaskFormat.ROBUST_KBENCH, "task.py:Model")
    assert text.startswith(PROGRAM)
    assert "'axes': {'batch': 8, 'width': 16}" in text
    assert "'workloads': [{}, {'batch': 32}]" in text
    assert "_ASSAY_INIT = {'style': 'bold', 'width': 16}" in text


def test_other_init_configurations_are_counted_in_a_note(folder):
    assert any("left out: 2 init" in note for note in load_task(folder).notes)


def test_backward_returns_gradients_for_an_incoming_one(folder):
    task = load_task(f"{folder}:backward")
    assert (task.name, task.entry) == ("scale_backward", "task.py:Backward")
    assert "def forward(self, x, grad_output):" in task.files[0].text


def test_a_workload_can_be_chosen(folder):
    assert load_task(folder, workload=1).overrides["workloads"] == [{"batch": 32}, {}]


def test_a_direction_that_is_not_there_lists_the_others(folder):
    (folder / "config_backward.json").unlink()
    assert refused(f"{folder}:backward", InputError).next_step == "it has: forward"


def test_numbered_folders_are_named_with_their_parent(folder):
    renamed = folder.rename(folder.parent / "task_7")
    assert load_task(renamed).name == f"{folder.parent.name}_task_7"


def test_a_broken_configuration_is_named_with_its_line(folder):
    (folder / "config_forward.json").write_text('{\n"single_input_configs": ]')
    error = refused(folder)
    assert "is not JSON" in error.what
    assert error.value.startswith("line 2")


def test_a_configuration_without_a_needed_list_is_refused(folder):
    (folder / "config_forward.json").write_text(json.dumps(CONFIG | {"single_init_configs": []}))
    assert "lacks single_init_configs" in refused(folder).what


def test_a_program_without_a_model_is_refused(folder):
    (folder / "func_forward.py").write_text("import torch\n")
    assert "lacks Model or get_inputs" in refused(folder).what


def test_a_folder_without_any_task_is_the_callers_mistake(tmp_path):
    assert "holds no task" in refused(tmp_path, InputError).what


def test_a_listing_shows_both_directions_once(folder):
    assert [item.name for item in list_tasks(folder.parent)] == ["scale", "scale_backward"]
