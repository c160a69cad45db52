"""One call from a model to a pruned one, and what every method promises."""

import copy

import pytest
import torch
from torch import nn

from assay import pruning
from assay.errors import InputError
from assay.pruning.masks import full_mask, kept_weights
from assay.pruning.registry import METHODS, make_hparams
from tests.pruning.models import IMAGES, Mixed, chain, vectors

QUICK = {"steps": 12, "interval": 3}
OPTIONS = {"set": QUICK, "rigl": QUICK, "movement": {"steps": 5}, "synflow": {"steps": 10}, "sparsegpt": {"block": 16}}
"""What makes a method quick enough for tests."""


def fingerprint(model):
    """All that a method must leave as it was."""
    values = {name: each.clone() for name, each in model.state_dict().items()}
    grads = {name: None if each.grad is None else each.grad.clone() for name, each in model.named_parameters()}
    flags = {name: (each.requires_grad, each._version) for name, each in model.named_parameters()}
    modules = {
        name: (each.training, len(each._forward_hooks), len(each._forward_pre_hooks), set(vars(each)))
        for name, each in model.named_modules()
    }
    return values, grads, flags, modules, torch.get_rng_state()


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    return a == b


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_leaves_model_mask_gradients_mode_and_random_numbers_as_they_were(name, training):
    model = Mixed().train(training)
    IMAGES.loss_of(model, 0).backward()
    model.head.weight.grad = None
    model.hidden.weight.requires_grad_(False)
    mask = full_mask(model)
    mask["hidden.weight"][0] = False
    before, mask_before = fingerprint(model), copy.deepcopy(mask)
    METHODS[name].method(make_hparams(name, {"sparsity": 0.6, **OPTIONS.get(name, {})}), model, IMAGES, mask)
    after = fingerprint(model)
    assert all(same(a, b) for a, b in zip(before, after, strict=True))
    assert same(mask, mask_before)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_prunes_exactly_the_share_and_gives_the_same_again(name):
    model = Mixed()
    mask = full_mask(model)
    hparams = make_hparams(name, {"sparsity": 0.7, "seed": 3, **OPTIONS.get(name, {})})
    found = METHODS[name].method(hparams, model, IMAGES, mask)
    total = kept_weights(mask)
    assert kept_weights(found) == total - round(0.7 * total)
    assert same(found, METHODS[name].method(hparams, model, IMAGES, mask))


STAY_GONE = [name for name in METHODS if name not in ("set", "rigl")]


@pytest.mark.parametrize("name", STAY_GONE)
def test_what_a_mask_has_taken_stays_gone(name):
    model = Mixed()
    mask = pruning.prune(model, "random", 0.5).mask
    hparams = make_hparams(name, {"sparsity": 0.75, **OPTIONS.get(name, {})})
    found = METHODS[name].method(hparams, model, IMAGES, mask)
    assert all((found[each] <= mask[each]).all() for each in mask)
    assert kept_weights(found) == mask_size(mask) - round(0.75 * mask_size(mask))


def mask_size(mask):
    return sum(each.numel() for each in mask.values())


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.needs_data])
def test_a_method_that_learns_from_batches_says_so_without_any(name):
    with pytest.raises(InputError, match="needs data"):
        pruning.prune(Mixed(), name)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan"), "0.5"])
def test_a_sparsity_that_is_no_share_is_refused(name, sparsity):
    with pytest.raises(InputError, match="no share"):
        pruning.prune(Mixed(), name, sparsity, IMAGES)


def test_a_copy_is_pruned_and_in_place_the_model_itself():
    model = chain(6, 8, 3)
    before = copy.deepcopy(model.state_dict())
    pruned = pruning.prune(model, sparsity=0.5)
    assert pruned.model is not model
    assert same(dict(model.state_dict()), dict(before))
    assert pruning.density(pruning.nonzero_mask(pruned.model)) == 0.5 == pruned.after
    assert pruning.prune(model, sparsity=0.5, in_place=True).model is model
    assert same(dict(model.state_dict()), dict(pruned.model.state_dict()))


def test_the_smallest_weights_go():
    model = chain(6, 8, 3)
    pruned = pruning.prune(model, sparsity=0.5)
    all_ = torch.cat([model[at].weight.detach().abs().flatten() for at in (0, 2)])
    kept = torch.cat([pruned.mask[name].flatten() for name in ("0.weight", "2.weight")])
    assert all_[kept].min() > all_[~kept].max()


def test_local_pruning_takes_the_same_share_of_every_layer():
    model = chain(6, 8, 3)
    model[0].weight.data.mul_(1.5)
    assert pruning.prune(model, sparsity=0.5, scope="local").mask["0.weight"].sum() == 24
    assert pruning.prune(model, sparsity=0.5).mask["0.weight"].sum() > 24


def test_a_pruned_model_goes_on_from_its_zeros_and_says_so():
    once = pruning.prune(chain(6, 8, 3), sparsity=0.5)
    with pytest.warns(UserWarning, match="50.0000% of the weights are zero already"):
        twice = pruning.prune(once.model, "random", 0.75)
    assert (twice.before, twice.after) == (0.5, 0.25)
    assert all((twice.mask[name] <= once.mask[name]).all() for name in once.mask)
    with pytest.warns(UserWarning, match="already"), pytest.raises(InputError, match="sparser already"):
        pruning.prune(once.model, sparsity=0.3)


def test_a_layer_that_starts_at_zero_is_not_given_up_unasked():
    model = chain(6, 8, 3)
    nn.init.zeros_(model[2].weight)
    with pytest.raises(InputError, match="all zero"):
        pruning.prune(model, sparsity=0.5)
    assert pruning.prune(model, sparsity=0.5, mask=full_mask(model), scope="local").after == 0.5


def test_a_fraction_that_would_empty_a_layer_names_it():
    model = chain(6, 8, 3)
    model[2].weight.data.mul_(1e-3)
    with pytest.raises(InputError, match="lose all its weights") as caught:
        pruning.prune(model, sparsity=0.5)
    assert caught.value.value == "2.weight"
    assert pruning.prune(model, sparsity=0.5, minimum=4).mask["2.weight"].sum() == 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"method": "magic"}, "no such method"), ({"steps": 3}, "no such option"), ({"scope": "here"}, "no such scope"),
     ({"minimum": -1}, "too small")],
)  # fmt: skip
def test_unknown_methods_options_and_values_are_refused_with_the_choices(arguments, reason):
    with pytest.raises(InputError, match=reason):
        pruning.prune(chain(6, 8, 3), **arguments)


def test_a_loss_that_is_not_finite_fails_or_is_no_number_is_an_error_that_names_the_batch():
    data = vectors(6)
    for loss in (lambda model, x, t: model(x), lambda model, x, t: model(x).sum() * float("nan"), lambda model: 1):
        with pytest.raises(InputError, match="loss of a batch"):
            pruning.Data(data.get_batch, loss).loss_of(chain(6, 8, 3), 0)


def test_the_package_loads_without_torch():
    import subprocess
    import sys

    code = "import sys, assay.pruning as p; assert 'torch' not in sys.modules; p.prune; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
