"""A device candidate from a traced graph: the CPU generator's program and fusion, written as Triton."""

from __future__ import annotations

import json

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.finish import finished
from assay.engineer.codegen.fuse import fuse
from assay.engineer.codegen.lower import lower
from assay.engineer.codegen.program import Program
from assay.engineer.graph import Graph
from assay.engineer.triton.attention import with_attention
from assay.engineer.triton.emit import write
from assay.engineer.triton.products import Precision
from assay.engineer.triton.scatters import without_scatters
from assay.engineer.triton.schedule import Schedule
from assay.engineer.triton.source import DeviceSource
from assay.engineer.triton.splitting import with_splits

HEAD = "# schedule "
"""How a generated file's last line begins: whoever finds it later can tell how it was made."""


def generate(graph: Graph, schedule: Schedule, precision: Precision = Precision.IEEE) -> DeviceSource:
    """Triton for the graph. Raises Unsupported where an operator has no generator or a step no kernel."""
    program = without_scatters(lower(graph, keep=schedule.keep))
    _shape_outputs(program, graph)
    steps = with_attention(program, finished(fuse(program, apart=schedule.apart)))
    made = write(program, with_splits(program, steps, schedule), schedule, precision)
    return DeviceSource(f"{made.text}\n{HEAD}{json.dumps(schedule.to_json())}\n", made.plan)


def _shape_outputs(program: Program, graph: Graph) -> None:
    """Outputs as the caller sees them; a buffer that was found to hold one may have been another shape's."""
    types = {node.name: node.types for node in graph.nodes}
    for buffer, name, order in zip(program.outputs, graph.outputs, graph.orders, strict=True):
        kinds = types[name]
        if len(kinds) == 1 and kinds[0] is not None:
            shape = kinds[0].shape
            strides = dict(zip(order, ix.contiguous([shape[d] for d in order]), strict=True))
            found = program.buffers[buffer]
            found.shape, found.stride = shape, tuple(strides[d] for d in range(len(shape)))
