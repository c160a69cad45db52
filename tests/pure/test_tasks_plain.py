"""Plain Python files become tasks, or say in one error what is missing."""

import pytest

from assay.core.sources import TaskFormat
from assay.errors import InputError, TaskError
from assay.tasks.load import load_task

MODEL = """
import torch
from torch import nn

class Model(nn.Module):
    def forward(self, x):
        return x.relu()
"""
INPUTS = """
def get_inputs():
    return [torch.randn(4, 4)]
"""


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="mine.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file


def refused(spec, kind=TaskError):
    with pytest.raises(kind) as caught:
        load_task(spec)
    return caught.value


def test_a_file_with_model_and_inputs_is_a_task(write):
    task = load_task(write(MODEL + INPUTS))
    assert (task.name, task.format, task.entry) == ("mine", TaskFormat.PLAIN, "mine.py:Model")
    assert task.files[0].text == MODEL + INPUTS


def test_the_only_module_class_is_taken_whatever_its_name(write):
    assert load_task(write(MODEL.replace("Model", "Net") + INPUTS)).entry == "mine.py:Net"


def test_a_class_that_derives_from_another_module_of_the_file_counts_as_one(write):
    text = MODEL + "\nclass Wide(Model):\n    pass\n" + INPUTS
    assert load_task(f"{write(text)}:Wide").entry == "mine.py:Wide"


def test_a_named_function_can_be_the_reference(write):
    text = "import torch\n\ndef relu(x):\n    return x.relu()\n\ndef other(x):\n    return x\n" + INPUTS
    assert load_task(f"{write(text)}:relu").entry == "mine.py:relu"


def test_several_module_classes_ask_for_a_name(write):
    text = MODEL.replace("Model", "One") + MODEL.replace("Model", "Two") + INPUTS
    error = refused(write(text))
    assert "several nn.Module classes" in error.what
    assert error.value == "One, Two"
    assert error.next_step.endswith("mine.py:One")


def test_an_unknown_class_lists_those_that_exist(write):
    error = refused(f"{write(MODEL + INPUTS)}:Modle")
    assert "defines no Modle" in error.what
    assert "Model" in error.next_step


def test_a_file_without_a_module_class_says_so(write):
    assert "no nn.Module class" in refused(write("import torch\n" + INPUTS)).what


def test_a_file_without_inputs_says_how_to_give_them(write):
    error = refused(write(MODEL))
    assert "inputs" in error.what
    assert "get_inputs" in error.next_step


def test_a_syntax_error_comes_with_its_line(write):
    error = refused(write("import torch\nclass Model(:\n"))
    assert "is not Python" in error.what
    assert error.value.startswith("line 2")


def test_constructor_arguments_need_get_init_inputs(write):
    text = MODEL.replace("def forward", "def __init__(self, width):\n        pass\n\n    def forward") + INPUTS
    error = refused(write(text))
    assert error.value == "__init__ needs width"
    assert load_task(write(text + "\ndef get_init_inputs():\n    return [3]\n")).entry.endswith("Model")


def test_arguments_of_get_inputs_must_be_axes(write):
    sized = MODEL + "\ndef get_inputs(rows, cols=4):\n    return [torch.randn(rows, cols)]\n"
    assert refused(write(sized)).value == "rows"
    assert load_task(write(sized + '\nTASK = {"axes": {"rows": 8}}\n')).entry == "mine.py:Model"


def test_example_inputs_become_a_get_inputs(write):
    task = load_task(write(MODEL + "\nexample_inputs = (torch.randn(2, 3),)\n"))
    assert "def get_inputs():" in task.files[0].text
    assert task.files[0].text.startswith(MODEL)


def test_example_inputs_by_name_are_refused(write):
    assert "is a dict" in refused(write(MODEL + '\nexample_inputs = {"x": torch.randn(2, 3)}\n')).what


@pytest.mark.parametrize(
    "line",
    [
        'device = "cuda"',
        'device = torch.device("cuda:0")',
        "seed = torch.zeros(1).cuda()",
        'def get_inputs():\n    return [torch.randn(4, 4, device="cuda")]',
        "def get_inputs():\n    return [torch.randn(4, 4).cuda()]",
    ],
)
def test_a_gpu_at_import_or_in_the_inputs_is_refused(write, line):
    error = refused(write(MODEL + INPUTS + "\n" + line + "\n"))
    assert "needs a GPU" in error.what
    assert error.value.startswith("line ")


@pytest.mark.parametrize(
    "line",
    [
        'device = "cuda" if torch.cuda.is_available() else "cpu"',
        'if torch.cuda.is_available():\n    device = "cuda"',
        'if __name__ == "__main__":\n    Model().cuda()',
        'def helper(x):\n    return x.to("cuda")',
        '"""cuda"""',
    ],
)
def test_a_gpu_that_is_optional_is_allowed(write, line):
    assert load_task(write(MODEL + INPUTS + "\n" + line + "\n")).entry == "mine.py:Model"


def test_a_file_named_like_a_library_is_sent_under_another_name(write):
    assert load_task(write(MODEL + INPUTS, "random.py")).entry == "task.py:Model"
    assert load_task(write(MODEL + INPUTS, "1-model.py")).entry == "task.py:Model"


def test_files_that_the_program_imports_travel_with_it(write):
    write("import deeper\n", "layers.py")
    write("SIZE = 3\n", "deeper.py")
    write("raise SystemExit\n", "unrelated.py")
    task = load_task(write("from layers import deeper\nimport json\n" + MODEL + INPUTS))
    assert [file.path for file in task.files] == ["mine.py", "layers.py", "deeper.py"]


def test_a_task_file_is_never_executed(write, tmp_path):
    trap = tmp_path / "ran"
    load_task(write(f"open({str(trap)!r}, 'w').close()\n" + MODEL + INPUTS))
    assert not trap.exists()


def test_a_missing_file_is_the_callers_mistake(tmp_path):
    assert "does not exist" in refused(tmp_path / "absent.py", InputError).what


def test_an_empty_file_is_refused(write):
    assert "is empty" in refused(write(" \n"), InputError).what


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "binary.py"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refused(path, InputError).what


def test_another_kind_of_file_is_refused(write):
    assert "cannot be a task" in refused(write("hello", "notes.txt"), InputError).what
