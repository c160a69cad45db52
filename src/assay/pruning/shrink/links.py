"""Which layer's units only one other layer reads, so that they can go from both."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from torch import Size, fx, nn

from assay.pruning.shrink.passing import is_elementwise, is_flatten, is_pool, module_of, words_of_node

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_LAYERS = (nn.Linear, *_CONVOLUTIONS)


@dataclass(frozen=True, slots=True)
class Link:
    """A layer, what its output passes, and the layer that reads it.

    Args:
        producer, consumer: names of modules.
        between: nodes in order.
        columns: how many inputs of the consumer a unit is, next to each other.
    """

    producer: str
    consumer: str
    between: tuple[fx.Node, ...]
    columns: int


def find_links(traced: fx.GraphModule) -> tuple[list[Link], dict[str, str]]:
    """The links of a traced model whose nodes know their shapes, and for other layers the reason that there is none."""
    modules = Counter(id(module_of(node)) for node in traced.graph.nodes if node.op == "call_module")
    parameters = Counter(id(each) for _, each in traced.named_parameters(remove_duplicate=False))
    parameters.update(id(_attribute(traced, node)) for node in traced.graph.nodes if node.op == "get_attr")
    links, left = [], {}
    for node in traced.graph.nodes:
        if not isinstance(module_of(node), _LAYERS):
            continue
        found = _obstacle(node, modules, parameters) or _follow(node, modules, parameters)
        if isinstance(found, Link):
            links.append(found)
        else:
            left[str(node.target)] = found
    return links, left


def _follow(node: fx.Node, modules: Counter[int], parameters: Counter[int]) -> Link | str:
    """The link that begins with a layer, or why there is none."""
    convolution, flat, here = not isinstance(module_of(node), nn.Linear), False, node
    between: list[fx.Node] = []
    while True:
        if len(here.users) != 1:
            return f"its output goes to {len(here.users)} places"
        here = next(iter(here.users))
        if here.op == "output":
            return "its output is the model's"
        if isinstance(module_of(here), _LAYERS):
            return _obstacle(here, modules, parameters) or _link(node, tuple(between), here, flat)
        flattens = is_flatten(here) and (convolution or len(_shape(here.all_input_nodes[0])) == 2)
        if not (is_elementwise(here) or flattens or (is_pool(here) and convolution and not flat)):
            return f"its output goes into {words_of_node(here)}"
        flat = flat or flattens
        between.append(here)


def _link(node: fx.Node, between: tuple[fx.Node, ...], last: fx.Node, flat: bool) -> Link | str:
    producer, consumer = module_of(node), module_of(last)
    names = str(node.target), str(last.target)
    unbatched = f"{names[0]} or {names[1]} runs on an input without a batch"
    if isinstance(producer, nn.Linear):
        return (
            Link(*names, between, 1)
            if isinstance(consumer, nn.Linear)
            else f"its output goes into {names[1]}, no Linear"
        )
    assert isinstance(producer, _CONVOLUTIONS)
    if len(_shape(node)) != 2 + len(producer.kernel_size):
        return unbatched
    if isinstance(consumer, nn.Linear):
        area = consumer.in_features // producer.out_channels
        return Link(*names, between, area) if flat else f"{names[1]} reads places, not channels"
    return Link(*names, between, 1) if not flat else unbatched


def _obstacle(node: fx.Node, modules: Counter[int], parameters: Counter[int]) -> str:
    """Why a layer cannot be cut; empty where it can."""
    layer = module_of(node)
    assert layer is not None
    if type(layer) not in _LAYERS:
        return f"{node.target} is a {type(layer).__name__}, of which others may use more"
    if modules[id(layer)] > 1 or any(parameters[id(each)] > 1 for each in layer.parameters()):
        return f"{node.target} is used in several places"
    if layer._forward_hooks or layer._forward_pre_hooks or "weight" not in layer._parameters:
        return f"{node.target} has hooks or a parametrization"
    if getattr(layer, "groups", 1) > 1:
        return f"{node.target} has {layer.groups} groups"
    return ""


def _shape(node: fx.Node) -> Size:
    shape: Size = node.meta["tensor_meta"].shape
    return shape


def _attribute(traced: fx.GraphModule, node: fx.Node) -> object:
    found: object = traced
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found
