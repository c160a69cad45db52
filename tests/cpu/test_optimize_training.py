"""`assay optimize FILE.py --train`: a step in two parts, the whole of it, its loss curves, and what is refused."""

import json

import pytest
from test_cli import assay

TRAINING = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 256), nn.Linear(256, 10)
    def forward(self, x):
        return self.second(nn.functional.mish(self.first(x)))

def make_model():
    return Net()
def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
def loss(model, x, y):
    return nn.functional.cross_entropy(model(x), y)
def get_batch(number):
    drawing = torch.Generator().manual_seed(number)
    x = torch.randn(256, 64, generator=drawing)
    return x, x[:, :10].argmax(1)
"""


@pytest.mark.slow  # 65 to 79 s of a lane that is to finish within ten minutes
def test_a_step_is_optimised_in_two_parts_timed_and_compared_in_learning(tmp_path):
    (tmp_path / "train.py").write_text(TRAINING)
    done = assay("optimize", str(tmp_path / "train.py"), "--train", "--budget", "20s", "--baseline", "eager",
                 "--steps", "30", "--seeds", "2", "--runs", str(tmp_path / "runs"), "--json")  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert [part["places"] for part in found["parts"]] == [["gradients"], ["update"]]
    assert sum(part["share"] for part in found["parts"]) == pytest.approx(1.0)
    if found["parts"][0]["speedup"] is None:
        assert (done.returncode, found["whole"]) == (1, None)
        return
    assert set(found["whole"]["milliseconds"]) >= {"eager", "applied"}
    assert [len(curve) for curve in found["learning"]["applied"]] == [30, 30]
    assert found["learning"]["original"][0][0] == pytest.approx(found["learning"]["applied"][0][0], rel=1e-3)
    assert list((tmp_path / "runs").glob("training-*/result.json"))


REFUSED = {
    "no make_optimizer": (TRAINING.replace("def make_optimizer", "def other"), "make_optimizer takes the model"),
    "an optimiser that is not covered": (
        TRAINING.replace("SGD(model.parameters(), lr=0.1, momentum=0.9)", "RMSprop(model.parameters())"), "RMSprop",
    ),
    "random numbers": (TRAINING.replace("mish(self.first(x))", "dropout(self.first(x), 0.5)"), "random numbers"),
    "control flow on data": (
        TRAINING.replace("    def forward(self, x):", "    def forward(self, x):\n        if x.sum() > 0: x = -x"),
        "cannot be exported",
    ),
    "a loss with dimensions": (TRAINING.replace("cross_entropy(model(x), y)", "mish(model(x))"), "not one number"),
    "a file that fails": ("raise RuntimeError('broken')", "broken"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_certified_is_said_with_exit_code_2(tmp_path, text, words):
    (tmp_path / "train.py").write_text(text)
    done = assay("optimize", str(tmp_path / "train.py"), "--train", "--runs", str(tmp_path / "runs"))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert not list((tmp_path / "runs").glob("*"))


def test_loss_curves_that_decide_nothing_are_refused(tmp_path):
    (tmp_path / "train.py").write_text(TRAINING)
    done = assay("optimize", str(tmp_path / "train.py"), "--train", "--seeds", "1")
    assert done.returncode == 2
    assert "2 seeds at least" in done.stderr


def test_a_training_that_is_no_file_is_said(tmp_path):
    done = assay("optimize", str(tmp_path / "nothing.py"), "--train")
    assert done.returncode == 2
    assert "no such file" in done.stderr
