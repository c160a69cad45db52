"""assay compress --prune: what goes, that it stays gone, and that what is left is really smaller."""

import pytest
import torch
from torch import nn

from assay.checkpoints import Conversion, load_model, write_folder
from assay.compress.finishing import Finisher, first_inputs, smaller
from assay.compress.phases import Phase, train
from assay.compress.preparing import prepare
from assay.compress.settings import CompressSettings, Prune
from assay.compress.states import States
from assay.compress.training import Trainer
from assay.compress.weight_pruning import read_mask
from assay.engineer.training.recipe import load_recipe
from assay.errors import InputError
from assay.sparse import SparseConv2d
from assay.sparse.unstructured import SparseLinear
from tests.compress.trainings import JUDGED, write

SETTINGS = CompressSettings(Prune(0.75), steps=20, further=40, seeds=1)
WEIGHTS = 40 * 32 + 2 * 64 * 40 + 4 * 40


def zeros_of(model):
    return sum(int((module.weight == 0).sum()) for module in model.modules() if isinstance(module, nn.Linear))


def trained(folder, settings, states=None, stop=None):
    compression = prepare(write(folder, JUDGED), settings)
    trainer = Trainer(compression.source, settings, compression.converter, states or States(folder / "states"), None,
                      lambda *_: stop and stop())  # fmt: skip
    return trainer.train(0, 0)


@pytest.mark.parametrize("method", ["magnitude", "random", "snip", "synflow", "wanda", "sparsegpt"])
def test_exactly_the_share_goes_by_every_kind_of_method_and_is_folded_away(tmp_path, method, monkeypatch):
    seen = {}

    def finish(self, model):
        seen["zeros"], seen["buffers"] = zeros_of(model), list(model.buffers())
        return model

    monkeypatch.setattr(Finisher, "finish", finish)
    trained(tmp_path, CompressSettings(Prune(0.75, method), steps=20, further=40, seeds=1))
    assert seen["zeros"] == round(0.75 * WEIGHTS)
    assert not seen["buffers"]


def test_every_layer_loses_the_same_share_where_the_scope_is_local(tmp_path, monkeypatch):
    seen = {}

    def finish(self, model):
        seen.update({name: float((m.weight == 0).float().mean()) for name, m in model.named_modules()
                     if isinstance(m, nn.Linear)})  # fmt: skip
        return model

    monkeypatch.setattr(Finisher, "finish", finish)
    for scope, shares in (("local", 1), ("global", 4)):
        trained(tmp_path, CompressSettings(Prune(0.75, scope=scope), steps=20, further=40, seeds=1))
        assert len({round(share, 3) for share in seen.values()}) == shares
        for state in (tmp_path / "states").glob("*"):
            state.unlink()


def test_an_interrupted_pruning_gives_what_an_uninterrupted_one_gives(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.compress.training.INTERVAL_S", 0.0)
    whole = trained(tmp_path, SETTINGS)
    (tmp_path / "second").mkdir()
    states, steps = States(tmp_path / "second" / "states"), []

    def stop():
        steps.append(0)
        if len(steps) == 20 + 40 + 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, SETTINGS, states, stop)
    again = trained(tmp_path, SETTINGS, states)
    assert again.losses["cheap"] == whole.losses["cheap"]
    for name, value in whole.cheap.state_dict().items():
        assert torch.equal(again.cheap.state_dict()[name], value), name


def test_no_mask_is_multiplied_and_pruned_weights_are_zero_in_every_forward(tmp_path):
    compression = prepare(write(tmp_path, JUDGED), SETTINGS)
    recipe, converter, seen = compression.source.recipe, compression.converter, []

    def loss(model, *batch):
        mask = read_mask(model, ["first.weight"])["first.weight"]
        seen.append((float(model.first.weight.detach()[~mask].abs().sum()), int((~mask).sum())))
        assert type(model.first) is nn.Linear
        return recipe.loss(model, *batch)

    make = lambda: converter.convert(recipe.make_model())  # noqa: E731
    train(Phase("cheap", 0, make, 40, 0, loss, converter.before_step), recipe, States(tmp_path / "s"), print, 1e9)
    assert {left for left, _ in seen} == {0.0}
    assert seen[-1][1] > seen[0][1] == 0


def test_dead_units_go_and_many_zeros_are_left_out(tmp_path):
    recipe = load_recipe(write(tmp_path, JUDGED))
    torch.manual_seed(0)
    model = recipe.make_model()
    with torch.no_grad():
        model.feed_forward.up.weight[10:] = 0
        model.feed_forward.down.weight[:, :3] = 0
    x, _ = recipe.get_batch(0)
    expected = model(x)
    made = Finisher(model, recipe, alone=False).finish(model)
    assert made.feed_forward.down.weight.shape == (40, 7)
    assert torch.allclose(made(x), expected, atol=1e-5)


