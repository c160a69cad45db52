"""The process that compiles a Triton candidate: its Python runs here, confined and thrown away, and bytes come out.

What comes out is device code and nothing more is believed of it: the referee reads resources from the machine code.
Triton is imported only here.
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import socket
import sys
from typing import Any

from assay.launch.compiled import CompiledLaunch, pack
from assay.launch.plan import Launch, LaunchPlan

_MESSAGE_BYTES = 16 << 10
_FOLDER = "/scratch/source"


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Build once: payload in fds[0], the artifact's bytes into fds[1]; one JSON packet tells how it went."""
    with mmap.mmap(fds[0], args["payload_bytes"], prot=mmap.PROT_READ) as view:
        payload = json.loads(bytes(view))
    try:
        content = _compiled(payload)
        size = len(content) if len(content) <= args["limit_bytes"] else -1
        if size > 0:
            os.write(fds[1], content)
        report = {"code": 0, "size_bytes": size, "messages": [""]}
    except BaseException as error:  # noqa: BLE001 - a candidate's module may raise anything, SystemExit too
        words = f"{type(error).__name__}: {error}"[:_MESSAGE_BYTES]
        report = {"code": 1, "size_bytes": 0, "messages": [words]}
    used = os.times()
    report["cpu_seconds"] = used.user + used.system + used.children_user + used.children_system
    channel.send(json.dumps(report).encode())


def _compiled(payload: dict[str, Any]) -> bytes:
    for file in payload["files"]:
        path = os.path.join(_FOLDER, file["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as target:
            target.write(file["text"])
    sys.path.insert(0, _FOLDER)
    sys.dont_write_bytecode = True
    module = importlib.import_module(payload["module"])
    plan = LaunchPlan.parse(payload["plan"])
    images: list[bytes] = []
    numbers: dict[str, int] = {}
    launches = {}
    for index, launch in enumerate(plan.launches):
        made = _compile(getattr(module, launch.kernel), launch, dict(plan.types), payload["capability"])
        number = numbers.setdefault(made.hash, len(images))
        if number == len(images):
            images.append(made.asm["cubin"])
        launches[index] = _launch(made, number, len(launch.arguments))
    return pack(images, launches)


def _compile(kernel: Any, launch: Launch, types: dict[str, str], capability: int) -> Any:
    """One kernel for one choice of constants and types; its arguments are the plan's, by position."""
    triton = importlib.import_module("triton")
    compiler = importlib.import_module("triton.compiler")
    backends = importlib.import_module("triton.backends.compiler")
    constants = dict(launch.constants)
    names = [name for name in kernel.arg_names if name not in constants]
    if len(names) != len(launch.arguments) or set(constants) - set(kernel.arg_names):
        raise TypeError(
            f"{launch.kernel} takes {', '.join(kernel.arg_names)}; the launch plan gives {len(launch.arguments)} "
            f"arguments and the constants {', '.join(constants) or 'none'}"
        )
    signature: dict[str, str] = dict.fromkeys(constants, "constexpr")
    known = {}
    for name, argument in zip(names, launch.arguments, strict=True):
        kind, _, multiple = argument.type.partition("/")
        pointer = argument.value is None
        kind = {"f32": "fp32", "f64": "fp64"}.get(kind, kind)
        signature[name] = f"*{types.get(argument.name, 'fp32')}" if pointer else kind
        if pointer or multiple:
            known[(kernel.arg_names.index(name),)] = [["tt.divisibility", 16]]
    placed = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    ordered = {name: signature[name] for name in kernel.arg_names}
    source = compiler.ASTSource(kernel, ordered, placed, known)
    options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
    return triton.compile(source, target=backends.GPUTarget("cuda", capability, 32), options=options)


def _launch(made: Any, module: int, arguments: int) -> CompiledLaunch:
    """Triton's kernels end in its own scratch pointers, one or two by version; a kernel that needs such is refused."""
    metadata = made.metadata
    for name in ("global_scratch_size", "profile_scratch_size"):
        if getattr(metadata, name, 0):
            raise TypeError(f"{metadata.name} needs memory of Triton's own ({name}), which the launcher does not give")
    if getattr(metadata, "num_ctas", 1) != 1:
        raise TypeError(f"{metadata.name} asks for clusters of Triton's own, which the launcher does not give")
    own = made.asm["ptx"].partition(".entry")[2].partition(")")[0].count(".param") - arguments
    threads = int(metadata.num_warps) * 32
    return CompiledLaunch(module, metadata.name, threads, int(metadata.shared), arguments + max(own, 0))
