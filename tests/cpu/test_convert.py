"""Modules in memory as tasks: the graph's key, its weights by name, and what cannot be exported."""

import pytest
import torch
from torch import nn

from assay.engineer.convert import convert, key_of
from assay.engineer.places import measure_places
from assay.errors import InputError


class Block(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.scale = nn.Parameter(torch.full((width,), 3.0))

    def forward(self, x):
        return torch.nn.functional.silu(self.norm(x)) * self.scale


def run(converted):
    space = {}
    exec(converted.task.files[0].text, space)
    return space


def test_a_converted_module_computes_what_the_module_does():
    block, x = Block().eval(), torch.randn(8, 64)
    space = run(convert(block, (x,), "block"))
    model = space["Model"]()
    for mine, name in zip(model.state_dict().values(), convert(block, (x,), "b").weight_names, strict=True):
        mine.copy_(block.state_dict()[name])
    torch.testing.assert_close(model(x)[0], block(x))


def test_its_weights_are_drawn_like_the_modules_own():
    model = run(convert(Block().eval(), (torch.randn(8, 64),), "block"))["Model"]()
    assert float(model.state_dict()["p_scale"].mean()) == pytest.approx(3.0, abs=0.5)


def test_no_number_of_the_module_is_in_the_task():
    block = Block().eval()
    with torch.no_grad():
        block.scale[0] = 1234.5678
    assert "1234.5" not in convert(block, (torch.randn(8, 64),), "block").task.files[0].text


def test_equal_graphs_have_one_key_and_other_shapes_another():
    a, b, wide = Block().eval(), Block().eval(), Block(128).eval()
    x = torch.randn(8, 64)
    assert convert(a, (x,), "a").key == convert(b, (x,), "b").key
    assert convert(a, (torch.randn(9, 64),), "a").key != convert(a, (x,), "a").key
    assert convert(wide, (torch.randn(8, 128),), "a").key != convert(a, (x,), "a").key
    assert key_of(convert(a, (x,), "a").task) == convert(a, (x,), "a").key


def test_control_flow_on_data_is_refused_with_torchs_words():
    class Branch(nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(InputError, match="exported"):
        convert(Branch(), (torch.randn(4),), "branch")


def test_places_are_ranked_by_their_share_of_the_time():
    class Slow(nn.Module):
        def forward(self, x):
            for _ in range(200):
                x = torch.tanh(x)
            return x

    model = nn.Sequential(nn.ReLU(), Slow(), nn.ReLU())
    places = measure_places(model, (torch.randn(64, 64),))
    assert [place.name for place in places[:2]] == ["", "1"]
    assert places[0].share == pytest.approx(1.0)
    assert places[1].share > 0.7


def test_measuring_leaves_no_hook_behind():
    model = nn.Sequential(nn.ReLU())
    measure_places(model, (torch.randn(4),))
    assert not model._forward_hooks
    assert not model[0]._forward_pre_hooks
