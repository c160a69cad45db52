"""Pruned weights stay at exactly zero, whatever the optimiser, and the model stays what it is."""

import pytest
import torch

from assay.errors import InputError
from assay.pruning.masks import full_mask, nonzero_mask
from assay.pruning.methods.magnitude import magnitude
from assay.pruning.protocol import Ranked
from assay.pruning.training import Masked
from tests.pruning.models import chain, vectors

OPTIMIZERS = {
    "SGD with momentum": lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9, weight_decay=0.01),
    "SGD with Nesterov's momentum": lambda ps: torch.optim.SGD(ps, 0.1, momentum=0.9, nesterov=True),
    "Adam": lambda ps: torch.optim.Adam(ps, 0.01, weight_decay=0.01),
    "Adam, fused, amsgrad": lambda ps: torch.optim.Adam(ps, 0.01, fused=True, amsgrad=True),
    "AdamW": lambda ps: torch.optim.AdamW(ps, 0.01),
    "RMSprop": lambda ps: torch.optim.RMSprop(ps, 0.01, momentum=0.9, centered=True),
    "Adafactor": lambda ps: torch.optim.Adafactor(ps, 0.01),
}
DATA = vectors(6)


def train(model, optimizer, masked, steps=5, first=0):
    for number in range(first, first + steps):
        DATA.loss_of(model, number).backward()
        if masked:
            masked.before_step()
        optimizer.step()
        if masked:
            masked.after_step()
        optimizer.zero_grad()


def half(model):
    return magnitude(Ranked(0.5), model, None, full_mask(model))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_weights_and_what_the_optimiser_keeps_for_them_stay_zero(name):
    model = chain(6, 8, 3)
    optimizer = OPTIMIZERS[name](model.parameters())
    train(model, optimizer, None)  # so that moments of the weights that go are not zero
    before = model[0].weight.detach().clone()
    mask = half(model)
    masked = Masked(model, mask, optimizer)
    for step in range(5):
        train(model, optimizer, masked, steps=1, first=step)
        assert not any(model.get_parameter(each)[~kept].any() for each, kept in mask.items())
    for each, kept in mask.items():
        parameter = model.get_parameter(each)
        for state in optimizer.state[parameter].values():
            if isinstance(state, torch.Tensor) and state.shape == parameter.shape:
                assert not state[~kept].any()
    kept = mask["0.weight"]
    assert (model[0].weight[kept] != before[kept]).any(), "the others are trained"


@pytest.mark.parametrize("name", ["SGD with momentum", "AdamW"])
def test_without_it_pruned_weights_move(name):
    model = chain(6, 8, 3)
    optimizer = OPTIMIZERS[name](model.parameters())
    mask = half(model)
    Masked(model, mask, optimizer)
    train(model, optimizer, None)
    assert any(model.get_parameter(each)[~kept].any() for each, kept in mask.items())


def test_kept_weights_train_as_those_of_a_model_that_lacks_the_others():
    """Against the definition: a model whose weights are w * mask, trained by autograd."""
    model, steps = chain(6, 3, bias=False).double(), 4
    mask = half(model)
    kept = mask["0.weight"]
    reference = torch.where(kept, model[0].weight.detach(), 0.0).requires_grad_()
    velocity = torch.zeros_like(reference)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    masked = Masked(model, mask, optimizer)
    data = vectors(6, dtype=torch.float64)
    for number in range(steps):
        data.loss_of(model, number).backward()
        masked.before_step()
        optimizer.step()
        masked.after_step()
        optimizer.zero_grad()
        x, targets = data.get_batch(number)
        loss = torch.nn.functional.cross_entropy(x @ (reference * kept).T, targets)
        (grad,) = torch.autograd.grad(loss, reference)
        velocity = 0.9 * velocity + grad
        reference = (reference - 0.1 * velocity).detach().requires_grad_()
    torch.testing.assert_close(model[0].weight, reference)


def test_a_weight_that_comes_back_does_so_as_zero_without_a_history():
    model = chain(6, 8, 3)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    masked = Masked(model, half(model), optimizer)
    train(model, optimizer, masked)
    other = {name: ~kept for name, kept in masked.mask.items()}
    masked.set_mask(other)
    back = other["0.weight"]
    assert not model[0].weight.any(), "what comes back is zero, what was there is gone"
    assert not optimizer.state[model[0].weight]["exp_avg"].any()
    train(model, optimizer, masked, steps=2)
    assert (nonzero_mask(model)["0.weight"] <= back).all()
    assert model[0].weight.any()


def test_gradients_of_pruned_weights_do_not_count_for_clipping():
    model = chain(6, 8, 3)
    mask = half(model)
    masked = Masked(model, mask, torch.optim.SGD(model.parameters(), 0.1))
    DATA.loss_of(model, 0).backward()
    masked.before_step()
    assert not any(model.get_parameter(each).grad[~kept].any() for each, kept in mask.items())


def test_the_mask_cannot_be_changed_from_outside_and_forward_stays():
    model = chain(6, 8, 3)
    masked = Masked(model, half(model), torch.optim.SGD(model.parameters(), 0.1))
    masked.mask["0.weight"].fill_(True)
    assert not masked.mask["0.weight"].all()
    assert not any(
        each._forward_hooks or each._forward_pre_hooks or "forward" in vars(each) for each in model.modules()
    )


def test_a_mask_of_another_model_is_refused():
    model = chain(6, 8, 3)
    with pytest.raises(InputError, match="does not fit"):
        Masked(model, full_mask(chain(6, 9, 3)), torch.optim.SGD(model.parameters(), 0.1))
