"""`assay compress` on the command line: what is refused, with which words, and what an interruption leaves."""

import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.errors import InputError

REFUSED = {
    "neither method": ((), "one of --sparse, --moe, --prune"),
    "both methods": (("--sparse", "0.5", "--moe", "4x2"), "one of --sparse, --moe, --prune"),
    "a sparsity of 1": (("--sparse", "1"), "no share"),
    "no sparsity": (("--sparse", "0"), "no share"),
    "a sparsity that is no number": (("--sparse", "nan"), "no share"),
    "a block without a kernel": (("--sparse", "0.5", "--block", "24"), "no kernel for this block"),
    "no mixture": (("--moe", "16y2"), "not a mixture of experts"),
    "fewer experts than a token takes": (("--moe", "2x4"), "no mixture of experts"),
    "a width of nothing": (("--moe", "4x2", "--width", "0"), "no mixture of experts"),
    "a width without experts": (("--sparse", "0.5", "--width", "8"), "--width belongs to --moe"),
    "a scope without pruning": (("--sparse", "0.5", "--scope", "local"), "--scope belongs to --prune"),
    "no scope": (("--prune", "0.5", "--scope", "everywhere"), "no such scope"),
    "channels in each layer": (("--prune", "0.5", "--method", "structured", "--scope", "local"), "no such scope"),
    "too few steps": (("--sparse", "0.5", "--steps", "5"), "too few steps"),
    "too few further steps": (("--sparse", "0.5", "--further", "5"), "too few steps"),
    "no seeds": (("--sparse", "0.5", "--seeds", "0"), "no seeds"),
    "no margin": (("--sparse", "0.5", "--margin", "much"), "not a margin"),
    "no cost": (("--sparse", "0.5", "--cost", "money"), "no such cost"),
    "no layer of the size": (("--sparse", "0.5", "--block", "64"), "no layer to convert"),
    "no data": (("--sparse", "0.5", "--block", "8", "--data", "nothing.py"), "no such file"),
    "no dense folder": (("--sparse", "0.5", "--block", "8", "--dense", "nothing"), "not a model folder"),
    "nothing to go on with": (("--sparse", "0.5", "--block", "8", "--resume", "-o", "new"), "no run to go on with"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_by_name_and_nothing_is_written(training, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["compress", str(training), *options])
    assert isinstance(done.exception, InputError), done.output
    assert words in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == [training.name]


def test_a_training_that_is_no_file_is_said():
    done = CliRunner().invoke(app, ["compress", "nothing.py", "--sparse", "0.5"])
    assert isinstance(done.exception, InputError)
    assert "no such file" in str(done.exception)


def interruptible():
    """Shells start what they put in the background with interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_run_exits_with_130_and_says_how_to_go_on(training, tmp_path):
    command = (sys.executable, "-m", "assay.cli.main", "compress", str(training), "--sparse", "0.5", "--block", "8",
               "--steps", "20", "--further", "1000000", "-o", str(tmp_path / "out"))  # fmt: skip
    state = tmp_path / "out" / "states" / "seed-0-dense.pt"
    running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                               env=os.environ | {"OMP_NUM_THREADS": "1"}, preexec_fn=interruptible)  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not state.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[1]
    finally:
        running.kill()
    assert running.returncode == 130, said
    assert "--resume goes on" in said
    assert [path.name for path in state.parent.iterdir()] == [state.name]
