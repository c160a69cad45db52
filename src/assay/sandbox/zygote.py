"""The zygote's program: started by path in a fresh interpreter with an empty environment, it forks confined children.

It never runs a candidate's code itself and never holds an input, an expected output or a key. It stays single-threaded:
forking after OpenMP has started threads hangs the child in its first parallel region.

Wire: one SEQPACKET socket, inherited as descriptor 3. The first packet is the configuration; then each packet is a
request in JSON with descriptors attached, answered by one packet in JSON. The far end closing it ends the zygote; its
children end with the referee (see `confine`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import struct
import sys
import warnings
from typing import Any, NoReturn

from assay.sandbox import filesystem
from assay.sandbox.confine import confine, leave_namespaces
from assay.sandbox.policy import Policy
from assay.sandbox.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    PR_SET_PDEATHSIG,
    prctl,
    unshare,
)

CONTROL_FD = 3
_OWN_NAMESPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC
PACKET_BYTES = 64 << 10
MAX_FDS = 16
_LOWEST_PRIORITY = 19
_IMPORT_SCRATCH_BYTES = 16 << 20


def main() -> None:
    """Isolate, import, then serve requests until the socket closes."""
    warnings.simplefilter("ignore")
    control = socket.socket(fileno=CONTROL_FD)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    config = json.loads(control.recv(PACKET_BYTES))
    if config["yielding"]:
        os.nice(_LOWEST_PRIORITY)
    for path in config["libraries"]:
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    layers = _isolate(config["visible"])
    sys.path += config["import_path"]
    with filesystem.passing_scratch(_IMPORT_SCRATCH_BYTES) if layers else contextlib.nullcontext():
        for name in config["preload"]:
            importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    for place in config["prepare"]:
        module, function = place.split(":")
        getattr(sys.modules[module], function)()
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": True, "layers": layers}).encode())
    while True:
        packet, fds, _, _ = socket.recv_fds(control, PACKET_BYTES, MAX_FDS)
        if not packet:
            return
        reply = _spawn(control, json.loads(packet), fds, layers)
        control.send(json.dumps(reply).encode())
        for fd in fds:
            os.close(fd)


def _isolate(visible: list[str]) -> list[str]:
    """Leave the machine's mounts and network once for all children; report whether the minimal root stands.

    Without the privilege, a user namespace of its own gives it; where that is forbidden too, nothing is isolated here,
    and every missing layer is reported.
    """
    try:
        try:
            unshare(_OWN_NAMESPACES)
        except PermissionError:
            if os.geteuid() == 0:
                raise  # a root without capabilities may not map itself: user_namespaces(7), CAP_SETFCAP
            _enter_user_namespace()
            unshare(_OWN_NAMESPACES)
        filesystem.enter_minimal_root(visible)
    except OSError:
        return []
    return ["minimal-root"]


def _enter_user_namespace() -> None:
    """Become root in a user namespace in which only this user exists. Raises OSError."""
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _spawn(control: socket.socket, request: dict[str, Any], fds: list[int], layers: list[str]) -> dict[str, Any]:
    """Fork a child in namespaces of its own and hand it over to the referee. Returns its pid.

    A process namespace begins with the next fork, so an intermediate process unshares, forks and exits; the child then
    belongs to the nearest subreaper, the referee, which can wait for its stops.
    """
    go_read, go_write = os.pipe()
    pid_read, pid_write = os.pipe()
    intermediate = os.fork()
    if intermediate == 0:
        control.close()
        held = layers + leave_namespaces()
        child = os.fork()
        if child == 0:
            for fd in (go_write, pid_read, pid_write):
                os.close(fd)
            _child(request, fds, held, go_read)
        os.write(pid_write, struct.pack("=i", child))
        os._exit(0)
    os.close(pid_write)
    os.close(go_read)
    os.waitpid(intermediate, 0)
    answer = os.read(pid_read, 4)
    os.close(pid_read)
    # Only now has the child been re-parented: a death signal set earlier would fire for the intermediate's end.
    os.write(go_write, b"g")
    os.close(go_write)
    if len(answer) != 4:
        return {"error": "the intermediate process failed to fork"}
    return {"pid": struct.unpack("=i", answer)[0]}


def _child(request: dict[str, Any], fds: list[int], layers: list[str], go: int) -> NoReturn:
    """Confine this process, then run the requested entry; never returns into the zygote's loop."""
    code = 70
    try:
        os.read(go, 1)
        os.close(go)
        os.setpgid(0, 0)  # a signal to "my process group" must reach no sibling
        for fd, target in zip(fds[1:3], (1, 2), strict=False):  # the log, as stdout and stderr
            os.dup2(fd, target)
        held = confine(Policy.from_json(request["policy"]), layers, _address_space_bytes())
        channel = socket.socket(fileno=fds[0])
        channel.send(json.dumps({"layers": held}).encode())
        module, function = request["entry"].split(":")
        getattr(sys.modules[module], function)(channel, fds[3:], request["args"])
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - the edge of this process: whatever happens must not reach the zygote's loop
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def _address_space_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
