"""Pruning in rounds: exact shares, undone where the check fails, and resumed as if nothing had happened."""

import copy
import io
from dataclasses import asdict

import pytest
import torch
from torch import nn

from assay.errors import InputError
from assay.pruning.masks import full_mask, kept_weights, nonzero_mask
from assay.pruning.protocol import Data
from assay.pruning.schedule import Rounds, State, advance, begin, is_done, prune_in_rounds
from tests.pruning.models import chain, vectors

BATCHES = vectors(6)
DATA = Data(BATCHES.get_batch, BATCHES.loss, lambda model: torch.optim.Adam(model.parameters(), 0.01))
SHORT = {"steps": 3, "consolidation": 4, "check_every": 2}


def alive(model):
    return sum(int(each.sum()) for each in nonzero_mask(model).values())


def test_rounds_take_exact_shares_and_end_at_the_sparsity():
    model = chain(6, 20, 3)
    before = copy.deepcopy(model.state_dict())
    state = prune_in_rounds(Rounds(sparsity=0.6, **SHORT), model, DATA, full_mask(model), lambda model: True)
    assert [kept for kept, _ in state.kept] == [144, 116, 93, 75, 72]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    state.apply(model)
    assert alive(model) == 72 == kept_weights(state.mask)


def test_a_round_that_fails_is_undone_and_the_share_halved():
    """Known truth: it holds with 100 weights and more; the search must end at exactly 100."""
    model = chain(6, 20, 3)
    state = prune_in_rounds(Rounds(sparsity=0.9, **SHORT), model, DATA, full_mask(model), lambda m: alive(m) >= 100)
    assert kept_weights(state.mask) == 100
    state.apply(model)
    assert alive(model) == 100
    held = [kept for kept, good in state.kept if good]
    assert held == sorted(held, reverse=True)
    assert all(kept < 100 for kept, good in state.kept if not good)
    assert state.share < 0.02


def test_what_is_kept_after_a_failure_is_the_last_state_that_held_to_the_bit():
    model = chain(6, 20, 3)
    hparams = Rounds(sparsity=0.9, **SHORT)
    state = advance(hparams, model, DATA, begin(hparams, model, full_mask(model), lambda m: True), lambda m: True)
    undone = advance(hparams, model, DATA, state, lambda m: False)
    assert undone.share == state.share / 2
    assert undone.kept[-1] == (116, False)
    assert all(torch.equal(undone.weights[name], each) for name, each in state.weights.items())
    assert all(torch.equal(undone.mask[name], each) for name, each in state.mask.items())
    assert undone.step == state.step + 7, "the next attempt sees other batches"


def test_a_saved_state_goes_on_as_if_it_had_not_been_interrupted():
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Dropout(0.3), nn.Linear(20, 3))
    hparams, states = Rounds(sparsity=0.7, l1=1e-3, **SHORT), []
    mask = full_mask(model)
    whole = prune_in_rounds(hparams, model, DATA, mask, lambda m: True, told=states.append)
    file = io.BytesIO()
    torch.save(asdict(states[1]), file)
    file.seek(0)
    torch.rand(7)  # random numbers of the process are elsewhere now
    loaded = State(**torch.load(file, weights_only=True))
    resumed = prune_in_rounds(hparams, copy.deepcopy(model), DATA, mask, lambda m: True, loaded)
    assert all(torch.equal(resumed.weights[name], each) for name, each in whole.weights.items())
    assert resumed.kept == whole.kept


def test_consolidation_ends_as_soon_as_the_model_holds():
    model, asked = chain(6, 20, 3), []

    def holds(model):
        asked.append(model.training)
        return len(asked) in (1, 3)  # before the first round, and at the second time of asking in it

    hparams = Rounds(sparsity=0.5, steps=3, consolidation=100, check_every=5)
    state = advance(hparams, model, DATA, begin(hparams, model, full_mask(model), holds), holds)
    assert state.step == 3 + 10
    assert asked == [False] * 3, "it is asked in evaluation mode"


def test_a_penalty_makes_weights_smaller_before_any_goes():
    model = chain(6, 20, 3)
    mask = full_mask(model)
    sums = []
    for l1 in (0.0, 0.01):
        hparams = Rounds(sparsity=0.5, share=0.1, steps=50, l1=l1, consolidation=0)
        state = advance(hparams, model, DATA, begin(hparams, model, mask, lambda m: True), lambda m: True)
        sums.append(sum(float(state.weights[name].abs().sum()) for name in mask))
    assert sums[1] < 0.8 * sums[0]


def test_a_round_that_would_empty_a_layer_is_undone_too():
    model = chain(6, 20, 3)
    model[2].weight.data.mul_(1e-4)
    hparams = Rounds(sparsity=0.9, share=0.6, steps=0, consolidation=0)
    state = begin(hparams, model, full_mask(model), lambda m: True)
    undone = advance(hparams, model, DATA, state, lambda m: True)
    assert undone.kept == ((72, False),)
    assert not is_done(hparams, undone)
    state = prune_in_rounds(hparams, model, DATA, full_mask(model), lambda m: True)
    assert all(each.any() for each in state.mask.values())


def test_another_method_can_choose_what_goes():
    model = chain(6, 20, 3)
    hparams = Rounds(sparsity=0.4, method="snip", options={"scope": "local"}, **SHORT)
    state = prune_in_rounds(hparams, model, DATA, full_mask(model), lambda m: True)
    assert int(state.mask["2.weight"].sum()) == 36


def test_a_model_that_does_not_hold_at_the_start_is_refused():
    model = chain(6, 20, 3)
    with pytest.raises(InputError, match="does not hold"):
        prune_in_rounds(Rounds(), model, DATA, full_mask(model), lambda m: False)


@pytest.mark.parametrize(
    "options",
    [{"share": -1}, {"l1": -1.0}, {"steps": -1}, {"check_every": 0}, {"method": "magic"}, {"options": {"nothing": 1}}],
)
def test_values_that_make_no_rounds_are_refused(options):
    with pytest.raises(InputError):
        Rounds(**options)
