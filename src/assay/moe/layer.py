"""A mixture of experts in the place of a feed-forward layer: router, experts, shared expert, and what routing cost."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.moe.activations import activate
from assay.moe.experts import Experts
from assay.moe.routers import ROUTERS, BiasRouter
from assay.moe.routing import MoEOutput, Routing


class SharedExpert(nn.Module):
    """The feed-forward network that every token passes, beside its experts."""

    def __init__(self, hidden_size: int, intermediate_size: int, activation: str, gated: bool, **linear: Any) -> None:
        super().__init__()
        self.activation, self.gated = activation, gated
        self.up = nn.Linear(hidden_size, intermediate_size * (2 if gated else 1), **linear)
        self.down = nn.Linear(intermediate_size, hidden_size, **linear)

    def forward(self, x: Tensor) -> Tensor:
        """x [tokens, H] to [tokens, H]."""
        out: Tensor = self.down(activate(self.up(x), self.activation, self.gated))
        return out


class MoE(nn.Module):
    """A mixture of experts. Names follow Hugging Face's configurations; see `assay.moe.experts` for the weights.

    `layer(x)` returns a `MoEOutput`; `layer.as_feed_forward()` is for a block that expects a tensor.

    Args:
        hidden_size: H, of the input and the output.
        moe_intermediate_size: I, of one expert.
        num_experts: E.
        num_experts_per_tok: k, how many a token takes (on average, with expert choice).
        router: "top_k", "bias" or "expert_choice", see `assay.moe.routers`. Expert choice is not causal.
        norm_topk_prob: whether a token's gates are divided by their sum.
        scoring: "softmax" or "sigmoid".
        activation: a name of `assay.moe.activations.ACTIVATIONS`, as Hugging Face's hidden_act.
        gated: experts with a gate, such as SwiGLU (activation "silu").
        shared_intermediate_size: width of the shared expert; 0 for none.
        capacity_factor: None computes every token (dropless). With a factor an expert takes at most that many times its
            balanced share of the tokens, and what is dropped is reported.
        bias: biases in the experts and the shared expert.
        router_aux_loss_coef: weight of the load balancing loss in `router_loss`. None is 0.01 for top_k (Switch
            Transformers, section 2.2) and 0 for the others, which balance without it.
        router_z_loss_coef: weight of the z-loss; 0.001 is ST-MoE's.
        bias_update_rate: of the "bias" router.
        device: where the parameters live.
        dtype: of all parameters; routing is computed in float32 at least.

    Raises InputError for arguments that no layer can honour.
    """

    def __init__(
        self,
        hidden_size: int,
        moe_intermediate_size: int,
        num_experts: int,
        num_experts_per_tok: int,
        *,
        router: str = "top_k",
        norm_topk_prob: bool = True,
        scoring: str = "softmax",
        activation: str = "gelu",
        gated: bool = False,
        shared_intermediate_size: int = 0,
        capacity_factor: float | None = None,
        bias: bool = False,
        router_aux_loss_coef: float | None = None,
        router_z_loss_coef: float = 0.001,
        bias_update_rate: float = 0.001,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_sizes(hidden_size, moe_intermediate_size, num_experts, num_experts_per_tok, capacity_factor, router)
        if num_experts_per_tok == 1 and norm_topk_prob and router != "expert_choice":
            warnings.warn(
                "one expert per token with norm_topk_prob=True: the gate is always 1, so the task's loss never trains "
                "the router; norm_topk_prob=False does",
                stacklevel=2,
            )
        self.hidden_size = hidden_size
        self._widths = (moe_intermediate_size, shared_intermediate_size)
        self._products = 3 if gated else 2
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        routing: dict[str, Any] = {
            "scoring": scoring,
            "norm_topk_prob": norm_topk_prob,
            "capacity_factor": capacity_factor,
        }
        own: dict[str, Any] = {"bias_update_rate": bias_update_rate} if ROUTERS[router] is BiasRouter else {}
        self.router = ROUTERS[router](hidden_size, num_experts, num_experts_per_tok, **routing, **own, **factory)
        shape: dict[str, Any] = {"activation": activation, "gated": gated, "bias": bias}
        self.experts = Experts(num_experts, hidden_size, moe_intermediate_size, **shape, **factory)
        self.shared_expert = (
            SharedExpert(hidden_size, shared_intermediate_size, **shape, **factory)
            if shared_intermediate_size
            else None
        )
        default_coef = 0.01 if router == "top_k" else 0.0
        self.router_aux_loss_coef = default_coef if router_aux_loss_coef is None else router_aux_loss_coef
        self.router_z_loss_coef = router_z_loss_coef

    def forward(self, x: Tensor) -> MoEOutput:
        """Routes and computes x [..., H].

        Raises InputError for another width or dtype than the weights' and for NaN or infinity in the router's logits.
        """
        self._check_input(x)
        tokens = x.reshape(-1, self.hidden_size)
        routing: Routing = self.router(tokens)
        out = self.experts(tokens, routing.rows, routing.gates)
        if self.shared_expert is not None:
            out = out + self.shared_expert(tokens)
        return MoEOutput(out.view(x.shape), routing, self.router_aux_loss_coef, self.router_z_loss_coef)

    def active_operations(self, rows: int) -> int:
        """Floating-point operations of the products for `rows` tokens: router, k experts each, the shared one.

        Tokens that a capacity drops count too.
        """
        router, (expert, shared) = self.router, self._widths
        wide = router.num_experts_per_tok * expert + shared
        return 2 * rows * self.hidden_size * (router.num_experts + self._products * wide)

    def as_feed_forward(self) -> MoEFeedForward:
        """This layer, to put where a tensor is expected."""
        return MoEFeedForward(self)

    def _check_input(self, x: Tensor) -> None:
        dtype = self.experts.dtype
        # Under autocast layers hand over what they please, and the experts cast, as linear layers do.
        if x.shape[-1:] != (self.hidden_size,) or (x.dtype != dtype and not torch.is_autocast_enabled(x.device.type)):
            raise InputError(
                "the input does not fit the mixture of experts",
                value=f"{x.dtype} of shape {tuple(x.shape)}",
                rule=f"{dtype} of shape [..., {self.hidden_size}]",
                next_step="cast the input or the layer, so that both have one dtype",
            )


class MoEFeedForward(nn.Module):
    """A drop-in for a feed-forward layer: returns the output alone and keeps the rest for `collect_losses`."""

    def __init__(self, moe: MoE) -> None:
        super().__init__()
        self.moe = moe
        self.last_output: MoEOutput | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x [..., H] to [..., H]."""
        output: MoEOutput = self.moe(x)
        self.last_output = output
        return output.hidden_states

    def __getstate__(self) -> dict[str, Any]:
        # Tensors inside an autograd graph can be neither copied nor pickled, and a copy has not run yet.
        return {**self.__dict__, "last_output": None}


