"""The builder's process: it writes the sources to its scratch folder, runs the compiler, hands back an opaque file.

It is confined and thrown away: an include of a secret finds none, a compile bomb meets its limits, and nothing that the
compiler writes stays. Static constructors of the result run in the worker only, never here.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import socket
import subprocess
from typing import Any

_MESSAGE_BYTES = 16 << 10
_OUTPUT = "/scratch/candidate.so"


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Build once: payload in fds[0], the shared object's bytes into fds[1]; one JSON packet tells how it went."""
    with mmap.mmap(fds[0], args["payload_bytes"], prot=mmap.PROT_READ) as view:
        payload = json.loads(bytes(view))
    for file in payload["files"]:
        path = os.path.join("/scratch/source", file["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as target:
            target.write(file["text"])
    with open("/scratch/messages", "wb") as messages:
        done = subprocess.run(
            payload["command"], cwd="/scratch/source", stdin=subprocess.DEVNULL, stdout=messages, stderr=messages,
            check=False,
        )  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = _copy_out(fds[1], args["limit_bytes"]) if done.returncode == 0 else 0
    with open("/scratch/messages", "rb") as written:
        text = written.read(_MESSAGE_BYTES).decode(errors="replace")
    report = {
        "code": done.returncode,
        "size_bytes": size,
        "messages": text.replace("/scratch/source/", ""),
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }
    channel.send(json.dumps(report).encode())


def _copy_out(fd: int, limit_bytes: int) -> int:
    """Copy the result into the referee's descriptor; -1 where there is no regular file of an acceptable size."""
    if os.path.islink(_OUTPUT) or not os.path.isfile(_OUTPUT) or os.path.getsize(_OUTPUT) > limit_bytes:
        return -1
    with open(_OUTPUT, "rb") as result:
        data = result.read()
    os.write(fd, data)
    return len(data)
