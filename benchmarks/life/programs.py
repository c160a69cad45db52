"""One-step networks as programs: every one of the 512 patches, by C99 in float and in integers, and by ONNX."""

from __future__ import annotations

import time

import torch
from torch import nn

from assay.export.exporting import Data, ExportSettings, export_c99, export_onnx
from benchmarks.life import rules
from benchmarks.life.network import LifeNetwork
from benchmarks.life.record import Row

KINDS = ("C99, float", "C99, int8", "ONNX")


def prove_programs(name: str, network: LifeNetwork) -> Row:
    """A row: how many of the 512 answers are wrong, PyTorch's own and then each program's, and how long each file is.

    A program is compared with PyTorch on all patches, and PyTorch with the rule: where none of PyTorch's is wrong,
    what differs from it is what is wrong.
    """
    patches = torch.from_numpy(rules.all_patches()[:, None]).float()
    begun = time.process_time()
    with torch.inference_mode():
        alive = (network.logits(patches) > 0).reshape(-1).numpy()
    row: Row = {"name": name, "pytorch_wrong": int((alive != rules.TRUTH).sum())}
    row |= {kind: _program(kind, nn.Sequential(network, nn.Flatten()), Data(patches, patches)) for kind in KINDS}
    return {**row, "cpu_s": round(time.process_time() - begun, 2)}


def _program(kind: str, model: nn.Module, data: Data) -> Row:
    settings = ExportSettings("life", 8 if kind.endswith("int8") else 32, decides=True, binary=True)
    if kind == "ONNX":
        content, agreement = export_onnx(model, data, settings)
    else:
        exported = export_c99(model, data, settings)
        content, agreement = exported.program.source.encode(), exported.agreement
    return {"bytes": len(content), "inputs": agreement.inputs, "other": agreement.other_decisions}
