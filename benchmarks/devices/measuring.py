"""One network, one seed: exported in float and in integers, and emulated on each device with all held-out inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from assay.errors import AssayError
from assay.export.device import DEVICES, measure
from assay.export.energy import SUPPLIES, cell_days, inference_joules
from assay.export.exporting import Data, Exported, ExportSettings, export_c99
from assay.export.network import Array, decisions
from benchmarks.devices.networks import NETWORKS, Subject

Row = dict[str, Any]
BITS = (32, 8)
INFERENCES_A_DAY = (24, 1440, 86_400)
"""One an hour, a minute, a second."""


def measure_network(name: str, seed: int, devices: tuple[str, ...]) -> Iterator[Row]:
    """A row for each width of numbers and each device; what cannot be built or run is a row with its reason."""
    subject = NETWORKS[name](seed)
    targets = subject.targets.reshape(len(subject.inputs), -1).numpy()
    for bits, device in ((bits, device) for bits in BITS for device in devices):
        exported = _export(subject, bits, device)
        kept, of = exported.case.read.weights
        common = {
            "network": name, "seed": seed, "bits": bits, "weights": of, "nonzero": kept,
            "in_program": exported.case.lean.weights[0], "forms": list(exported.program.forms.values()),
            "arena_bytes": exported.program.arena_bytes, "inputs": len(targets),
            "right_in_pytorch": exported.agreement.right_before, "decisions": int(targets.size),
            "other_decisions_on_host": exported.agreement.other_decisions,
            "accepted": exported.agreement.accepted, "device": device,
        }  # fmt: skip
        try:
            yield common | _emulated(exported, subject, targets, device)
        except AssayError as error:
            yield common | {"failed": " ".join(str(error).split())[:300]}


def _export(subject: Subject, bits: int, device: str) -> Exported:
    data = Data(subject.inputs, subject.calibration, subject.targets.numpy())
    return export_c99(subject.model, data, ExportSettings(bits=bits, decides=subject.decides, device=device))


def _emulated(exported: Exported, subject: Subject, targets: Array, device: str) -> Row:
    integer = exported.case.integer
    inputs = subject.inputs.to(torch.float32).numpy()
    found = measure(device, exported.program, inputs if integer is None else integer.takes.quantise(inputs))
    decided = found.outputs
    if not subject.decides:
        scale = 1.0 if integer is None else integer.output.scale
        decided = decisions(exported.case.read, found.outputs * scale).reshape(len(targets), -1)
    row: Row = {
        "right": int((decided == targets).sum()), "flash_bytes": found.flash_bytes, "ram_bytes": found.ram_bytes,
        "static_bytes": found.static_bytes, "stack_bytes": found.stack_bytes, "instructions": found.instructions,
        "cycles": found.cycles, "estimated_joules": None, "estimated_cell_days": None,
    }  # fmt: skip
    if found.cycles is not None and device in SUPPLIES:
        supply = SUPPLIES[device]
        row["estimated_joules"] = inference_joules(found.cycles, supply)
        row["estimated_cell_days"] = {str(n): cell_days(found.cycles, supply, n) for n in INFERENCES_A_DAY}
    return row


def all_devices() -> tuple[str, ...]:
    """In the order of the report."""
    return DEVICES


def accuracy(rows: list[Row], key: str) -> list[float]:
    """Of each row."""
    return [float(np.divide(row[key], row["decisions"])) for row in rows]
