"""Dense feed-forward layers become mixtures of experts, and are trained on with the routers' losses added.

Layers are found by form and verified by computing (assay.moe.dense); each has to be a module of its own.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from assay.checkpoints import Conversion
from assay.checkpoints.conversions import mixture
from assay.compress.choosing import Choice, Layer, check_patterns, is_named
from assay.compress.method import Converter
from assay.compress.settings import Mixture
from assay.errors import InputError
from assay.moe.dense import find_feed_forwards
from assay.moe.layer import collect_losses


class Mixer(Converter):
    """What is done to a model on the way to one with mixtures of experts.

    Args:
        method: the mixture.
        choice: its layers.
        width: of an expert.
    """

    def __init__(self, method: Mixture, choice: Choice, width: int) -> None:
        settings = {"experts": method.experts, "per_token": method.per_token, "width": width, "modules": choice.names}
        self.conversion = Conversion(mixture.NAME, settings)

    def convert(self, model: nn.Module) -> nn.Module:
        """The dense model with experts that are shards of its layers."""
        return mixture.to_mixtures(model, self.conversion.settings)

    def training_loss(self, model: nn.Module, loss: Any) -> Any:
        """The training's loss with the routers' (load balance and z-loss), each with the layer's own weight."""
        return loss + collect_losses(model)


def choose_feed_forwards(model: nn.Module, method: Mixture, modules: str = "") -> tuple[Choice, int]:
    """All feed-forward layers or those that patterns name, and the experts' width.

    Raises InputError where there is none, a pattern fits none, or they cannot be cut into experts of one width.
    """
    found = {each.name: each for each in find_feed_forwards(model)}
    check_patterns(modules, found, "feed-forward layer")
    chosen = {name: each for name, each in found.items() if not modules or is_named(name, modules)}
    linears = {name for name, each in model.named_modules() if isinstance(each, nn.Linear)}
    if not chosen:
        raise InputError(
            "there is no feed-forward layer to convert", value=f"linear layers: {', '.join(sorted(linears))}"[:600],
            rule="a module of its own: linear, a known activation, linear back to the same width, with or without a "
            "gate",
            next_step="put the two linear layers and what lies between into one module",
        )  # fmt: skip
    width = method.width_in(min(each.dense.intermediate_size for each in chosen.values()))
    if width < 1:
        raise InputError("the feed-forward layers are too narrow for these experts", value=str(method),
                         rule="an expert is one wide at least", next_step="name a --width")  # fmt: skip
    layers = []
    for name, each in chosen.items():
        mixture.shards_of(each, method.experts, width)
        wide, active = each.dense.intermediate_size, method.per_token * width
        words = f"{method.experts} experts of {width}, {method.per_token} for a token: {active} instead of {wide}"
        layers.append(Layer(name, wide, each.dense.hidden_size, words))
    inside = {name for name in linears if any(name.startswith(f"{each}.") or name == each for each in chosen)}
    left = dict.fromkeys(sorted(linears - inside), "not of a feed-forward layer that is converted")
    return Choice(tuple(layers), left), width
