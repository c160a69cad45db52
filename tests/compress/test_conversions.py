"""Converted models in model folders: what is loaded is what was trained, and unfit settings are refused."""

import pytest
import torch

from assay.checkpoints import Conversion, apply_conversions, load_model, write_folder
from assay.compress.block_pruning import BlockPruner
from assay.compress.choosing import Choice, Layer
from assay.compress.mixing import Mixer
from assay.compress.schedule import Schedule
from assay.compress.settings import Mixture, Sparse
from assay.errors import InputError
from assay.sparse.linear import BlockSparseLinear
from tests.compress.trainings import TRAINING

INPUTS = torch.randn(16, 32, generator=torch.Generator().manual_seed(1))


def make_model(seed=0):
    names = {}
    exec(TRAINING, names)
    torch.manual_seed(seed)
    return names["make_model"]()


def choice(*names):
    return Choice(tuple(Layer(name, 1, 1, "") for name in names), {})


def pruned(names, sparsity=0.75, block=8):
    pruner = BlockPruner(Sparse(sparsity, block), choice(*names), 20)
    model = pruner.convert(make_model())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(20):
        pruner.before_step(model, optimizer, step)
        optimizer.zero_grad()
        model(INPUTS).square().mean().backward()
        optimizer.step()
    return model.eval(), pruner


def test_a_pruned_model_loads_from_its_folder_with_the_blocks_that_it_kept(tmp_path):
    model, pruner = pruned(["first", "feed_forward.up"])
    write_folder(tmp_path / "model", TRAINING, model, (pruner.conversion,))
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded.first, BlockSparseLinear)
    assert str(loaded.first.layout) == "40 x 32: 5 of 20 blocks of 8"
    assert str(loaded.feed_forward.up.layout) == "64 x 40: 10 of 40 blocks of 8"
    assert torch.equal(loaded.first.to_dense(), model.first.to_dense())
    torch.testing.assert_close(loaded(INPUTS), model(INPUTS))


def test_the_blocks_that_go_first_are_the_smallest_and_none_comes_back():
    pruner = BlockPruner(Sparse(0.5, 8), choice("first"), 40)
    model = pruner.convert(make_model())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    norms = model.first.to_dense().view(5, 8, 4, 8).transpose(1, 2).square().sum((-1, -2)).flatten()
    before = model.first.layout.mask()
    for step in range(40):
        pruner.before_step(model, optimizer, step)
        assert not (model.first.layout.mask() & ~before).any()
        before = model.first.layout.mask()
    assert norms[before.flatten()].min() > norms[~before.flatten()].max()
    assert int(before.sum()) == 10


def test_the_schedule_is_cubic_ends_at_half_and_changes_at_most_thirty_times():
    schedule = Schedule(0.8, 2000)
    assert schedule.sparsity(0) == 0
    assert schedule.sparsity(500) == pytest.approx(0.8 * (1 - 0.5**3))
    assert schedule.sparsity(1000) == schedule.sparsity(1999) == 0.8
    changes = [step for step in range(2000) if schedule.changes_at(step)]
    assert len(changes) <= 30
    assert changes[-1] == 1000


@pytest.mark.parametrize(("mixture", "width"), [(Mixture(8, 2), 16), (Mixture(4, 1), 32), (Mixture(4, 4), 16)])
def test_a_mixture_loads_from_its_folder_as_it_was(tmp_path, mixture, width):
    mixer = Mixer(mixture, choice("feed_forward"), width)
    model = mixer.convert(make_model()).eval()
    with torch.no_grad():
        model.feed_forward.moe.router.weight.add_(0.1)
    write_folder(tmp_path / "model", TRAINING, model, (mixer.conversion,))
    loaded = load_model(tmp_path / "model")
    assert loaded.feed_forward.moe.router.num_experts_per_tok == mixture.per_token
    torch.testing.assert_close(loaded(INPUTS), model(INPUTS))


def test_a_token_that_takes_every_shard_gets_the_dense_layers_function():
    dense = make_model().eval()
    mixed = Mixer(Mixture(8, 4), choice("feed_forward"), 16).convert(make_model()).eval()
    torch.testing.assert_close(mixed(INPUTS), dense(INPUTS))


@torch.no_grad()
def test_a_mixture_that_takes_fewer_shards_begins_near_the_dense_layers_size_and_uses_all_experts():
    dense = make_model().eval().feed_forward
    x = torch.randn(4000, 40)
    for mixture, width in ((Mixture(8, 2), 16), (Mixture(8, 1), 32)):
        layer = Mixer(mixture, choice("feed_forward"), width).convert(make_model()).eval().feed_forward
        ratio = float(layer(x).norm() / dense(x).norm())
        assert 0.5 < ratio < 3, ratio
        assert (layer.last_output.expert_counts > 0).all()


UNFIT = {
    "no block": ("block-sparse", {"block": 7, "modules": ["first"]}, "no settings"),
    "no names": ("block-sparse", {"block": 8, "modules": "first"}, "no settings"),
    "no such layer": ("block-sparse", {"block": 8, "modules": ["second"]}, "'second': no such module"),
    "no linear layer": ("block-sparse", {"block": 8, "modules": ["feed_forward"]}, "FeedForward"),
    "no width": ("mixture-of-experts", {"experts": 4, "per_token": 2, "modules": ["feed_forward"]}, "width None"),
    "no feed-forward layer": (
        "mixture-of-experts", {"experts": 4, "per_token": 2, "width": 16, "modules": ["head"]}, "feed_forward",
    ),
    "an uneven width": (
        "mixture-of-experts", {"experts": 4, "per_token": 2, "width": 15, "modules": ["feed_forward"]}, "cannot be cut",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "words"), UNFIT.values(), ids=UNFIT)
def test_settings_that_do_not_fit_a_model_are_refused(name, settings, words):
    with pytest.raises(InputError, match=words):
        apply_conversions(make_model(), [Conversion(name, settings)])