def test_a_large_layer_of_zeros_becomes_sparse_and_a_small_one_does_not(tmp_path, monkeypatch):
    recipe = load_recipe(write(tmp_path, JUDGED))
    model = recipe.make_model()
    with torch.no_grad():
        for layer in (model.first, model.head):
            layer.weight[:, torch.arange(layer.in_features) % 10 != 0] = 0
    monkeypatch.setattr("assay.compress.finishing.is_faster", lambda sparse, dense, x: dense.out_features == 40)
    made = Finisher(model, recipe, alone=False).finish(model)
    assert isinstance(made.first, SparseLinear)
    assert type(made.head) is nn.Linear
    assert type(made.feed_forward.up) is nn.Linear


CONVOLUTIONS = """
import torch
from torch import nn


def make_model():
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
                         nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(8 * 9, 4))


def make_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def loss(model, x, targets):
    return nn.functional.cross_entropy(model(x), targets)


def get_batch(number):
    drawing = torch.Generator().manual_seed(number)
    return torch.randn(8, 1, 12, 12, generator=drawing), torch.randint(4, (8,), generator=drawing)
"""


def test_a_convolution_of_zeros_becomes_sparse_and_loads_with_its_stride_in_another_process(tmp_path, monkeypatch):
    recipe = load_recipe(write(tmp_path, CONVOLUTIONS))
    model = recipe.make_model().eval()
    with torch.no_grad():
        model[3].weight[torch.rand(model[3].weight.shape) < 0.8] = 0
    x, _ = recipe.get_batch(0)
    expected = model(x)
    monkeypatch.setattr("assay.compress.finishing.is_faster", lambda *_: True)
    finisher = Finisher(model, recipe, alone=False)
    made = finisher.finish(model)
    assert [(made[at].relu, made[at].pool) for at in (0, 3)] == [(True, 1), (True, 2)]
    assert [type(made[at]) for at in (1, 2, 4, 5)] == [nn.Identity] * 4
    assert made[3].density < 0.3
    assert torch.allclose(made(x), expected, atol=1e-5)
    conversion = Conversion("pruned", {"modules": finisher.names})
    write_folder(tmp_path / "model", CONVOLUTIONS, made, (conversion,))
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded[3], SparseConv2d)
    assert loaded[3].pool == 2
    assert torch.equal(loaded(x), made(x))


def test_a_convolution_that_is_faster_dense_stays_with_what_follows_it(tmp_path, monkeypatch):
    recipe = load_recipe(write(tmp_path, CONVOLUTIONS))
    model = recipe.make_model().eval()
    compared = []
    monkeypatch.setattr("assay.compress.finishing.is_faster", lambda *given: bool(compared.append(given)))
    made = Finisher(model, recipe, alone=False).finish(model)
    assert [type(made[at]) for at in (0, 2, 3, 4, 5)] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.MaxPool2d]
    assert [[type(each) for each in dense] for _, dense, _ in compared[1:]] == [[nn.Conv2d, nn.ReLU, nn.MaxPool2d]]


def test_a_model_that_fixes_its_sizes_in_its_code_stays_as_it_is():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)).view(-1, 8))

    model = Fixed().eval()
    with torch.no_grad():
        model.first.weight[:4] = 0
    x = torch.randn(3, 4)
    made = smaller(model, ["first", "second"], (x,))
    assert torch.allclose(made(x), model(x))


def test_what_a_layer_is_given_is_found_without_running_what_comes_after():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    given = first_inputs(model, model[2], lambda m, x: m(x).mean(), [torch.ones(5, 4)])
    assert given[0].shape == (5, 3)
    assert first_inputs(model, nn.Linear(1, 1), lambda m, x: m(x).mean(), [torch.ones(5, 4)]) == ()


@pytest.mark.parametrize(("method", "modules", "words"), [
    (Prune(0.9999), "", "would leave layers empty"), (Prune(0.5), "fourth", "no linear layer or convolution"),
])  # fmt: skip
def test_what_cannot_be_pruned_is_said_before_anything_is_trained(tmp_path, method, modules, words):
    with pytest.raises(InputError, match=words):
        prepare(write(tmp_path, JUDGED), CompressSettings(method, steps=20, modules=modules))


def test_an_unknown_method_lists_the_known_ones():
    with pytest.raises(InputError, match=r"magnitude.*structured"):
        Prune(0.5, "magnitud")


def test_tied_weights_are_refused_by_name(tmp_path):
    tied = JUDGED.replace(
        "FeedForward(), nn.Linear(40, 4)",
        "FeedForward(), nn.Linear(40, 4)\n        self.head.weight = self.first.weight",
    ).replace("nn.Linear(32, 40)", "nn.Linear(40, 4)")
    with pytest.raises(InputError, match=r"cannot be pruned[\s\S]*shared"):
        prepare(write(tmp_path, tied), SETTINGS)
