"""Peak memory of training and of inference, each in a process of its own."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks.moe.checkpoint import load_model
from benchmarks.moe.matching import training_call
from benchmarks.moe.settings import Settings
from benchmarks.moe.text import Corpus
from benchmarks.moe.training import Run

_STEPS = 3
_RESET_PEAK = "5"
"""proc(5): written to clear_refs, it sets the peak (VmHWM) back to the present size."""


def peaks(run: Run, settings: Settings, corpus: Corpus) -> dict[str, int]:
    """Bytes above those that a process with PyTorch and the text had before it made the model."""
    small = Corpus(corpus.training[: 1 << 20].clone(), corpus.choosing[:1], corpus.measuring[:1], corpus.sha256)
    found = {}
    for kind in ("training", "inference"):
        with get_context("spawn").Pool(1) as pool:
            found[kind] = pool.apply(_peak, (kind, run, settings, small))
    return found


def _peak(kind: str, run: Run, settings: Settings, corpus: Corpus) -> int:
    torch.set_num_threads(1)
    arm = settings.arm(run.arm)
    shape = settings.of(arm)
    _load_libraries()
    Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    before = _status_bytes("VmHWM")
    model, _ = load_model(run, settings, corpus.sha256)
    if kind == "training":
        step = training_call(model, arm, settings, corpus)
        for _ in range(_STEPS):
            step()
    else:
        tokens = corpus.batch(torch.Generator().manual_seed(0), shape.batch, shape.context)[:, :-1]
        with torch.inference_mode():
            for _ in range(_STEPS):
                model.eval()(tokens)
    return _status_bytes("VmHWM") - before


def _load_libraries() -> None:
    """A step of anything: what PyTorch imports and sets up on its first one (80 MB) belongs to no arm."""
    layer = torch.nn.Linear(64, 64)
    layer(torch.ones(64, 64)).sum().backward()
    torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
    torch.optim.AdamW(layer.parameters(), fused=True).step()


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise ValueError(f"/proc/self/status has no {field}")
