"""Our experts inside transformers' own models: one registration serves every model that uses its experts interface.

    from assay.moe import register_with_transformers

    model = AutoModelForCausalLM.from_pretrained(..., experts_implementation=register_with_transformers())

The model keeps its router, its weights and its checkpoints; only the products of its experts are ours. Needs
transformers 5, whose models store experts as stacked tensors. Quantised experts (FP8) have functions of their own there
and do not come here.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from torch import Tensor

from assay.errors import InputError, MachineError
from assay.moe.dispatch import combine, rows_of_experts
from assay.moe.experts import add_bias
from assay.sparse.grouped import gathered_mm, grouped_mm

EXPERTS_IMPLEMENTATION = "assay"
"""Our name in transformers' registry, for experts_implementation=."""


def experts_forward(module: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """The forward function of transformers' experts.

    Args:
        module: what transformers' `use_experts_implementation` decorates: gate_up_proj [E, 2I, H] or up_proj [E, I, H],
            down_proj [E, H, I] (the last two axes swapped where `is_transposed`), with biases where `has_bias`.
        hidden_states: [T, H].
        top_k_index: integers [T, k]; E or more stands for an expert of another process.
        top_k_weights: [T, k].

    Returns [T, H] in the dtype of hidden_states, computed in that of the weights. Raises InputError for weights that
    are not floating-point.
    """
    name = "gate_up_proj" if module.has_gate else "up_proj"
    first, second = getattr(module, name), module.down_proj
    if not (first.is_floating_point() and first.dtype.itemsize >= 2):
        raise InputError(
            "these experts are quantised",
            value=f"{name} of {first.dtype}",
            rule="experts of 16 bits or more",
            next_step="load the model without quantisation, or choose another experts_implementation",
        )
    if not module.is_transposed:
        first, second = first.transpose(1, 2), second.transpose(1, 2)
    biases = (getattr(module, f"{name}_bias"), module.down_proj_bias) if module.has_bias else (None, None)
    activation = module._apply_gate if module.has_gate else module.act_fn
    rows, order = rows_of_experts(top_k_index, module.num_experts)
    hidden = gathered_mm(hidden_states.to(first.dtype), first, rows.ends, rows.token_of_row)
    hidden = activation(add_bias(hidden, biases[0], rows))
    values = add_bias(grouped_mm(hidden, second, offs=rows.ends), biases[1], rows)
    if getattr(module, "has_post_expert_norm", False):
        values = module.post_expert_norm(values)
    gates = top_k_weights.flatten().index_select(0, order)
    return combine(values, rows, gates, hidden_states.shape[0]).to(hidden_states.dtype)


def register_with_transformers() -> str:
    """Registers `experts_forward` with transformers and returns its name there, `EXPERTS_IMPLEMENTATION`.

    Raises MachineError where transformers is absent or older than its experts interface (5.0).
    """
    found = importlib.util.find_spec("transformers") is not None
    try:
        moe = importlib.import_module("transformers.integrations.moe")
        moe.ALL_EXPERTS_FUNCTIONS.register(EXPERTS_IMPLEMENTATION, experts_forward)
    except (ImportError, AttributeError) as error:
        raise MachineError(
            "transformers is too old for its experts interface" if found else "transformers is not installed",
            value=str(error),
            rule="transformers 5 or later",
            next_step="pip install 'transformers>=5'",
        ) from error
    return EXPERTS_IMPLEMENTATION
