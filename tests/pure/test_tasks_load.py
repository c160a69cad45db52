"""The one door: builtins, profiles, workloads, overrides, modules and listings."""

import sys
from pathlib import Path

import pytest

from assay.core.sources import Task, TaskFormat
from assay.errors import InputError, TaskError
from assay.tasks.listing import list_tasks
from assay.tasks.load import builtin_names, load_task
from assay.tasks.modules import find_module

PROGRAM = """
'''Twice the input.'''
import torch
from torch import nn

TASK = {"family": "demo", "axes": {"n": 4}, "workloads": [{}, {"n": 8}, {"n": 16}]}

class Model(nn.Module):
    def forward(self, x):
        return x * 2

def get_inputs(n):
    return [torch.randn(n)]
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "twice.py"
    path.write_text(PROGRAM)
    return path


def refused(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        load_task(*args, **kwargs)
    return caught.value


def test_every_builtin_loads_under_its_name():
    for name in builtin_names():
        task = load_task(name)
        assert (task.name, task.format) == (name, TaskFormat.BUILTIN)
        assert Task.from_json(task.to_json()) == task


def test_a_misspelt_builtin_gets_close_matches():
    error = refused("sofmax")
    assert "softmax" in error.next_step
    assert "softmax" in refused("qqqqqqqq").next_step


def test_overrides_are_part_of_the_tasks_identity():
    changed = load_task("softmax", overrides={"weights": "frozen"})
    assert changed.overrides == {"weights": "frozen"}
    assert changed.identity != load_task("softmax").identity


def test_an_unknown_override_lists_the_known_ones():
    assert refused("softmax", overrides={"weigths": "frozen"}).rule.startswith("one of weights")
    assert "plain data" in refused("softmax", overrides={"axes": object()}).what


def test_a_chosen_workload_moves_to_the_front(program):
    assert load_task(program, workload=2).overrides["workloads"] == [{"n": 16}, {}, {"n": 8}]
    assert refused(program, workload=3).rule == "0 to 2 for twice"
    assert refused("softmax", workload=1).rule == "0 to 0 for softmax"


def test_computed_workloads_cannot_be_chosen_from(program):
    program.write_text(PROGRAM.replace("[{}, ", "[{}] * 2 + ["))
    with pytest.raises(TaskError, match="computed"):
        load_task(program, workload=1)


def test_only_kernelbench_tasks_scale():
    assert "scaled profile" in refused("softmax", profile="scaled").what
    assert "unknown profile" in refused("softmax", profile="tiny").what


def test_a_missing_path_is_named():
    assert refused("somewhere/absent.py").value == "somewhere/absent.py"


def test_a_module_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "layers.py").write_text(PROGRAM)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    task = load_task("shop.layers:Model")
    assert task.entry == "shop/layers.py:Model"
    assert [file.path for file in task.files] == ["shop/layers.py", "shop/__init__.py"]
    assert "shop" not in sys.modules


def test_a_single_module_takes_the_files_that_it_imports(tmp_path):
    (tmp_path / "alone.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("x = 1\n")
    found = find_module("alone", [str(tmp_path)])
    assert [file.path for file in found.others] == ["helper.py"]


def test_a_module_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no such module"):
        find_module("absent.module", [str(tmp_path)])
    assert "no such module" in refused("absent_module:Net").what
    assert "not a module's name" in refused("not a module:Net").what


def test_a_package_that_is_too_large_is_refused(tmp_path):
    package = tmp_path / "huge"
    package.mkdir()
    for number in range(401):
        (package / f"m{number}.py").touch()
    (package / "m0.py").write_text("x = 1\n")
    with pytest.raises(InputError, match="too large"):
        find_module("huge.m0", [str(tmp_path)])


def test_the_listing_of_builtins_has_families_and_summaries():
    listed = {item.name: item for item in list_tasks()}
    assert set(listed) == set(builtin_names())
    assert listed["softmax"].family == "softmax"
    assert all(item.summary and item.problem is None for item in listed.values())


def test_a_listing_of_a_folder_finds_tasks_and_tells_problems(program, tmp_path):
    (tmp_path / "broken.py").write_text("import torch\ndef get_inputs():\n    return [\n")
    (tmp_path / "notes.py").write_text("x = 1\n")
    (tmp_path / "data.json").write_text("{}")
    hidden = tmp_path / ".hidden"
    hidden.mkdir()
    (hidden / "twice.py").write_text(PROGRAM)
    listed = {item.name: item for item in list_tasks(tmp_path)}
    assert set(listed) == {"twice", "broken"}
    assert (listed["twice"].family, listed["twice"].summary) == ("demo", "Twice the input.")
    assert "is not Python" in listed["broken"].problem
    assert load_task(listed["twice"].spec).entry == "twice.py:Model"


def test_a_listing_of_nowhere_is_an_error():
    with pytest.raises(InputError, match="does not exist"):
        list_tasks(Path("/nowhere/at/all"))
