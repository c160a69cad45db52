"""A traced graph as JSON: nothing but names, numbers and lists, so that its reader has nothing to trust."""

from __future__ import annotations

from typing import Any


class Writer:
    """A traced graph as JSON."""

    def __init__(self, torch: Any, graph: Any, environment: Any, inputs: int, weights: list[str]) -> None:
        self._torch, self._graph, self._environment = torch, graph, environment
        self._inputs, self._weights = inputs, weights

    def written(self, arguments: list[Any]) -> dict[str, Any]:
        """All of it; `arguments` are what forward was called with."""
        nodes, outputs = [], []
        placeholders: list[str] = []
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                placeholders.append(node.name)
                nodes.append(
                    {"name": node.name, "op": "placeholder", "args": [], "out": [self._tensor(node.meta["val"])]}
                )
            elif node.op == "get_attr":
                nodes.append(self._constant(node))
            elif node.op == "output":
                outputs = [self._argument(a) for a in node.args[0]]
            else:
                nodes.append(self._called(node))
        kinds = ["tensor" if isinstance(a, self._torch.Tensor) else "scalar" if isinstance(a, float) else "fixed"
                 for a in arguments]  # fmt: skip
        return {"nodes": nodes, "outputs": outputs, "placeholders": placeholders, "arguments": kinds,
                "weights": self._weights}  # fmt: skip

    def _called(self, node: Any) -> dict[str, Any]:
        name = "getitem" if getattr(node.target, "__name__", "") == "getitem" else str(node.target)
        value = node.meta.get("val")
        values = value if isinstance(value, (tuple, list)) else [value]
        return {
            "name": node.name,
            "op": name,
            "args": [self._argument(a) for a in node.args],
            "kwargs": {key: self._argument(a) for key, a in node.kwargs.items()},
            "out": [self._tensor(v) for v in values],
        }

    def _constant(self, node: Any) -> dict[str, Any]:
        tensor = getattr(self._graph, str(node.target))
        if tensor.numel() != 1:
            raise NotImplementedError(f"a constant tensor of shape {tuple(tensor.shape)} inside forward")
        return {
            "name": node.name,
            "op": "constant",
            "args": [tensor.item()],
            "kwargs": {},
            "out": [self._tensor(tensor)],
        }

    def _tensor(self, value: Any) -> Any:
        torch = self._torch
        if isinstance(value, torch.Tensor):
            return {
                "shape": [self._size(s) for s in value.shape],
                "stride": [self._size(s) for s in value.stride()],
                "dtype": str(value.dtype).removeprefix("torch."),
            }
        if isinstance(value, (torch.SymInt, int)):
            return {"size": self._size(value)}
        return None

    def _argument(self, value: Any) -> Any:
        torch = self._torch
        if isinstance(value, torch.fx.Node):
            found = value.meta.get("val")
            number = isinstance(found, (torch.SymInt, torch.SymFloat, int))
            return {"size": self._size(found)} if number else {"node": value.name}
        if isinstance(value, (tuple, list)):
            return [self._argument(v) for v in value]
        if isinstance(value, (torch.SymInt, torch.SymFloat)):
            return {"size": self._size(value)}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return value if abs(value) < float("inf") else {"float": repr(value)}
        if isinstance(value, (torch.device, torch.layout, torch.memory_format)):
            return {"other": str(value)}
        raise NotImplementedError(f"an argument of type {type(value).__name__}")

    def _size(self, value: Any) -> Any:
        if isinstance(value, int):
            return value
        return _tree(self._environment.simplify(value.node.expr))


def _tree(expression: Any) -> Any:
    """A size as nested lists: numbers, ["s", name] and [operator, operand ...]."""
    if expression.is_Integer:
        return int(expression)
    if expression.is_Symbol:
        return ["s", expression.name]
    operators = {"Add": "+", "Mul": "*", "FloorDiv": "//", "CleanDiv": "//", "Mod": "%", "PythonMod": "%",
                 "Max": "max", "Min": "min"}  # fmt: skip
    name = type(expression).__name__
    if name == "FloatTrueDiv":
        return ["/", *map(_tree, expression.args)]
    if expression.is_Float:
        return {"float": repr(float(expression))}
    if name in ("ToFloat", "Identity"):
        return _tree(expression.args[0])
    if name == "Pow" and expression.args[1].is_Integer and expression.args[1] > 0:
        return ["*", *[_tree(expression.args[0])] * int(expression.args[1])]
    if name not in operators:
        raise NotImplementedError(f"a size that is {expression}")
    return [operators[name], *map(_tree, expression.args)]
