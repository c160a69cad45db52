"""The C function of each stage."""

from __future__ import annotations

import contextlib
import math

from assay.export.c99.convolution import Convolution, Form, Place
from assay.export.c99.numerics import IntegerNumerics, Numerics
from assay.export.c99.plan import Stage
from assay.export.c99.text import Text, total
from assay.export.network import Add, Conv, Pool, PoolKind, Softmax, Window


def function_name(numerics: Numerics, stage: Stage) -> str:
    """Of a stage's function."""
    return f"{numerics.name}_layer_{'_'.join(map(str, stage.values))}"


def parameters(numerics: Numerics, stage: Stage) -> list[tuple[str, int, bool]]:
    """Name, value and whether it is written, in the order of a stage's parameters."""
    layer = numerics.network.layers[stage.values[0] - 1]
    read = [("x", layer.sources[0], False)]
    if len(layer.sources) > 1:
        read.append(("z", layer.sources[1], False))
    return [*read, *((f"v{value}", value, True) for value in stage.values[:-1]), ("y", stage.values[-1], True)]


def write_stage(text: Text, numerics: Numerics, stage: Stage, form: Form | None) -> dict[int, Form]:
    """Write the function; gives the form of each convolution in it."""
    declared = [f"{'' if written else 'const '}{numerics.element(value)} *{name}"
                for name, value, written in parameters(numerics, stage)]  # fmt: skip
    with text.block(f"static void {function_name(numerics, stage)}({', '.join(declared)})"):
        layer = numerics.network.layers[stage.values[0] - 1]
        match layer.operation:
            case Conv():
                return _write_convolutions(text, numerics, stage, form)
            case Pool():
                _write_pool(text, numerics, stage.values[0])
            case Add():
                _write_addition(text, numerics, stage.values[0])
            case Softmax():
                _write_softmax(text, numerics, stage.values[0])
    return {}


def _write_convolutions(text: Text, numerics: Numerics, stage: Stage, form: Form | None) -> dict[int, Form]:
    layer = numerics.network.layers[stage.values[0] - 1]
    assert isinstance(layer.operation, Conv)
    window, (_, rows, columns) = layer.operation.window, layer.shape
    positions, forms = rows * columns, {}
    with text.loop("i0", rows) as y, text.loop("j0", columns) as x:
        place, position = Place("x", layer.takes, y=y, x=x, is_edged=window.is_padded), total((y, columns), (x, 1))
        if positions > 1 and not window.is_padded:
            base = total((y, window.stride[0] * layer.takes[2]), (x, window.stride[1]))
            text.add(f"const {text.index_type} b = {base};")
            place = Place("x", layer.takes, "b")
        if positions > 1:
            text.add(f"const {text.index_type} p = {position};")
        for value in stage.values:
            is_last = value == stage.values[-1]
            written = Convolution(text, numerics, value, place, form)
            with text.block("") if len(stage.values) > 1 else contextlib.nullcontext():
                target = ("y", positions, "p" if positions > 1 else 0) if is_last else (f"v{value}", 1, 0)
                written.write(*target)
            forms[value] = written.form
            place = Place(f"v{value}", (len(numerics.network.layers[value - 1].operation.bias), 1, 1))  # type: ignore[union-attr]  # a stage of several is of convolutions
    return forms


def _write_pool(text: Text, numerics: Numerics, value: int) -> None:
    layer = numerics.network.layers[value - 1]
    assert isinstance(layer.operation, Pool)
    window, (channels, rows, columns) = layer.operation.window, layer.shape
    if window.is_point:
        channels, rows, columns = math.prod(layer.takes), 1, 1
    is_maximum = layer.operation.kind is PoolKind.MAX
    _, height, width = layer.takes if not window.is_point else (0, 1, 1)
    with text.loop("c", channels) as c, text.loop("i0", rows) as y, text.loop("j0", columns) as x:
        if window.is_point:
            text.add(f"{numerics.sum_type} a = x[{c}];")
        else:
            text.add(f"{numerics.sum_type} a = {numerics.least(layer.sources[0]) if is_maximum else '0'};")
            with contextlib.ExitStack() as stack:
                u = stack.enter_context(text.loop("u", window.size[0]))
                row = _pool_coordinate(stack, text, window, "r", (y, u), 0, height)
                v = stack.enter_context(text.loop("v", window.size[1]))
                column = _pool_coordinate(stack, text, window, "q", (x, v), 1, width)
                at = total((c, height * width), *((name, factor * width) for name, factor in row), *column)
                if is_maximum:
                    with text.block(f"if (x[{at}] > a)"):
                        text.add(f"a = x[{at}];")
                else:
                    text.add(f"a += x[{at}];")
        if not is_maximum:
            text.add(*numerics.average(window.size[0] * window.size[1]))
        lines, expression = numerics.finish(value, 0)
        text.add(*lines, f"y[{total((c, rows * columns), (y, columns), (x, 1))}] = {expression};")


def _pool_coordinate(
    stack: contextlib.ExitStack, text: Text, window: Window, name: str, place: tuple[str | int, str | int], axis: int,
    size: int,
) -> list[tuple[str | int, int]]:  # fmt: skip
    """Terms of a coordinate; where the window may reach beyond the edge, the condition that it does not."""
    terms = [(place[0], window.stride[axis]), (place[1], window.dilation[axis])]
    if not window.padding[axis]:
        return terms
    text.add(f"const {text.index_type} {name} = {total(*terms, -window.padding[axis])};")
    stack.enter_context(text.block(f"if ({name} >= 0 && {name} < {size})"))
    return [(name, 1)]


def _write_addition(text: Text, numerics: Numerics, value: int) -> None:
    with text.loop("i", math.prod(numerics.network.layers[value - 1].takes)) as i:
        text.add(f"{numerics.sum_type} a = {numerics.addition(value, f'x[{i}]', f'z[{i}]')};")
        lines, expression = numerics.finish(value, 0)
        text.add(*lines, f"y[{i}] = {expression};")


def _write_softmax(text: Text, numerics: Numerics, value: int) -> None:
    layer = numerics.network.layers[value - 1]
    count, kind = layer.takes[0], numerics.element(layer.sources[0])
    text.add(f"{kind} most = x[0];")
    with text.loop("i", count) as i, text.block(f"if (x[{i}] > most)"):
        text.add(f"most = x[{i}];")
    if not isinstance(numerics, IntegerNumerics):
        numerics.helpers.add("exp")
        text.add("float sum = 0.0f;")
        with text.loop("i", count) as i:
            text.add(f"y[{i}] = {numerics.name}_exp(x[{i}] - most);", f"sum += y[{i}];")
        with text.loop("i", count) as i:
            text.add(f"y[{i}] /= sum;")
        return
    step = numerics.integer.steps[value - 1]
    assert step.table is not None
    name, kind = f"{numerics.name}_curve_{value}", step.out.element.c_type
    numerics.tables[name] = ("uint16_t", name, step.table)
    text.add("int32_t sum = 0;")
    with text.loop("i", count) as i:
        text.add(f"sum += {name}[most - x[{i}]];")
    with text.loop("i", count) as i:
        text.add(f"y[{i}] = ({kind})(((int32_t){name}[most - x[{i}]] * {step.out.element.most} + sum / 2) / sum);")
