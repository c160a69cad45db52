"""A killed training goes on from its last state, as if nothing had happened; damage and full disks are said."""

import errno

import pytest
import torch

from assay.compress.folder import open_folder
from assay.compress.phases import Phase, train
from assay.compress.preparing import prepare
from assay.compress.run import train_models
from assay.compress.settings import CompressSettings, Mixture, Prune, Sparse
from assay.compress.states import State, States
from assay.errors import InputError, MachineError
from tests.compress.trainings import TRAINING, write

SETTINGS = CompressSettings(Sparse(0.75, 8), steps=20, further=24, seeds=2)


class Killed(Exception):
    """In the place of a signal."""


class After:
    """Progress that ends the process, in a way, after so many steps."""

    def __init__(self, calls):
        self.left = calls

    def __call__(self, what, share, detail=""):
        self.left -= 1
        if self.left == 0:
            raise Killed


def quiet(what, share, detail=""):
    pass


def trained(training, path, settings, kills=()):
    """The models' weights after a run that was killed after so many steps each, and went on."""
    compression = prepare(training, settings)
    for number, steps in enumerate(kills):
        with pytest.raises(Killed), open_folder(path, compression.plan(), resume=number > 0) as folder:
            train_models(compression, folder, After(steps))
    with open_folder(path, compression.plan(), resume=bool(kills)) as folder:
        found = train_models(compression, folder, quiet)
    assert not (path / "states").exists()
    files = sorted(path.glob("*/seed-*/weights.safetensors"))
    assert len(files) == 4
    return found, [file.read_bytes() for file in files]


@pytest.mark.parametrize("method", [Sparse(0.75, 8), Mixture(8, 2)], ids=["sparse", "moe"])
def test_a_killed_run_ends_with_the_same_models_as_one_that_was_not(training, tmp_path, method, monkeypatch):
    monkeypatch.setattr("assay.sparse.choices.find", lambda name: {"sparse": 1.0, "dense": 2.0})  # else noise decides
    settings = CompressSettings(method, steps=20, further=22, seeds=2)
    whole, weights = trained(training, tmp_path / "whole", settings)
    monkeypatch.setattr("assay.compress.training.INTERVAL_S", 0.0)  # a state after every step
    found, again = trained(training, tmp_path / "killed", settings, kills=(7, 30, 35, 50))
    assert again == weights
    assert found == whole


SCHEDULED = """

def make_scheduler(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
"""


def test_a_killed_run_goes_on_at_the_learning_rate_that_it_had(tmp_path, monkeypatch):
    plain, training = write(tmp_path, TRAINING, "plain.py"), write(tmp_path, TRAINING + SCHEDULED, "scheduled.py")
    settings = CompressSettings(Prune(0.5, "magnitude"), steps=20, further=22, seeds=2)
    constant, _ = trained(plain, tmp_path / "constant", settings)
    whole, weights = trained(training, tmp_path / "whole", settings)
    assert whole != constant
    monkeypatch.setattr("assay.compress.training.INTERVAL_S", 0.0)
    found, again = trained(training, tmp_path / "killed", settings, kills=(7, 30, 35, 50))
    assert again == weights
    assert found == whole


@pytest.mark.parametrize("body", ["return None", "raise ValueError('no')", "return [1]"])
def test_a_scheduler_that_is_none_is_said(tmp_path, body):
    training = write(tmp_path, TRAINING + f"\ndef make_scheduler(optimizer, steps):\n    {body}\n")
    with pytest.raises(InputError, match=r"make_scheduler fails[\s\S]*docs/compress.md"):
        trained(training, tmp_path / "out", CompressSettings(Prune(0.5, "magnitude"), steps=20, further=20, seeds=1))


def test_a_run_that_is_killed_between_states_loses_only_what_came_after_the_last(training, tmp_path):
    compression = prepare(training, SETTINGS)
    with pytest.raises(Killed), open_folder(tmp_path / "out", compression.plan(), resume=False) as folder:
        train_models(compression, folder, After(30))  # ten steps into the second phase, no interval is over
    steps = []
    with open_folder(tmp_path / "out", compression.plan(), resume=True) as folder:
        train_models(compression, folder, lambda what, share, detail="": steps.append((what, detail)))
    assert steps[0][0] == "training seed 1 of 2, dense-further"
    assert steps[0][1].startswith("step 1 of 24")


def test_states_are_read_without_running_code_and_damage_is_said(tmp_path):
    states = States(tmp_path)
    assert states.read("seed-0-dense") is None
    states.write("seed-0-dense", State({"weight": torch.ones(2)}, {"state": {}}, [1.0]))
    assert states.read("seed-0-dense").losses == [1.0]
    torch.save({"version": 1, "losses": print}, tmp_path / "code.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "seed-0-dense.pt").read_bytes()[:100])
    torch.save({"version": 2}, tmp_path / "newer.pt")
    for name in ("code", "cut", "newer"):
        with pytest.raises(InputError, match=f"state of a training is damaged[\\s\\S]*{name}.pt"):
            states.read(name)


def test_a_full_disk_is_the_machines_fault_and_leaves_the_state_before(tmp_path, monkeypatch):
    states = States(tmp_path)
    states.write("phase", State({}, {}, [1.0]))

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MachineError, match=r"output folder cannot be written[\s\S]*No space left[\s\S]*--resume"):
        states.write("phase", State({}, {}, [1.0, 2.0]))
    monkeypatch.undo()
    assert states.read("phase").losses == [1.0]
    assert [file.name for file in tmp_path.iterdir()] == ["phase.pt"]


def test_a_state_of_another_model_is_refused(training, tmp_path):
    compression = prepare(training, SETTINGS)
    recipe, states = compression.source.recipe, States(tmp_path / "states")
    phase = Phase("seed-0-dense", 0, recipe.make_model, 20, 0, recipe.loss)
    states.write(phase.name, State({"other": torch.ones(2)}, {}, [0.0] * 3))
    with pytest.raises(InputError, match="does not fit the model"):
        train(phase, recipe, states, lambda step, loss: None, 30.0)


def test_a_loss_that_is_not_finite_ends_the_training_with_its_step(training, tmp_path):
    training.write_text(training.read_text().replace("lr=3e-3", "lr=1e30"))
    compression = prepare(training, SETTINGS)
    with (
        pytest.raises(InputError, match=r"diverges[\s\S]*seed-0-dense, step \d+: the loss is (nan|inf)"),
        open_folder(tmp_path / "out", compression.plan(), resume=False) as folder,
    ):
        train_models(compression, folder, quiet)


def test_a_folder_is_not_overwritten_not_shared_and_goes_on_only_with_its_own_plan(tmp_path):
    path = tmp_path / "out"
    with open_folder(path, {"steps": 1}, resume=False) as folder:
        with pytest.raises(InputError, match="another process"), open_folder(path, {"steps": 1}, resume=True):
            pass
        assert folder.training() is None
    with pytest.raises(InputError, match=r"a run in this folder already[\s\S]*go on with --resume"):
        open_folder(path, {"steps": 1}, resume=False).__enter__()
    with pytest.raises(InputError, match=r"was another one[\s\S]*steps was 1, is 2"):
        open_folder(path, {"steps": 2}, resume=True).__enter__()
    with open_folder(path, {"steps": 1}, resume=True) as folder:
        folder.finish_training({"losses": {}})
    with pytest.raises(InputError, match="judge it again with --resume"):
        open_folder(path, {"steps": 1}, resume=False).__enter__()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for resume in (True, False):
        with pytest.raises(InputError, match="something at this path"):
            open_folder(tmp_path / "mine", {}, resume=resume).__enter__()
