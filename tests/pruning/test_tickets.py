"""Lottery tickets and their controls."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn

from assay.errors import InputError
from assay.pruning import controls
from assay.pruning.controls import Arm, make_arms
from assay.pruning.masks import full_mask, kept_weights, nonzero_mask
from assay.pruning.protocol import Data
from assay.pruning.tickets import TicketSearch, find_tickets
from tests.pruning.models import Mixed, chain, cross_entropy, vectors

BATCHES = vectors(6)
DATA = Data(BATCHES.get_batch, BATCHES.loss, lambda model: torch.optim.SGD(model.parameters(), 0.1, momentum=0.9))


def same_state(a, b):
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


def trained(model, steps):
    """The training without anything of this package."""
    model = copy.deepcopy(model)
    optimizer = DATA.make_optimizer(model)
    for number in steps:
        optimizer.zero_grad()
        DATA.loss_of(model, number).backward()
        optimizer.step()
    return model


def test_each_round_takes_an_exact_share_of_what_is_left():
    model = chain(6, 20, 3)
    found = list(find_tickets(TicketSearch(steps=4, rounds=4), model, DATA, full_mask(model)))
    counts = [180]
    for _ in range(4):
        counts.append(counts[-1] - round(0.2 * counts[-1]))
    assert [kept_weights(ticket.mask) for ticket in found] == counts
    for before, after in pairwise(found):
        assert all((after.mask[name] <= before.mask[name]).all() for name in after.mask)
        names = list(before.mask)
        sizes = torch.cat([before.trained.get_parameter(name).detach().abs().flatten() for name in names])
        now = torch.cat([after.mask[name].flatten() for name in names])
        gone = torch.cat([before.mask[name].flatten() for name in names]) & ~now
        assert sizes[gone].max() <= sizes[now].min(), "the smallest trained weights go"


@pytest.mark.parametrize("rewind", [0, 3])
def test_weights_go_back_to_those_of_the_step_and_train_on_the_batches_after_it(rewind):
    model = chain(6, 20, 3)
    before = copy.deepcopy(model)
    dense, sparse = find_tickets(TicketSearch(steps=6, rewind=rewind, rounds=1), model, DATA, full_mask(model))
    assert same_state(model, before)
    assert same_state(dense.initial, trained(model, range(rewind)))
    assert same_state(dense.trained, trained(dense.initial, range(rewind, 6)))
    assert same_state(sparse.initial, dense.initial)
    assert len(sparse.losses) == 6 - rewind
    ticket = controls.rewound(sparse.initial, sparse.mask)
    for name, kept in sparse.mask.items():
        weight, initial = ticket.model.get_parameter(name), sparse.initial.get_parameter(name)
        assert torch.equal(weight, torch.where(kept, initial, 0.0))
        assert not sparse.trained.get_parameter(name)[~kept].any()


def test_a_search_goes_on_from_an_earlier_tickets_mask():
    model = chain(6, 20, 3)
    hparams = TicketSearch(steps=4, rewind=1, rounds=3)
    whole = list(find_tickets(hparams, model, DATA, full_mask(model)))
    rest = list(find_tickets(hparams, model, DATA, whole[1].mask, first=1))
    assert [ticket.round for ticket in rest] == [1, 2, 3]
    assert same_state(rest[-1].trained, whole[-1].trained)
    assert all(torch.equal(rest[-1].mask[name], whole[-1].mask[name]) for name in rest[-1].mask)


def test_the_four_arms_differ_in_what_they_are_to_differ_in():
    model = Mixed()
    mask = {name: torch.rand(each.shape) < 0.4 for name, each in full_mask(model).items()}
    state = torch.get_rng_state()
    arms = make_arms(model, mask, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(arms) == set(Arm)
    counts = {name: int(each.sum()) for name, each in mask.items()}
    for arm, start in arms.items():
        if arm is not Arm.DENSE:
            assert {name: int(each.sum()) for name, each in start.mask.items()} == counts, arm
            assert all(torch.equal(each, start.mask[name]) for name, each in nonzero_mask(start.model).items())
    for name, kept in mask.items():
        weight = model.get_parameter(name)
        assert torch.equal(arms[Arm.DENSE].model.get_parameter(name), weight)
        assert torch.equal(arms[Arm.REWOUND].model.get_parameter(name), torch.where(kept, weight, 0.0))
        assert torch.equal(arms[Arm.REINITIALISED].mask[name], kept)
        assert not torch.equal(arms[Arm.REINITIALISED].model.get_parameter(name)[kept], weight[kept])
        other = arms[Arm.RANDOM_MASK]
        assert not torch.equal(other.mask[name], kept)
        assert torch.equal(other.model.get_parameter(name), torch.where(other.mask[name], weight, 0.0))


def test_controls_of_a_seed_are_the_same_again_and_others_of_another():
    model = Mixed()
    mask = {name: torch.rand(each.shape) < 0.4 for name, each in full_mask(model).items()}
    for make in (controls.reinitialised, controls.random_mask):
        one, again, other = (make(model, mask, seed).model for seed in (1, 1, 2))
        assert same_state(one, again)
        assert not same_state(one, other)


def test_weights_drawn_anew_are_those_that_make_model_makes():
    def make_model():
        model = chain(6, 8, 3)
        nn.init.constant_(model[0].weight, 7.0)
        return model

    model = make_model()
    start = controls.reinitialised(model, full_mask(model), 3, make_model)
    assert (start.model[0].weight == 7.0).all()
    torch.manual_seed(3)
    assert same_state(start.model, make_model())


def test_parameters_that_nothing_draws_anew_are_named():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.position, self.layer = nn.Parameter(torch.randn(4)), nn.Linear(4, 4)

    model = nn.Sequential(Positions())
    with pytest.raises(InputError, match="drawn anew") as caught:
        controls.reinitialised(model, full_mask(model), 0)
    assert caught.value.value == "0: position"


@pytest.mark.parametrize("options", [{"rewind": 4, "steps": 4}, {"share": 1.0}, {"steps": 0}, {"scope": "here"}])
def test_values_that_make_no_search_are_refused(options):
    with pytest.raises(InputError):
        TicketSearch(**options)


def test_a_planted_ticket_beats_its_controls():
    """Known truth: the labels come from a small network that is one of the large one's, at its initial weights."""
    torch.manual_seed(1)
    model = chain(8, 64, 2)
    mask = {name: torch.zeros_like(each) for name, each in full_mask(model).items()}
    mask["0.weight"][:4] = True
    mask["2.weight"][:, :4] = True
    model[0].bias.data.zero_()
    model[2].bias.data.zero_()
    model[0].weight.data[:4] *= 4
    truth = controls.rewound(model, mask).model

    def get_batch(number):
        x = torch.randn(64, 8, generator=torch.Generator().manual_seed(number))
        return x, truth(x).argmax(1).detach()

    data, errors = Data(get_batch, cross_entropy), {}
    for arm, start in make_arms(model, mask, seed=0).items():
        x, targets = get_batch(99)
        errors[arm] = float((start.model(x).argmax(1) != targets).float().mean())
        assert data.loss_of(start.model, 0).isfinite()
    assert errors[Arm.REWOUND] == 0
    assert min(errors[arm] for arm in (Arm.REINITIALISED, Arm.RANDOM_MASK)) > 0.1
