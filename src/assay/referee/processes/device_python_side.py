"""The reference on a GPU, as the baseline of device code: the same module, timed by the device's own events.

It is the task's own code and trusted as such; what is judged never runs here. Inputs and weights are copied in before
the clock starts and outputs copied out after it has stopped, as the launcher of device code does (native/device.cpp):
both sides find caches that were flushed, and a queue that is busy flushing while they are issued.
"""

from __future__ import annotations

import time
from typing import Any

from assay.core.tensors import TensorSpec
from assay.referee.processes.loading import flatten
from assay.referee.processes.python_side import PythonSide

_FLUSH_BYTES = 256 << 20
"""As in native/device.cpp."""


class DevicePythonSide(PythonSide):
    """A module moved to `payload["device"]`; "cpu" stands in for a GPU where there is none."""

    def _prepare(self, target: Any, payload: dict[str, Any]) -> None:
        """Move parameters and buffers; what was bound to shared memory is copied again before every call."""
        torch = self._torch
        self._device = torch.device(payload["device"])
        self._pairs: list[tuple[Any, Any]] = []
        if isinstance(target, torch.nn.Module):
            for tensor in (*target.parameters(), *target.buffers()):
                shared = tensor.data
                tensor.data = shared.to(self._device, copy=True)
                self._pairs.append((tensor, shared))
        self._clock = _Events(torch) if self._device.type == "cuda" else _HostClock()
        self._flush = torch.empty(_FLUSH_BYTES if self._device.type == "cuda" else 1, dtype=torch.uint8,
                                  device=self._device)  # fmt: skip
        # PyTorch lets convolutions use TF32 unless it is told not to, which no float32 oracle would pass.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def _fresh(self, spec: TensorSpec) -> Any:
        return super()._fresh(spec).to(self._device)

    def _run(self, seed: int) -> list[Any]:
        torch = self._torch
        if seed:
            torch.manual_seed(seed)
        (arguments,) = self._arguments
        moved = [a.to(self._device, copy=True) if isinstance(a, torch.Tensor) else a for a in arguments]
        for tensor, shared in self._pairs:
            tensor.data.copy_(shared)
        self._flush.fill_(len(self._pairs) & 1)
        self._clock.start()
        found = flatten(torch, self._target(*moved))
        self._device_ns = self._clock.stop_ns()
        outputs = [output.to("cpu", copy=True) if isinstance(output, torch.Tensor) else output for output in found]
        previous, self._previous = self._previous, outputs
        del previous
        return outputs


class _Events:
    """CUDA events around a call, on the current stream."""

    def __init__(self, torch: Any) -> None:
        self._cuda = torch.cuda
        self._start, self._stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def start(self) -> None:
        """Record the first event behind what is queued."""
        self._start.record()

    def stop_ns(self) -> int:
        """Wait for everything; nanoseconds between the events, at least 1."""
        self._stop.record()
        self._cuda.synchronize()
        return max(int(self._start.elapsed_time(self._stop) * 1e6), 1)


class _HostClock:
    """The same for a device that computes while it is called."""

    def start(self) -> None:
        """Remember the time."""
        self._begun = time.perf_counter_ns()

    def stop_ns(self) -> int:
        """Nanoseconds since."""
        return max(time.perf_counter_ns() - self._begun, 1)