def collect_losses(model: nn.Module) -> Tensor:
    """The sum of `router_loss` over the `MoEFeedForward` layers of a model, to add to the training loss.

    Takes each layer's last output and forgets it, so that no step counts a loss twice or keeps its graph alive. A layer
    that runs several times in a step counts with its last time.
    Raises InputError where a layer has not run since the last call, or where there is none.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, MoEFeedForward)}
    idle = [name for name, layer in layers.items() if layer.last_output is None]
    if idle or not layers:
        raise InputError(
            "there are no router losses to collect",
            value=f"layers that have not run: {', '.join(idle)}" if idle else "a model without MoEFeedForward",
            rule="every mixture of experts runs once between two calls",
            next_step="call collect_losses once after each forward pass of the whole model",
        )
    losses = []
    for layer in layers.values():
        assert layer.last_output is not None
        losses.append(layer.last_output.router_loss)
        layer.last_output = None
    return torch.stack(losses).sum()


def _check_sizes(
    hidden_size: int, width: int, num_experts: int, per_token: int, capacity_factor: float | None, router: str
) -> None:
    if router not in ROUTERS:
        raise InputError("there is no router of this name", value=repr(router), rule=f"one of {', '.join(ROUTERS)}")
    if min(hidden_size, width, num_experts) < 1 or not 1 <= per_token <= num_experts:
        raise InputError(
            "the sizes make no mixture of experts",
            value=f"hidden {hidden_size}, intermediate {width}, {num_experts} experts, {per_token} per token",
            rule="positive sizes and 1 <= num_experts_per_tok <= num_experts",
        )
    if capacity_factor is not None and not 0 < capacity_factor < float("inf"):
        raise InputError("this capacity factor serves nobody", value=str(capacity_factor), rule="above 0; None for all")
