"""`assay build`: what a candidate takes of the machine, without running it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOFTMAX = ROOT / "examples" / "softmax.cu"
needs_toolkit = pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no CUDA toolkit here")


def assay(*arguments, cwd=None):
    command = [sys.executable, "-m", "assay.cli.main", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=240, stdin=subprocess.DEVNULL, check=False
    )


@needs_toolkit
def test_a_cuda_candidate_shows_its_resources_and_its_launches_at_the_tasks_sizes(tmp_path):
    done = assay("build", SOFTMAX, "--task", "softmax", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sm_90a" in done.stdout
    assert "64 of 64" in done.stdout
    found = json.loads(assay("build", SOFTMAX, "--task", "softmax", "--json", cwd=tmp_path).stdout)
    assert found["kernels"][0]["registers"] <= 32
    assert found["launches"] == [
        {"kernel": "softmax", "grid": [1024, 1, 1], "block": [256, 1, 1], "shared_bytes": 8192}
    ]
    assert list(tmp_path.iterdir()) == []


@needs_toolkit
def test_a_launch_that_fits_no_multiprocessor_is_rejected_before_there_is_a_gpu(tmp_path):
    text = SOFTMAX.read_text().replace("block = [256]", "block = [1024]").replace("min(columns, 12288)", "58112")
    (tmp_path / "k.cu").write_text(text)
    done = assay("build", tmp_path / "k.cu", "--task", "softmax")
    assert done.returncode == 1
    assert "unlaunchable" in done.stdout


@needs_toolkit
def test_judging_device_code_without_a_gpu_still_compiles_it_and_says_what_is_missing(tmp_path):
    (tmp_path / "k.cu").write_text(SOFTMAX.read_text() + "int x = ;")
    done = assay("judge", "softmax", tmp_path / "k.cu", "--screen", cwd=tmp_path)
    assert done.returncode == 1
    assert "does not compile" in done.stdout
    if shutil.which("nvidia-smi") is None:
        done = assay("judge", "softmax", SOFTMAX, "--screen", cwd=tmp_path)
        assert done.returncode == 4
        assert "no GPU here" in done.stderr


def test_bad_input_is_a_clear_error(tmp_path):
    module = tmp_path / "module.py"
    module.write_text("import torch\nclass ModelNew(torch.nn.Module):\n    pass\n")
    wrong = ((module,), "not built"), (("missing.cu",), "missing.cu"), ((SOFTMAX, "--capability", "nine"), "capability")
    for arguments, message in wrong:
        done = assay("build", *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_a_cpp_candidate_builds_too():
    found = json.loads(assay("build", ROOT / "examples" / "softmax.cpp", "--json").stdout)
    assert (found["language"], found["kernels"], found["target"]) == ("cpp", [], None)
    assert found["bytes"] > 1000
