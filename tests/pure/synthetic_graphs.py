"""Graphs as a tracer would write them."""

from assay.engineer.graph import read_graph

ROWS, COLS = ["s", "s1"], ["s", "s2"]


def tensor(shape, stride=None, dtype="float32"):
    strides = stride or [["*", *shape[d + 1 :]] if shape[d + 1 :] else 1 for d in range(len(shape))]
    return {"shape": shape, "stride": strides, "dtype": dtype}


def node(name, op, args, out):
    return {"name": name, "op": op, "args": args, "kwargs": {}, "out": [out]}


def ref(name):
    return {"node": name}


def graph_data(nodes, outputs, shape=(ROWS, COLS)):
    first = {"name": "x", "op": "placeholder", "args": [], "out": [tensor(list(shape))]}
    return {
        "nodes": [first, *nodes], "outputs": [ref(o) for o in outputs], "placeholders": ["x"], "arguments": ["tensor"],
        "weights": [], "orders": [list(range(len(shape)))] * len(outputs), "hints": {"s1": 64, "s2": 128},
    }  # fmt: skip


def softmax_data():
    full, row = tensor([ROWS, COLS]), tensor([ROWS])
    wide = [{"size": ROWS}, {"size": COLS}]
    return graph_data(
        [
            node("m", "prims.amax.default", [ref("x"), [1]], row),
            node("mb", "prims.broadcast_in_dim.default", [ref("m"), wide, [0]], full),
            node("d", "prims.sub.default", [ref("x"), ref("mb")], full),
            node("e", "prims.exp.default", [ref("d")], full),
            node("s", "prims.sum.default", [ref("e"), [1]], row),
            node("sb", "prims.broadcast_in_dim.default", [ref("s"), wide, [0]], full),
            node("y", "prims.div.default", [ref("e"), ref("sb")], full),
        ],
        ["y"],
    )


def softmax():
    return read_graph(softmax_data())
