"""Dense models become mixtures of experts of the same function, and what cannot is left or refused."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

from assay.errors import InputError
from assay.moe import MoEFeedForward, collect_losses, find_feed_forwards, upcycle

H, I = 8, 12  # noqa: E741  # The layer's two widths, by their letters in its documentation.


class FeedForward(nn.Module):
    """fc1, an activation in the code of forward, dropout, fc2."""

    def __init__(self, activation=functional.gelu, bias=True):
        super().__init__()
        self.fc1, self.fc2, self.drop = nn.Linear(H, I, bias), nn.Linear(I, H, bias), nn.Dropout(0.1)
        self.activation = activation

    def forward(self, x):
        return self.fc2(self.drop(self.activation(self.fc1(x))))


class SwiGLU(nn.Module):
    """Llama's names."""

    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(H, I, bias=False), nn.Linear(H, I)
        self.down_proj = nn.Linear(I, H)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Conv1D(nn.Module):
    """A linear layer with GPT-2's storage."""

    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf)), nn.Parameter(torch.randn(nf))

    def forward(self, x):
        return x @ self.weight + self.bias


class OfConv1D(nn.Module):
    """GPT-2's names."""

    def __init__(self):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(I, H), Conv1D(H, I)

    def forward(self, x):
        return self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.norm, self.feed_forward = nn.LayerNorm(H), layer

    def forward(self, x):
        return x + self.feed_forward(self.norm(x))


def sequential():
    return nn.Sequential(nn.Linear(H, I), nn.ReLU(), nn.Dropout(0.5), nn.Linear(I, H), nn.Dropout(0.5))


DENSE = {
    "fc": FeedForward,
    "relu squared": lambda: FeedForward(lambda x: functional.relu(x) ** 2, bias=False),
    "swiglu": SwiGLU,
    "conv1d": OfConv1D,
    "sequential": sequential,
}


@pytest.mark.parametrize("kind", DENSE)
@pytest.mark.parametrize(
    ("experts", "per_tok", "granularity", "options"),
    [
        (4, 2, 1, {}),
        (8, 4, 2, {"router": "bias", "scoring": "sigmoid", "shared_intermediate_size": 5}),
        (12, 4, 4, {}),
        (6, 6, 3, {}),
        (3, 2, 1, {"router": "expert_choice"}),
    ],
)
def test_the_upcycled_model_computes_the_same_function(kind, experts, per_tok, granularity, options):
    dense = nn.Sequential(Block(DENSE[kind]()), Block(DENSE[kind]())).double().eval()
    result = upcycle(dense, num_experts=experts, num_experts_per_tok=per_tok, granularity=granularity, **options)
    x = torch.randn(3, 7, H, dtype=torch.float64)
    assert len(result.converted) == 2
    assert result.equal_at_start == ("expert_choice" not in options.values())
    if result.equal_at_start:
        torch.testing.assert_close(result.model(x), dense(x))
    assert sum(isinstance(m, MoEFeedForward) for m in result.model.modules()) == 2
    assert not any(isinstance(m, MoEFeedForward) for m in dense.modules())


def test_expert_choice_is_exact_for_every_token_that_an_expert_takes():
    dense = FeedForward().double().eval()
    model = upcycle(dense, num_experts=4, num_experts_per_tok=2, router="expert_choice", capacity_factor=0.5).model
    x = torch.randn(40, H, dtype=torch.float64)
    out = model(x)
    served = torch.zeros(40, dtype=torch.bool)
    served[model.last_output.routing.rows.token_of_row] = True
    torch.testing.assert_close(out[served], dense(x)[served])
    assert model.last_output.dropped_tokens == (~served).sum() > 0


def test_noise_capacity_and_raw_gates_are_not_called_equal():
    dense = FeedForward().double().eval()
    x = torch.randn(9, H, dtype=torch.float64)
    for options in ({"noise": 0.1}, {"capacity_factor": 0.5}, {"norm_topk_prob": False}):
        result = upcycle(dense, num_experts=4, num_experts_per_tok=2, **options)
        assert not result.equal_at_start
        assert not torch.allclose(result.model(x), dense(x))


def test_noise_makes_experts_differ_by_its_share_of_each_matrix():
    dense = FeedForward().double()
    experts = upcycle(dense, num_experts=50, num_experts_per_tok=2, noise=0.1).model.moe.experts
    for stacked, weight in ((experts.up_proj, dense.fc1.weight), (experts.down_proj, dense.fc2.weight)):
        assert (stacked - weight).std().item() == pytest.approx(0.1 * weight.std().item(), rel=0.05)


