"""A device candidate from a traced graph: the CPU generator's program and fusion, written as Triton."""

from __future__ import annotations

import json

from assay.engineer.codegen.finish import finished
from assay.engineer.codegen.fuse import fuse
from assay.engineer.codegen.lower import lower
from assay.engineer.gpu.emit import write
from assay.engineer.gpu.products import Precision
from assay.engineer.gpu.scatters import without_scatters
from assay.engineer.gpu.schedule import Schedule
from assay.engineer.gpu.source import DeviceSource
from assay.engineer.graph import Graph

HEAD = "# schedule "
"""How a generated file's last line begins: whoever finds it later can tell how it was made."""


def generate(graph: Graph, schedule: Schedule, precision: Precision = Precision.IEEE) -> DeviceSource:
    """Triton for the graph. Raises Unsupported where an operator has no generator or a step no kernel."""
    program = without_scatters(lower(graph, keep=schedule.keep))
    made = write(program, finished(fuse(program, apart=schedule.apart)), schedule, precision)
    return DeviceSource(f"{made.text}\n{HEAD}{json.dumps(schedule.to_json())}\n", made.plan)
