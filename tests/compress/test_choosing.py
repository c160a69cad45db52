"""Which layers are converted, and the reason that is given for every other one."""

import pytest
import torch
from torch import nn

from assay.compress.choosing import choose_linears
from assay.compress.mixing import choose_feed_forwards
from assay.compress.preparing import prepare
from assay.compress.settings import CompressSettings, Mixture, Sparse
from assay.errors import InputError


class Many(nn.Module):
    """Layers of every kind that is left as it is, each with its reason."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.wide, self.uneven, self.small = nn.Linear(32, 64), nn.Linear(64, 50), nn.Linear(50, 16)
        self.frozen = nn.Linear(16, 64).requires_grad_(False)
        self.tied, self.twin, self.idle = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
        self.twin.weight = self.tied.weight
        self.twice = nn.Linear(64, 64)
        self.again = self.twice
        self.hooked = nn.utils.spectral_norm(nn.Linear(64, 64))
        self.attention = nn.MultiheadAttention(64, 2, batch_first=True)
        self.head = nn.Linear(64, 64)

    def forward(self, x):
        x = self.frozen(self.small(self.uneven(self.wide(x))))
        x = self.hooked(self.again(self.twice(self.twin(self.tied(x)))))
        return self.head(x + self.attention(x[:, None], x[:, None], x[:, None])[0][:, 0]) * self.scale


def mean(model, x):
    return model(x).mean()


def test_every_layer_that_stays_has_its_reason():
    choice = choose_linears(Many(), mean, [torch.randn(2, 32)], Sparse(0.5, 8))
    assert choice.names == ["wide", "uneven"]
    reasons = {
        "small": "16 x 50 is small: 32", "frozen": "frozen", "tied": "shared", "twin": "shared", "idle": "not called",
        "twice": "shared", "hooked": "it has hooks", "attention.out_proj": "NonDynamicallyQuantizableLinear",
        "head": "the head",
    }  # fmt: skip
    assert choice.left.keys() == reasons.keys()
    assert not {name: choice.left[name] for name, words in reasons.items() if words not in choice.left[name]}


def test_paddings_and_blocks_that_stay_are_told():
    choice = choose_linears(Many(), mean, [torch.randn(2, 32)], Sparse(0.75, 8))
    assert choice.layers[0].becomes == "8 of 32 blocks of 8"
    assert choice.layers[1].becomes == "14 of 56 blocks of 8, padded by 6 x 0 to whole blocks"


def test_patterns_choose_whatever_the_size_but_nothing_that_cannot_be_replaced():
    choice = choose_linears(Many(), mean, [torch.randn(2, 32)], Sparse(0.5, 8), "sma*, head ,twin,wide")
    assert choice.names == ["wide", "small", "head"]
    assert choice.left["uneven"] == "not named"
    assert "shared" in choice.left["twin"]


def test_a_layer_that_would_keep_no_block_stays():
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    with pytest.raises(InputError, match=r"no layer to convert[\s\S]*0: no block of 16 would remain"):
        choose_linears(model, mean, [torch.randn(2, 64)], Sparse(0.99, 16))


def test_patterns_that_fit_nothing_list_the_names():
    with pytest.raises(InputError, match=r"no linear layer has such a name[\s\S]*blocks[\s\S]*wide, uneven, small"):
        choose_linears(Many(), mean, [torch.randn(2, 32)], Sparse(0.5, 8), "blocks.*")


def test_a_model_without_layers_of_the_size_says_what_was_looked_at(training):
    with pytest.raises(InputError, match=r"no layer to convert[\s\S]*first: 40 x 32 is small"):
        prepare(training, CompressSettings(Sparse(0.5, 64)))


def test_a_mixture_is_half_as_wide_as_the_dense_layer_where_no_width_is_named(training):
    compression = prepare(training, CompressSettings(Mixture(8, 2)))
    assert compression.choice.names == ["feed_forward"]
    assert compression.choice.layers[0].becomes == "8 experts of 16, 2 for a token: 32 instead of 64"
    assert set(compression.choice.left) == {"first", "head"}


def test_mixtures_need_a_feed_forward_layer_of_its_own_and_a_width_that_divides_it():
    with pytest.raises(InputError, match="no feed-forward layer to convert"):
        choose_feed_forwards(nn.Sequential(nn.Linear(8, 8)), Mixture(4, 2))
    model = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 8))
    with pytest.raises(InputError, match="cannot be cut into experts"):
        choose_feed_forwards(model, Mixture(4, 2, 5))
    with pytest.raises(InputError, match="too narrow"):
        choose_feed_forwards(model, Mixture(32, 16))
    with pytest.raises(InputError, match="no feed-forward layer has such a name"):
        choose_feed_forwards(model, Mixture(4, 2), "ffn*")
