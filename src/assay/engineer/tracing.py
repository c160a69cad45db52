"""Has a task's reference traced in a confined process, and reads the answer."""

from __future__ import annotations

import json
import os
import socket

from assay.core.sources import Task
from assay.engineer.graph import Graph, read_graph
from assay.errors import InputError
from assay.sandbox.memfd import sealed_memfd
from assay.sandbox.spawn import Zygote, printable

_SECONDS = 120.0
"""A transformer block takes 1.5 s; a model of some hundred layers a minute."""
_MEMORY_BYTES = 8 << 30
"""Shapes only: the reference runs once, at the task's own size."""
_PACKET_BYTES = 1 << 16


_PRELOAD = ("torch", "numpy", "torch._decomp", "torch._refs", "torch.fx.experimental.proxy_tensor",
            "torch.fx.experimental.symbolic_shapes", "assay.engineer.tracer")  # fmt: skip


class Tracing:
    """A zygote of its own, for what tracing imports takes two seconds. A context manager."""

    def __init__(self) -> None:
        self._zygote = Zygote(_PRELOAD, threads=1, prepare=["assay.referee.processes.loading:initialise_math"])

    def trace(self, task: Task) -> Graph:
        """The graph of a task's reference, with symbols for the sizes that its axes change.

        Raises InputError where there is none, with the reason: data-dependent control flow, an operator on something
        that is no tensor, a process that died.
        """
        raw = json.dumps(task.to_json()).encode()
        fd = sealed_memfd("assay-task", raw)
        try:
            child = self._zygote.spawn(
                "assay.engineer.tracer:main", {"payload_bytes": len(raw)}, [fd], memory_bytes=_MEMORY_BYTES
            )
        finally:
            os.close(fd)
        try:
            child.channel.settimeout(_SECONDS)
            data = json.loads(_answer(child.channel))
        except (TimeoutError, ConnectionError, ValueError) as error:
            words = str(error) or type(error).__name__
            raise InputError("the task could not be traced", value=words, rule=printable(child.log)[-300:]) from error
        finally:
            child.kill()
        return read_graph(data)

    def close(self) -> None:
        """End its processes."""
        self._zygote.close()

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _answer(channel: socket.socket) -> bytes:
    """All of an answer, which comes in packets after its length."""
    wanted = int.from_bytes(channel.recv(_PACKET_BYTES)[:8], "little")
    parts: list[bytes] = []
    while sum(map(len, parts)) < wanted or not parts:
        part = channel.recv(_PACKET_BYTES)
        if not part:
            raise ConnectionError("its process ended")
        parts.append(part)
    return b"".join(parts)