def test_a_zero_down_projection_does_not_hide_the_activation():
    dense = FeedForward(functional.relu)
    nn.init.zeros_(dense.fc2.weight)
    nn.init.zeros_(dense.fc2.bias)
    assert [found.activation for found in find_feed_forwards(dense)] == ["relu"]


def test_both_kinds_of_gelu_are_told_apart():
    tanh = FeedForward(lambda x: functional.gelu(x, approximate="tanh"))
    model = nn.Sequential(Block(FeedForward()), Block(tanh))
    assert [found.activation for found in find_feed_forwards(model)] == ["gelu", "gelu_pytorch_tanh"]


def test_what_only_looks_like_a_feed_forward_layer_is_left_alone():
    class Residual(FeedForward):
        def forward(self, x):
            return x + super().forward(x)

    class TwoInputs(FeedForward):
        def forward(self, x, mask):
            return super().forward(x) * mask

    class Lookup(FeedForward):
        def forward(self, x):
            return super().forward(x.hidden)

    narrowing = nn.Sequential(nn.Linear(H, I), nn.ReLU(), nn.Linear(I, 3))
    hard = nn.Sequential(nn.Linear(H, I), nn.Hardswish(), nn.Linear(I, H))
    attention = nn.TransformerEncoderLayer(H, 2, I)
    model = nn.ModuleList([Residual(), TwoInputs(), Lookup(), narrowing, hard, attention])
    assert find_feed_forwards(model) == ()
    with pytest.raises(InputError, match="no dense feed-forward layer"):
        upcycle(model, num_experts=4, num_experts_per_tok=2)


def test_named_modules_alone_are_converted_and_unknown_names_are_refused():
    dense = nn.ModuleDict({"a": Block(FeedForward()), "b": Block(FeedForward()), "c": Block(sequential())})
    assert [found.name for found in find_feed_forwards(dense)] == [
        "a.feed_forward",
        "b.feed_forward",
        "c.feed_forward.0",
    ]
    result = upcycle(dense, num_experts=4, num_experts_per_tok=2, modules=["c", "b.feed_forward"])
    assert result.converted == ("b.feed_forward", "c.feed_forward.0")
    assert isinstance(result.model["a"].feed_forward, FeedForward)
    with pytest.raises(InputError, match=r"in 'b\.feed'"):
        upcycle(dense, num_experts=4, num_experts_per_tok=2, modules=["b.feed"])


def test_a_shared_layer_is_converted_once_and_stays_shared():
    layer = FeedForward()
    result = upcycle(nn.Sequential(Block(layer), Block(layer)), num_experts=4, num_experts_per_tok=2)
    assert result.converted == ("0.feed_forward",)
    assert result.model[0].feed_forward is result.model[1].feed_forward


def test_the_rest_of_a_sequential_keeps_its_names_and_the_model_trains():
    dense = nn.Sequential(nn.LayerNorm(H), *sequential(), nn.Linear(H, 2))
    model = upcycle(dense, num_experts=4, num_experts_per_tok=2).model
    assert set(dense.state_dict()) - set(model.state_dict()) == {"1.weight", "1.bias", "4.weight", "4.bias"}
    torch.testing.assert_close(model.eval()(torch.ones(3, H)), dense.eval()(torch.ones(3, H)))
    (model.train()(torch.randn(20, H)).sum() + collect_losses(model)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_model_that_already_has_experts_is_not_upcycled_again():
    model = upcycle(FeedForward(), num_experts=4, num_experts_per_tok=2, shared_intermediate_size=I).model
    assert find_feed_forwards(model) == ()


@pytest.mark.parametrize(
    "options",
    [
        {"num_experts": 5, "num_experts_per_tok": 2, "granularity": 2},
        {"num_experts": 4, "num_experts_per_tok": 3, "granularity": 2},
        {"num_experts": 10, "num_experts_per_tok": 5, "granularity": 5},
        {"num_experts": 4, "num_experts_per_tok": 2, "granularity": 0},
    ],
    ids=str,
)
def test_sizes_that_cannot_be_cut_into_shards_are_refused(options):
    with pytest.raises(InputError, match="cannot be cut into shards"):
        upcycle(FeedForward(), **options)


def test_half_precision_models_keep_their_dtype():
    model = upcycle(FeedForward().to(torch.bfloat16), num_experts=4, num_experts_per_tok=2).model
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
def test_transformers_dense_models_give_the_same_logits(family):
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
             "num_attention_heads": 2, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    dense = getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**sizes)).double().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        result = upcycle(dense, num_experts=8, num_experts_per_tok=4, granularity=2)
    assert len(result.converted) == 2
    tokens = torch.randint(3, 50, (2, 9))
    torch.testing.assert_close(result.model(tokens).last_hidden_state, dense(tokens).last_hidden_state)
