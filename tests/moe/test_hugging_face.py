"""Our experts through transformers' interface: on a module of its form, and in its own models where it is installed."""

import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional

from assay.errors import InputError, MachineError
from assay.moe import dispatch
from assay.moe.hugging_face import experts_forward, register_with_transformers


class TheirExperts(nn.Module):
    """The attributes that transformers gives an experts module."""

    num_experts, has_post_expert_norm = 4, False

    def __init__(self, has_gate, has_bias, is_transposed):
        super().__init__()
        self.has_gate, self.has_bias, self.is_transposed = has_gate, has_bias, is_transposed
        self.act_fn = functional.silu
        first, wide = ("gate_up_proj", 10) if has_gate else ("up_proj", 5)
        shapes = {first: (4, wide, 6), "down_proj": (4, 6, 5)}
        for name, (e, out, into) in shapes.items():
            shape = (e, into, out) if is_transposed else (e, out, into)
            self.register_parameter(name, nn.Parameter(torch.randn(shape, dtype=torch.float64)))
            if has_bias:
                self.register_parameter(f"{name}_bias", nn.Parameter(torch.randn(e, out, dtype=torch.float64)))

    def _apply_gate(self, hidden):
        return self.act_fn(hidden[..., ::2]) * hidden[..., 1::2]

    def one(self, e, token):
        def project(name, x):
            weight = getattr(self, name)[e].T if self.is_transposed else getattr(self, name)[e]
            return functional.linear(x, weight, getattr(self, f"{name}_bias")[e] if self.has_bias else None)

        hidden = project("gate_up_proj" if self.has_gate else "up_proj", token)
        return project("down_proj", self._apply_gate(hidden) if self.has_gate else self.act_fn(hidden))


@pytest.mark.parametrize("has_gate", [True, False])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("is_transposed", [True, False])
def test_a_module_of_their_form_is_computed_as_a_loop_over_tokens_does(has_gate, has_bias, is_transposed):
    module = TheirExperts(has_gate, has_bias, is_transposed)
    x = torch.randn(7, 6, dtype=torch.float64)
    index = torch.rand(7, 4).topk(2).indices
    weights = torch.rand(7, 2, dtype=torch.float64)
    wanted = [sum(w * module.one(e, t) for w, e in zip(weights[i], index[i], strict=True)) for i, t in enumerate(x)]
    torch.testing.assert_close(experts_forward(module, x, index, weights), torch.stack(wanted))


def test_experts_of_another_process_add_nothing():
    module = TheirExperts(True, True, False)
    x, index = torch.randn(3, 6, dtype=torch.float64), torch.tensor([[1, 4], [4, 4], [4, 0]])
    weights = torch.tensor([[0.5, 0.0], [0.0, 0.0], [0.0, 0.25]], dtype=torch.float64)
    wanted = torch.stack([0.5 * module.one(1, x[0]), torch.zeros_like(x[1]), 0.25 * module.one(0, x[2])])
    torch.testing.assert_close(experts_forward(module, x, index, weights), wanted)


def test_half_precision_weights_decide_the_arithmetic_and_the_input_the_dtype():
    module = TheirExperts(True, False, False).to(torch.bfloat16)
    out = experts_forward(module, torch.randn(3, 6), torch.tensor([[0, 1]] * 3), torch.full((3, 2), 0.5))
    assert out.dtype == torch.float32


def test_quantised_experts_are_refused():
    module = TheirExperts(True, False, False)
    module.gate_up_proj = nn.Parameter(module.gate_up_proj.to(torch.float8_e4m3fn), requires_grad=False)
    with pytest.raises(InputError, match="quantised"):
        experts_forward(module, torch.randn(3, 6), torch.tensor([[0, 1]] * 3), torch.full((3, 2), 0.5))


def test_an_old_or_missing_transformers_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers.integrations.moe", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MachineError, match="not installed"):
        register_with_transformers()
    monkeypatch.setitem(sys.modules, "transformers", types.ModuleType("transformers"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(MachineError, match="too old"):
        register_with_transformers()


TINY = {
    "vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "moe_intermediate_size": 12, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "num_experts": 4, "num_local_experts": 4,
    "num_experts_per_tok": 2, "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize("family", ["Mixtral", "Qwen3Moe", "Olmoe", "GptOss"])
def test_their_models_give_the_same_logits_and_gradients_with_our_experts(family, monkeypatch):
    transformers = pytest.importorskip("transformers", minversion="5.0")
    calls = []
    monkeypatch.setattr(
        "assay.moe.hugging_face.rows_of_experts", lambda *a: calls.append(a) or dispatch.rows_of_experts(*a)
    )
    register_with_transformers()
    config = getattr(transformers, f"{family}Config")(**TINY)
    model = getattr(transformers, f"{family}ForCausalLM")(config).double().eval()
    tokens = torch.randint(3, 50, (2, 9))
    results = []
    for implementation in ("eager", "assay"):
        model.set_experts_implementation(implementation)
        model.zero_grad()
        out = model(tokens, labels=tokens)
        out.loss.backward()
        results.append([out.logits, *[p.grad.clone() for p in model.parameters()]])
    torch.testing.assert_close(*results)
    assert len(calls) == TINY["num_hidden_layers"]
