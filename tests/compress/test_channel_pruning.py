"""assay compress --prune --method structured: whole channels go, and the model stays one that runs and loads."""

import pytest
import torch

from assay.checkpoints import load_model, write_folder
from assay.compress.preparing import prepare
from assay.compress.settings import STRUCTURED, CompressSettings, Prune
from assay.errors import InputError
from tests.compress.trainings import JUDGED, write

pytest.importorskip("torch_pruning", reason="Torch-Pruning is not installed")

CONVOLUTIONAL = """
import torch
from torch import nn


def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * 36, 24), nn.ReLU(), nn.Linear(24, 3),
    )


def make_optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.01)


def loss(model, x, targets):
    return nn.functional.cross_entropy(model(x), targets)


def get_batch(number):
    drawing = torch.Generator().manual_seed(number)
    return torch.randn(8, 1, 8, 8, generator=drawing), torch.randint(3, (8,), generator=drawing)


def held_out():
    return [get_batch(100)]


def score(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets, reduction="none")
"""


def settings(sparsity=0.75, modules=""):
    return CompressSettings(Prune(sparsity, STRUCTURED), steps=20, seeds=1, modules=modules)


def weights(model, names):
    return sum(model.get_submodule(name).weight.numel() for name in names)


def test_at_least_the_share_goes_and_the_head_keeps_its_outputs(tmp_path):
    compression = prepare(write(tmp_path, CONVOLUTIONAL), settings())
    assert compression.choice.names == ["0", "3", "6"]
    assert compression.choice.left == {"8": "the head: the last layer that runs"}
    model = compression.source.recipe.make_model()
    cut = compression.converter.convert(model)
    share = weights(cut, compression.choice.names) / weights(model, compression.choice.names)
    assert 0.15 < share <= 0.25
    assert cut[8].out_features == 3
    assert model[0].out_channels == 16


def test_a_cut_model_trains_is_written_and_loads(tmp_path):
    compression = prepare(write(tmp_path, CONVOLUTIONAL), settings())
    recipe, converter = compression.source.recipe, compression.converter
    cut = converter.convert(recipe.make_model())
    optimizer = recipe.make_optimizer(cut)
    recipe.loss(cut, *recipe.get_batch(0)).backward()
    optimizer.step()
    cut = converter.finish(cut).eval()
    write_folder(tmp_path / "cut", CONVOLUTIONAL, cut, (converter.conversion,))
    x, _ = recipe.get_batch(1)
    assert torch.equal(load_model(tmp_path / "cut")(x), cut(x))


def test_of_a_residual_model_the_layers_inside_can_be_named(tmp_path):
    compression = prepare(write(tmp_path, JUDGED), settings(0.5, "*.up"))
    cut = compression.converter.convert(compression.source.recipe.make_model())
    assert (cut.feed_forward.up.out_features, cut.feed_forward.down.in_features) == (32, 32)
    assert cut.first.out_features == 40


def test_a_model_whose_code_fixes_its_channels_says_what_to_do(tmp_path):
    fixed = CONVOLUTIONAL.replace("nn.Flatten()", "nn.Unflatten(1, (4, 4)), nn.Flatten()")
    with pytest.raises(InputError, match=r"cannot be cut[\s\S]*--modules"):
        prepare(write(tmp_path, fixed), settings())


def test_more_than_whole_channels_can_give_is_refused(tmp_path):
    with pytest.raises(InputError, match="so much cannot go in whole channels"):
        prepare(write(tmp_path, CONVOLUTIONAL), settings(0.9999))


def test_channels_that_reach_other_kinds_of_layers_are_refused(tmp_path):
    head = "FeedForward(), nn.Linear(40, 4)"
    normed = JUDGED.replace(head, f"{head}\n        self.norm = nn.LayerNorm(40)")
    normed = normed.replace("x = torch.relu(self.first(x))", "x = self.norm(torch.relu(self.first(x)))")
    with pytest.raises(InputError, match=r"cannot be resized[\s\S]*norm.weight"):
        prepare(write(tmp_path, normed), settings())
