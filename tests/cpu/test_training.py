"""A training step by certified kernels: the same training, in the same tensors, with the original beside it."""

import copy
from dataclasses import replace

import pytest
import torch
from synthetic_certificates import CREATED, accepted
from torch import nn

from assay.applied.training import apply_to_training
from assay.engineer.codegen.generate import Schedule, generate
from assay.engineer.tracing import Tracing
from assay.engineer.training.gradients import convert_gradients
from assay.engineer.training.memory import flat_size
from assay.engineer.training.update import update_of
from assay.errors import InputError
from assay.report.certificate import make_certificate
from assay.report.signing import sign

STEPS = 6


class Net(nn.Module):
    """As many channels as images, so that axes of both have one size."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.second, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x):
        x = nn.functional.avg_pool2d(nn.functional.silu(self.norm(self.first(x))), 2)
        return self.head(nn.functional.silu(self.second(x)).mean((2, 3)))


def loss(model, x, y):
    return nn.functional.cross_entropy(model(x), y)


def batch(number):
    drawing = torch.Generator().manual_seed(number)
    return torch.randn(8, 3, 16, 16, generator=drawing), torch.randint(5, (8,), generator=drawing)


def start(make):
    torch.manual_seed(0)
    model = Net().train()
    return model, make(model.parameters())


def original(model, optimizer, data):
    optimizer.zero_grad()
    found = loss(model, *data)
    found.backward()
    optimizer.step()
    return float(found.detach())


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=0.01)


def certificates_of(make):
    """As after two accepted judgements: kernels as they are generated for both parts."""
    model, optimizer = start(make)
    gradients = convert_gradients(model, loss, batch(0), "net")
    update = update_of(optimizer, flat_size(list(model.parameters())))
    found = []
    with Tracing() as tracing:
        for task in (gradients.converted.task, update.task):
            judgement = replace(accepted(), task=task, candidate=generate(tracing.trace(task), Schedule(), "net"))
            found.append(sign(make_certificate(judgement, created=CREATED)))
    return found


@pytest.fixture(scope="module")
def certificates():
    return {make: certificates_of(make) for make in (sgd, adamw)}


def applied(make, certificates):
    model, optimizer = start(make)
    return model, optimizer, apply_to_training(model, optimizer, loss, certificates[make], batch(0))


@pytest.mark.parametrize("make", [sgd, adamw])
def test_it_trains_as_the_original_does_buffers_and_state_included(certificates, make):
    model, optimizer = start(make)
    ours, our_optimizer, step = applied(make, certificates)
    for number in range(STEPS):
        assert float(step(*batch(number))) == pytest.approx(original(model, optimizer, batch(number)), rel=1e-4)
    assert (step.calls.certified, step.calls.original) == (STEPS, 0)
    torch.testing.assert_close(ours.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        our_optimizer.state_dict()["state"], optimizer.state_dict()["state"], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("make", [sgd, adamw])
def test_kernels_and_original_take_turns_on_the_same_training(certificates, make):
    model, optimizer = start(make)
    ours, _, step = applied(make, certificates)
    for number in range(STEPS):
        data = tuple(one[: 5 if number in (2, 3) else 8] for one in batch(number))
        assert float(step(*data)) == pytest.approx(original(model, optimizer, data), rel=1e-4)
    assert (step.calls.certified, step.calls.reasons) == (STEPS - 2, {"another layout of the batch": 2})
    torch.testing.assert_close(ours.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)


def test_a_training_is_saved_and_goes_on_with_or_without_kernels(certificates):
    ours, our_optimizer, step = applied(adamw, certificates)
    for number in range(3):
        step(*batch(number))
    saved = copy.deepcopy((ours.state_dict(), our_optimizer.state_dict()))
    model, optimizer = start(adamw)
    again, again_optimizer, again_step = applied(adamw, certificates)
    for one in (model, again):
        one.load_state_dict(saved[0])
    for one in (optimizer, again_optimizer):
        one.load_state_dict(copy.deepcopy(saved[1]))
    assert float(again_step(*batch(3))) == pytest.approx(original(model, optimizer, batch(3)), rel=1e-4)
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)


def test_a_scheduler_may_change_the_learning_rate_and_other_options_call_the_original(certificates):
    model, optimizer = start(adamw)
    ours, our_optimizer, step = applied(adamw, certificates)
    for number in range(4):
        for one in (optimizer, our_optimizer):
            one.param_groups[0]["lr"] = 0.01 / (number + 1)
            one.param_groups[0]["weight_decay"] = 0.5 if number == 3 else 0.01
        step(*batch(number))
        original(model, optimizer, batch(number))
    assert step.calls.reasons == {"the optimiser's options have changed": 1}
    torch.testing.assert_close(ours.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)


def test_a_frozen_parameter_and_one_with_other_memory_are_left_to_the_original(certificates):
    model, optimizer = start(sgd)
    ours, _, step = applied(sgd, certificates)
    for number in range(4):
        if number == 2:
            for one in (model, ours):
                one.head.bias.data = torch.ones(5)
        assert float(step(*batch(number))) == pytest.approx(original(model, optimizer, batch(number)), rel=1e-4)
    assert step.calls.reasons == {"a parameter was frozen, or has other memory": 2}
    torch.testing.assert_close(ours.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)


def test_calls_on_the_same_memory_give_the_same_bits(certificates):
    """Threads that worked on one another's pieces gave other gradients at every call."""
    first = [applied(sgd, certificates) for _ in range(2)]
    for number in range(20):
        for _, _, step in first:
            step(*batch(number))
        for mine, other in zip(first[0][0].parameters(), first[1][0].parameters(), strict=True):
            assert torch.equal(mine, other)


def test_certificates_of_another_training_are_refused(certificates):
    model, optimizer = start(sgd)
    with pytest.raises(InputError, match="no certificate is about this training step"):
        apply_to_training(model, optimizer, loss, certificates[sgd], tuple(one[:5] for one in batch(0)))


@pytest.mark.parametrize("make", [sgd, adamw])
def test_without_a_kernel_for_the_update_the_optimiser_makes_it(certificates, make):
    model, optimizer = start(make)
    ours, our_optimizer = start(make)
    step = apply_to_training(ours, our_optimizer, loss, certificates[make][:1], batch(0))
    for number in range(STEPS):
        assert float(step(*batch(number))) == pytest.approx(original(model, optimizer, batch(number)), rel=1e-4)
    assert step.calls.certified == STEPS
    torch.testing.assert_close(ours.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)
    assert all(parameter.grad is None for parameter in ours.parameters())


def test_a_model_that_draws_random_numbers_has_no_certified_step():
    class Random(Net):
        def forward(self, x):
            return nn.functional.dropout(super().forward(x), 0.5, self.training)

    with pytest.raises(InputError, match="random"):
        convert_gradients(Random().train(), loss, batch(0), "net")


def test_a_batch_that_is_not_a_tuple_of_tensors_is_said():
    with pytest.raises(InputError, match="tuple of tensors"):
        convert_gradients(Net().train(), loss, (batch(0)[0], 3), "net")


def test_a_parameter_without_a_gradient_is_named():
    class Idle(Net):
        def __init__(self):
            super().__init__()
            self.idle = nn.Parameter(torch.ones(3))

    with pytest.raises(InputError, match="takes no part"):
        convert_gradients(Idle().train(), loss, batch(0), "net")


def test_a_parameter_whose_gradient_is_only_rounding_is_named():
    model = Net().train()
    model.first = nn.Conv2d(3, 8, 3, padding=1)
    with pytest.raises(InputError, match=r"first\.bias"):
        convert_gradients(model, loss, batch(0), "net")
