"""The builder's process: it writes the sources to its scratch folder, runs the compilers, hands back an opaque file.

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

OUTPUT = "/scratch/artifact"
"""The file that the last of the commands has to write."""
_MESSAGE_BYTES = 16 << 10


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Build once: payload in fds[0], the artifact's bytes into fds[1]; one JSON packet tells how it went.

    The payload's commands run one after the other until one fails; each one's messages are reported apart.
    """
    with mmap.mmap(fds[0], args["payload_bytes"], prot=mmap.PROT_READ) as view:
        payload = json.loads(bytes(view))
    for file in payload["files"]:
        path = os.path.join("/scratch/source", file["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as target:
            target.write(file["text"])
    code, messages = 0, []
    for command in payload["commands"]:
        if code == 0:
            code, text = _run(command)
            messages.append(text)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "code": code,
        "size_bytes": _copy_out(fds[1], args["limit_bytes"]) if code == 0 else 0,
        "messages": messages,
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }
    channel.send(json.dumps(report).encode())


def _run(command: list[str]) -> tuple[int, str]:
    with open("/scratch/messages", "wb") as messages:
        done = subprocess.run(
            command, cwd="/scratch/source", stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, check=False
        )
    with open("/scratch/messages", "rb") as written:
        text = written.read(_MESSAGE_BYTES).decode(errors="replace")
    return done.returncode, text.replace("/scratch/source/", "")


def _copy_out(fd: int, limit_bytes: int) -> int:
    """Copy the result into the referee's descriptor; -1 where there is no regular file of an acceptable size."""
    if os.path.islink(OUTPUT) or not os.path.isfile(OUTPUT) or os.path.getsize(OUTPUT) > limit_bytes:
        return -1
    with open(OUTPUT, "rb") as result:
        data = result.read()
    os.write(fd, data)
    return len(data)
