"""From a training to a signed verdict, on trainings with held-out data of their own and without."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import assay
from assay.checkpoints import Conversion, apply_conversions, load_model, write_folder
from assay.claims.quality import Margin
from assay.claims.settings import ClaimSettings, Cost
from assay.cli.compress import _summary
from assay.cli.main import app
from assay.compress import CompressSettings, Mixture, Sparse, prepare
from assay.compress.held_out_data import FIRST_BATCH
from assay.compress.training import Trainer, choose_seeds
from assay.errors import InputError
from tests.compress.trainings import JUDGED, TRAINING, write

QUICK = ClaimSettings(margin=Margin(0.5), costs=(Cost.SIZE,), rounds=3, turns=2)
SHORT = CompressSettings(Sparse(0.75, 8), steps=20, further=40, seeds=2)


def test_a_sparse_model_is_trained_written_judged_and_signed(training, tmp_path):
    found = assay.compress_training(training, SHORT, tmp_path / "out", claim=QUICK)
    assert found.judgement.verdict.value == "ACCEPT", found.judgement.decision.findings
    assert json.loads(found.run.certificate.read_bytes())["verdict"] == "ACCEPT"
    assert found.run.page.is_file()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "plan.json", "training.json", "dense", "cheap", "data.py", "runs",
    }  # fmt: skip
    lengths = [{part: len(losses) for part, losses in each.items()} for each in found.training["losses"].values()]
    assert lengths == [{"dense": 20, "dense-further": 40, "cheap": 40}] * 2
    code = "import sys; from assay.checkpoints import load_model; print(load_model(sys.argv[1], 1).first.layout)"
    said = subprocess.run([sys.executable, "-c", code, tmp_path / "out" / "cheap"], capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert said.stdout.strip() == "40 x 32: 5 of 20 blocks of 8"
    assert json.loads(json.dumps(_summary(found)))["verdict"] == "ACCEPT"
    again = assay.compress_training(training, SHORT, tmp_path / "out", claim=QUICK, resume=True)
    assert again.training == found.training
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 2


def test_a_mixture_of_experts_is_judged_on_the_trainings_own_held_out_data_and_the_verdict_is_printed(tmp_path):
    training, output = write(tmp_path, JUDGED), tmp_path / "out"
    options = ("--moe", "8x2", "--steps", "20", "--seeds", "1", "--margin", "0.5", "-o", str(output))
    done = CliRunner().invoke(app, ["compress", str(training), *options])
    assert isinstance(done.exception, SystemExit | None), done.output
    verdict = next((output / "runs").glob("*/certificate.json"))
    assert {"ACCEPT": 0, "REJECT": 1, "INCONCLUSIVE": 3}[json.loads(verdict.read_bytes())["verdict"]] == done.exit_code
    assert "8 experts of 16, 2 for a token: 32 instead of 64" in " ".join(done.stdout.split())
    assert str(output / "cheap") in done.stdout
    assert not (output / "data.py").exists()
    assert load_model(output / "cheap").feed_forward.moe.router.num_experts == 8


@pytest.mark.parametrize("method", [Sparse(0.8), Mixture(8, 2)], ids=["sparse", "moe"])
def test_the_example_serves_both_methods(method):
    example = Path(__file__).parents[2] / "examples" / "train_bytes.py"
    compression = prepare(example, CompressSettings(method, steps=400, modules="*feed_forward*"))
    assert len(compression.choice.layers) == (4 if isinstance(method, Sparse) else 2)
    assert compression.data.path == example


def test_training_can_begin_with_the_weights_of_a_model_folder(training, tmp_path):
    names = {}
    exec(TRAINING, names)
    model = names["make_model"]()
    write_folder(tmp_path / "dense", TRAINING, {3: model, 7: model})
    compression = prepare(training, SHORT, start=tmp_path / "dense")
    assert compression.plan()["start"]
    assert choose_seeds(SHORT, compression.start) == [3, 7]
    trainer = Trainer(compression.source, SHORT, compression.converter, None, compression.start, print)
    assert torch.equal(trainer._loaded(7)().first.weight, model.first.weight)
    with pytest.raises(InputError, match="converted already"):
        prepare(training, SHORT, start=sparse_folder(tmp_path))


def sparse_folder(tmp_path):
    names = {}
    exec(TRAINING, names)
    steps = (Conversion("block-sparse", {"block": 8, "modules": ["first"]}),)
    write_folder(tmp_path / "sparse", TRAINING, apply_conversions(names["make_model"](), steps), steps)
    return tmp_path / "sparse"


def test_without_held_out_data_batches_are_those_that_training_never_uses_and_the_loss_is_the_score(training):
    data = prepare(training, SHORT).data
    assert "no training step here uses" in data.words
    names = {}
    exec(data.made, names)
    (x, targets), *others = names["held_out"]()
    assert len(others) == 31
    assert torch.equal(x, names["get_batch"](FIRST_BATCH)[0])
    outputs = torch.randn(32, 4)
    torch.testing.assert_close(names["score"](outputs, targets), (outputs - targets).square().mean(1))


UNUSABLE = {
    "a loss of the parameters": ("mse_loss(model(x), targets)", "mse_loss(model(x), targets) + model.head.bias.sum()",
                                 "cannot score held-out data"),
    "a sum over examples": ("mse_loss(model(x), targets)", "mse_loss(model(x), targets, reduction='sum')",
                            "the mean over examples is"),
    "a loss of the inputs": ("mse_loss(model(x), targets)", "mse_loss(model(x) + x[:, :4], targets)",
                             "cannot score held-out data"),
    "only one of the two functions": ("def make_model", "def held_out():\n    return []\n\n\ndef make_model",
                                      "one of held_out and score"),
    "what lies beside it": ("import torch\n", "import torch\nimport beside\n", "imports what lies beside it"),
    "a model that fails": ("return Net()", "return Net(1)", r"make_model\(\) fails"),
    "a loss that fails": ("model(x), targets)", "model(x), targets.missing)", "loss of a first batch fails"),
    "a layer whose weight is read": ("x = torch.relu(self.first(x))", "x = self.first(x) + self.first.weight.sum()",
                                     "does not run with the converted layers"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_judged_or_converted_is_said_before_anything_is_trained(tmp_path, old, new, words):
    assert old in TRAINING
    write(tmp_path, "", "beside.py")
    with pytest.raises(InputError, match=words):
        prepare(write(tmp_path, TRAINING.replace(old, new)), SHORT)


def test_the_documented_results_are_those_of_the_certificates():
    docs = Path(__file__).parents[2] / "docs"
    table = (docs / "compress.md").read_text()
    for run in json.loads((docs / "data" / "compress_example.json").read_text())["runs"]:
        loss = [f"{100 * run['quality'][name]:+.1f}" for name in ("difference", "lower", "upper")]
        costs = [
            f"{run['costs'][name]['ratio']:.2f}x" for name in ("throughput", "latency", "training", "memory", "size")
        ]
        words = " | ".join([f"{loss[0]} % ({loss[1]} to {loss[2]} %)", *costs])
        assert any(words in row and run["verdict"] in row and f"`{run['options']}`" in row for row in table.split("\n"))
