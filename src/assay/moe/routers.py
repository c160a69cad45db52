"""Routers: who computes which token. All work in float32 (float64 for float64 layers), whatever the layer's dtype.

- `TopKRouter`: each token takes its k best experts. Dropless and causal.
- `BiasRouter`: the same, with a bias an expert that evens out the load without a loss (DeepSeek-V3).
- `ExpertChoiceRouter`: each expert takes its best tokens. Balanced by construction, but NOT causal: whether a token is
  taken depends on later tokens of the batch, so a language model trained with it sees the future, and generates token
  by token from a distribution that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import InputError
from assay.moe.dispatch import Rows, rows_of_experts, rows_of_tokens
from assay.moe.finite import checked_logits
from assay.moe.routing import Routing, expert_capacity
from assay.sparse.operators import is_direct
from assay.sparse.routing import gate, route

SCORINGS = ("softmax", "sigmoid")


class TopKRouter(nn.Module):
    """Each token takes the k experts of its highest scores.

    Args:
        hidden_size: H.
        num_experts: E.
        num_experts_per_tok: k.
        scoring: "softmax" over all experts and then the top k (Mixtral, OLMoE), or "sigmoid" (DeepSeek-V3).
        norm_topk_prob: whether the k gates of a token are divided by their sum. With k = 1 they are then 1 whatever
            the router says, so that only the auxiliary losses train it.
        capacity_factor: None takes every token; else an expert takes at most `expert_capacity` rows.
        device: where the weight lives.
        dtype: of the weight.
    """

    def __init__(
        self,
        hidden_size: int,
        num_experts: int,
        num_experts_per_tok: int,
        *,
        scoring: str = "softmax",
        norm_topk_prob: bool = True,
        capacity_factor: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if scoring not in SCORINGS:
            raise InputError("there is no scoring of this name", value=repr(scoring), rule=f"one of {SCORINGS}")
        self.num_experts, self.num_experts_per_tok = num_experts, num_experts_per_tok
        self.scoring, self.norm_topk_prob, self.capacity_factor = scoring, norm_topk_prob, capacity_factor
        self.weight = nn.Parameter(torch.empty(num_experts, hidden_size, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal with 0.02, the initializer_range of Hugging Face's configurations."""
        nn.init.normal_(self.weight, std=0.02)

    def scores(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """logits, scores and probabilities of x [T, H], each [T, E]. Raises InputError where a logit is not finite."""
        wide = torch.promote_types(x.dtype, torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            logits = functional.linear(x.to(wide), self.weight.to(wide))
        logits = checked_logits(logits, x, self.weight)
        if self.scoring == "softmax":
            scores = logits.softmax(1)
            return logits, scores, scores
        scores = logits.sigmoid()
        return logits, scores, _shares(scores, scores.sum(1, keepdim=True))

    def capacity(self, tokens: int) -> int | None:
        """Rows that one expert takes at most of so many tokens; None without a limit."""
        if self.capacity_factor is None:
            return None
        return expert_capacity(tokens, self.num_experts, self.num_experts_per_tok, self.capacity_factor)

    def preferences(self, scores: Tensor) -> Tensor:
        """[T, E]: what a token's experts are the largest of."""
        return scores.detach()

    def _at_once(self, x: Tensor) -> Routing | None:
        """What `forward` returns, by one native call; None where that cannot be: with gradients, a capacity, NaN."""
        wide = torch.promote_types(x.dtype, torch.float32)
        logits = functional.linear(x.to(wide), self.weight.to(wide))
        bias = self.selection_bias.to(wide) if isinstance(self, BiasRouter) else None
        options: dict[str, Any] = {"sigmoid": self.scoring == "sigmoid", "normalised": self.norm_topk_prob}
        found = gate(logits, self.num_experts_per_tok, bias=bias, **options)
        if found is None:
            return None
        scores, _, ends, _, token_of_row, gates = found
        probabilities = _shares(scores, scores.sum(1, keepdim=True)) if self.scoring == "sigmoid" else scores
        return Routing(logits, probabilities, gates, Rows(token_of_row, ends, ends))

    def forward(self, x: Tensor) -> Routing:
        """Routes x [T, H]. Raises InputError where x or the weights hold NaN or infinity."""
        if self.capacity_factor is None and is_direct(x, self.weight) and not torch.is_autocast_enabled("cpu"):
            found = self._at_once(x)
            if found is not None:
                return found
        logits, scores, probabilities = self.scores(x)
        index, ends, order, token_of_row = route(self.preferences(scores), self.num_experts_per_tok)
        gates = scores.gather(1, index)
        if self.norm_topk_prob:
            gates = _shares(gates, gates.sum(1, keepdim=True))
        rows, capacity = Rows(token_of_row, ends, ends), self.capacity(x.shape[0])
        if capacity is not None:
            rows, order = rows_of_experts(index, self.num_experts, capacity)
        return Routing(logits, probabilities, gates.flatten().index_select(0, order), rows)

    def extra_repr(self) -> str:
        """For print."""
        return f"{self.num_experts} experts, {self.num_experts_per_tok} per token, scoring={self.scoring}"


class BiasRouter(TopKRouter):
    """Top-k by score + bias; the gates come from the scores alone.

    DeepSeek-V3, arXiv 2412.19437, section 2.1.2; arXiv 2408.15664. In training every forward moves each expert's bias
    by `bias_update_rate` towards the mean load. Where one optimiser step has several forwards (gradient accumulation,
    activation checkpointing, which repeats forwards, or several processes), set the rate to 0 and call `update_bias`
    once a step with the sum of the `expert_counts`.

    Args:
        bias_update_rate: 0.001 in both papers.
        others: as `TopKRouter`.
    """

    selection_bias: Tensor
    """float32 [E], in the state dict; stays float32 when the module is cast."""

    def __init__(self, *args: Any, bias_update_rate: float = 1e-3, **others: Any) -> None:
        super().__init__(*args, **others)
        self.bias_update_rate = bias_update_rate
        zeros = torch.zeros(self.num_experts, dtype=torch.float32, device=self.weight.device)
        self.register_buffer("selection_bias", zeros)

    @torch.no_grad()
    def update_bias(self, expert_counts: Tensor, rate: float) -> None:
        """Raises the bias of experts below the mean of expert_counts [E] by `rate`, lowers that of those above."""
        load = expert_counts.to(torch.float32)
        self.selection_bias.add_((load.mean() - load).sign(), alpha=rate)

    def preferences(self, scores: Tensor) -> Tensor:
        """[T, E]: the scores with the bias."""
        return scores.detach() + self.selection_bias

    def forward(self, x: Tensor) -> Routing:
        """Routes x [T, H]; in training, then moves the bias."""
        routing = super().forward(x)
        if self.training and self.bias_update_rate:
            self.update_bias(routing.expert_load, self.bias_update_rate)
        return routing

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> BiasRouter:
        exact = self.selection_bias
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # PyTorch has no types for it.
        if self.selection_bias.dtype != torch.float32:
            self.selection_bias = exact.to(self.selection_bias.device)
        return self


class ExpertChoiceRouter(TopKRouter):
    """Each expert takes the tokens of its highest scores: `expert_capacity` of them, of all tokens given.

    arXiv 2202.09368. Not causal (see the module's text). A token may be taken by no expert: such tokens are reported as
    dropped. `norm_topk_prob` divides a token's gates by their sum over the experts that took it, as sparse upcycling
    does (arXiv 2212.05055); a capacity_factor of None means 1.
    """

    def capacity(self, tokens: int) -> int:
        """Tokens that each expert takes."""
        factor = 1.0 if self.capacity_factor is None else self.capacity_factor
        return expert_capacity(tokens, self.num_experts, self.num_experts_per_tok, factor)

    def forward(self, x: Tensor) -> Routing:
        """Routes x [T, H]. Raises InputError where x or the weights hold NaN or infinity."""
        logits, scores, probabilities = self.scores(x)
        gates, tokens = scores.T.topk(self.capacity(x.shape[0]), dim=1)
        if self.norm_topk_prob:
            sums = gates.new_zeros(x.shape[0]).index_add(0, tokens.flatten(), gates.flatten())
            gates = _shares(gates, sums[tokens])
        return Routing(logits, probabilities, gates.flatten(), rows_of_tokens(tokens))


ROUTERS: dict[str, type[TopKRouter]] = {
    "top_k": TopKRouter,
    "bias": BiasRouter,
    "expert_choice": ExpertChoiceRouter,
}
"""By the names that `MoE` takes."""


def _shares(scores: Tensor, sums: Tensor) -> Tensor:
    """scores / sums, 0 where all of them underflowed."""
    return scores / sums.clamp(min=torch.finfo(sums.dtype).smallest_normal)
