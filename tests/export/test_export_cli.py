"""`assay export MODEL --c99` on the command line."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from assay.checkpoints import write_folder
from assay.cli.main import app
from assay.errors import InputError

MODEL = """
import torch
from torch import nn

def make_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3), nn.Softmax(-1))

def example_inputs():
    return torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
"""
MAIN = """
#include "tiny.h"
int main(void) { float x[TINY_INPUTS] = {1, 2, 3, 4, 5, 6, 7, 8}; return (int)tiny_decide(x); }
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "tiny_model.py"
    path.write_text(MODEL)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_a_models_file_becomes_a_program_that_any_compiler_builds(model, tmp_path):
    out = tmp_path / "out"
    done = run(model, "--c99", "--argmax", "--name", "tiny", "-o", out)
    assert done.exit_code == 0, done.output
    assert "50 of 50 decisions the same" in done.output
    assert sorted(path.name for path in out.iterdir()) == ["export.json", "tiny.c", "tiny.h"]
    (tmp_path / "main.c").write_text(MAIN)
    subprocess.run(
        ["gcc", "-std=c99", f"-I{out}", tmp_path / "main.c", out / "tiny.c", "-o", tmp_path / "a"], check=True
    )
    from assay.core.own_file import import_own_file

    expected = int(import_own_file(model).make_model()(torch.arange(1.0, 9.0)[None]).argmax())
    assert subprocess.run([tmp_path / "a"], check=False).returncode == expected


def test_json_says_what_was_compared(model, tmp_path):
    np.savez(tmp_path / "held.npz", inputs=np.random.default_rng(0).normal(size=(20, 8)), targets=np.zeros(20, int))
    done = run(model, "--c99", "--bits", 8, "--data", tmp_path / "held.npz", "--json", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout[done.stdout.index("{") :])["c99"]
    assert found["input"] == "int8_t"
    assert found["agreement"]["inputs"] == 20
    assert found["agreement"]["wrong_bits"] == 0
    assert found["agreement"]["right"] is not None
    assert found == json.loads((tmp_path / "out" / "export.json").read_text())["c99"]


def test_a_model_folder_is_exported_with_its_weights(model, tmp_path):
    trained = nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3), nn.Softmax(-1))
    write_folder(tmp_path / "folder", MODEL, {0: trained, 3: trained})
    done = run(tmp_path / "folder", "--c99", "--seed", 3, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    first = trained[0].weight[0, 0].item()
    assert f"{np.float32(first):.9g}f" in (tmp_path / "out" / "model.c").read_text()


def test_the_command_line_starts_without_torch():
    code = "import sys, assay.cli.main; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


REFUSED = {
    "a model without a format": ((), "--c99, --onnx"),
    "a width that there is not": (("--c99", "--bits", "7"), "no such width"),
    "a form that there is not": (("--c99", "--form", "round"), "no such form"),
    "a device that there is not": (("--c99", "--device", "z80"), "nothing can be measured"),
    "a name that is none": (("--c99", "--name", "2"), "no name for a program"),
    "no data": (("--c99", "--data", "nothing.npz"), "cannot be read"),
    "a seed of a file": (("--c99", "--argmax", "--binary-inputs", "--bits", "5"), "no such width"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_and_nothing_is_written(model, tmp_path, options, words):
    done = run(model, *options, "-o", tmp_path / "out")
    assert isinstance(done.exception, InputError), done.output
    assert words in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_file_without_inputs_or_with_a_fault_is_said(tmp_path):
    for text, words in (
        ("import torch\ndef make_model(): return torch.nn.Linear(2, 2)\n", "no inputs to compare on"),
        ("def make_model(): return 1 / 0\n", "fails"),
        ("1 / 0\n", "fails when it is loaded"),
    ):
        path = tmp_path / f"faulty_{abs(hash(text))}.py"
        path.write_text(text)
        done = run(path, "--c99", "-o", tmp_path / "out")
        assert isinstance(done.exception, InputError), done.output
        assert words in str(done.exception)


def test_a_folder_that_is_there_is_never_written_into(model, tmp_path):
    (tmp_path / "out").mkdir()
    done = run(model, "--c99", "-o", tmp_path / "out")
    assert isinstance(done.exception, InputError)
    assert "something at this path" in str(done.exception)
