"""The choice between sparse and dense: kept, explained, and the same result whatever is taken."""

import json

import pytest
import torch
from torch import nn

from assay.sparse import choices, dispatch
from assay.sparse.dispatch import DENSE, PREPACKED, SPARSE
from assay.sparse.linear import BlockSparseLinear


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    return tmp_path


def layer(sparsity=0.5, block=16):
    torch.manual_seed(0)
    return BlockSparseLinear.from_linear(nn.Linear(96, 128), block, sparsity=sparsity)


def claim(monkeypatch, **seconds):
    """Make every measurement say these seconds."""
    named = {name.replace("_", ", "): value for name, value in seconds.items()}
    monkeypatch.setattr(dispatch.Chooser, "_measure", lambda self, *rest: dict(named))


@pytest.mark.parametrize("winner", [SPARSE, DENSE, PREPACKED])
def test_whatever_wins_gives_the_same_result(own_home, monkeypatch, winner):
    sparse, x = layer(), torch.randn(5, 96)
    expected = sparse.to_linear()(x)
    seconds = {SPARSE: 2.0, DENSE: 2.0, PREPACKED: 2.0} | {winner: 1.0}
    monkeypatch.setattr(dispatch.Chooser, "_measure", lambda self, *rest: seconds)
    with torch.no_grad():
        torch.testing.assert_close(sparse(x), expected, atol=1e-5, rtol=0)
    assert next(iter(sparse.choice.choices.values())).taken == winner
    assert ("falls back" in sparse.explain()) == (winner != SPARSE)


def test_a_difference_within_the_noise_leaves_the_sparse_product(own_home, monkeypatch):
    claim(monkeypatch, sparse=1.005, dense=1.0)
    sparse = layer()
    sparse(torch.randn(5, 96)).sum().backward()
    assert "training" in sparse.explain()
    assert next(iter(sparse.choice.choices.values())).taken == SPARSE


def test_a_dense_copy_follows_the_values(own_home, monkeypatch):
    claim(monkeypatch, sparse=2.0, dense=1.0)
    sparse, x = layer(), torch.randn(5, 96)
    with torch.no_grad():
        before = sparse(x)
        sparse.values.mul_(2)
        sparse.bias.mul_(2)
        torch.testing.assert_close(sparse(x), 2 * before)


def test_training_through_the_dense_product_has_the_same_gradients(own_home, monkeypatch):
    sparse, x = layer(), torch.randn(5, 96, requires_grad=True)
    gradients = []
    for seconds in ({SPARSE: 1.0, DENSE: 2.0}, {SPARSE: 2.0, DENSE: 1.0}):
        choices.forget()
        sparse.choice = dispatch.Chooser()
        monkeypatch.setattr(dispatch.Chooser, "_measure", lambda self, *rest, found=seconds: found)
        gradients.append(torch.autograd.grad(sparse(x).square().sum(), [x, sparse.values, sparse.bias]))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_measured_choices_are_kept_for_the_next_process(own_home):
    sparse, x = layer(), torch.randn(5, 96)
    sparse(x)
    choices._KNOWN.clear()
    again = layer()
    again(x)
    first, second = (next(iter(each.choice.choices.values())) for each in (sparse, again))
    assert first.measured_now
    assert not second.measured_now
    assert first.seconds == second.seconds
    assert set(first.seconds) == {SPARSE, DENSE}, "a training has no prepacked weight"


@pytest.mark.parametrize("content", ["", "{", '{"schema": 99, "seconds": {}}', '{"schema": 1, "seconds": {"a": [1]}}'])
def test_a_damaged_file_of_choices_costs_a_measurement_only(own_home, content):
    path = choices._file()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    sparse = layer()
    sparse(torch.randn(5, 96))
    assert len(json.loads(path.read_text())["seconds"]) == 1


def test_a_cache_that_cannot_be_written_is_no_error(own_home, monkeypatch):
    (own_home / "cache").write_text("a file where a folder should be")
    assert choices.find("anything") is None
    choices.keep("anything", {SPARSE: 1.0})
    assert choices.find("anything") == {SPARSE: 1.0}


def test_a_layer_that_was_not_called_has_nothing_to_explain():
    assert layer().explain().endswith("nothing has been chosen")
