"""A module of the user's own, named by its file and class: what is loaded, and what is said where it cannot be."""

import pytest

from assay.engineer.own_module import is_own_module, load_own_module
from assay.errors import InputError

GOOD = """
from helper import SIZE

class Model:
    def __init__(self, size=SIZE):
        self.size, self.training = size, True
    def eval(self):
        self.training = False
        return self

class NoModule: ...

def get_inputs():
    return [1.0, 2.0]
"""


def written(folder, text=GOOD):
    (folder / "helper.py").write_text("SIZE = 7\n")
    (folder / "own_model.py").write_text(text)
    return folder / "own_model.py"


def test_a_class_in_a_file_is_told_from_a_task():
    assert is_own_module("some/model.py:Model")
    assert not any(is_own_module(spec) for spec in ("model.py", "softmax", "model.py:", "folder:Model"))


def test_the_module_comes_in_eval_mode_with_its_inputs(tmp_path):
    module, inputs = load_own_module(f"{written(tmp_path)}:Model")
    assert (module.size, module.training, inputs) == (7, False, [1.0, 2.0])


def test_arguments_of_the_class_come_from_the_file(tmp_path):
    path = written(tmp_path, GOOD + "\ndef get_init_inputs():\n    return [9]\n")
    assert load_own_module(f"{path}:Model")[0].size == 9


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (GOOD, "Missing", "no such class"),
        (GOOD, "NoModule", "not an nn.Module"),
        (GOOD.replace("get_inputs", "inputs"), "Model", "no get_inputs"),
        (GOOD.replace("return [1.0", "raise OSError('no data') #"), "Model", "no data"),
        ("import no_such_package_anywhere", "Model", "no_such_package_anywhere"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(tmp_path, text, name, words):
    with pytest.raises(InputError) as raised:
        load_own_module(f"{written(tmp_path, text)}:{name}")
    assert words in f"{raised.value.what} {raised.value.value}"


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_own_module(f"{tmp_path}/none.py:Model")
