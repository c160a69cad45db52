"""Pruned layers on disk: each takes the form that its weights have, and nothing else."""

import pytest
import torch
from torch import nn

from assay.checkpoints import Conversion, load_model, write_folder
from assay.checkpoints.conversions.pruned import to_pruned, to_sparse
from assay.errors import InputError
from assay.sparse.unstructured import SparseLinear

SOURCE = """
from torch import nn

def make_model():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten(),
        nn.Linear(8 * 16, 70), nn.ReLU(), nn.Linear(70, 10),
    )
"""
CONVERSION = Conversion("pruned", {"modules": ["0", "1", "3", "5", "7"]})


def pruned_model(channels, seed=0):
    torch.manual_seed(seed)
    names = {}
    exec(SOURCE, names)
    model = names["make_model"]()
    model[0], model[1] = nn.Conv2d(1, channels, 3), nn.Identity()
    model[3], model[5] = nn.Conv2d(channels, channels, 3, groups=channels), nn.Linear(channels * 16, 33)
    with torch.no_grad():
        model[5].weight[torch.rand_like(model[5].weight) < 0.9] = 0
    model[5], model[7] = to_sparse(model[5]), nn.Linear(33, 10)
    return model.eval()


def test_seeds_with_different_sizes_load_from_one_folder(tmp_path):
    models = {seed: pruned_model(channels, seed) for seed, channels in enumerate((5, 3))}
    write_folder(tmp_path / "model", SOURCE, models, (CONVERSION,))
    x = torch.randn(4, 1, 8, 8)
    for seed, model in models.items():
        loaded = load_model(tmp_path / "model", seed)
        assert loaded(x).equal(model(x))
        assert isinstance(loaded[5], SparseLinear)
        assert isinstance(loaded[1], nn.Identity)
        assert loaded[0].out_channels == (5, 3)[seed]


def test_a_layer_that_lost_nothing_loads_as_it_is(tmp_path):
    names = {}
    exec(SOURCE, names)
    model = names["make_model"]().eval()
    write_folder(tmp_path / "model", SOURCE, model, (CONVERSION,))
    x = torch.randn(2, 1, 8, 8)
    assert load_model(tmp_path / "model")(x).equal(model(x))


def test_a_bias_that_came_with_folding_is_loaded():
    model = to_pruned(nn.Sequential(nn.Linear(4, 3, bias=False)), {"modules": ["0"]})
    state = {"0.weight": torch.randn(2, 4), "0.bias": torch.randn(2)}
    model.load_state_dict(state)
    assert model[0].bias.equal(state["0.bias"])


@pytest.mark.parametrize(("modules", "said"), [(["9"], "no such module"), (["2"], "ReLU"), ("0", "no settings")])
def test_settings_that_do_not_fit_are_refused(modules, said):
    with pytest.raises(InputError, match=r"conversion|settings") as caught:
        to_pruned(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.ReLU()), {"modules": modules})
    assert said in str(caught.value)


def test_a_sparse_layer_whose_shape_is_no_shape_is_refused():
    layer = to_sparse(nn.Linear(4, 3))
    state = {f"0.{key}": value for key, value in layer.state_dict().items()}
    state["0.shape"] = torch.tensor([0, 4])
    model = to_pruned(nn.Sequential(nn.Linear(4, 3)), {"modules": ["0"]})
    with pytest.raises(InputError, match="damaged"):
        model.load_state_dict(state)
