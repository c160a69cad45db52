"""The only module that runs candidate code, inside a confined process that holds no reference, verdict or secret.

It runs the reference as well, for the baseline, in the identical shell, so that both sides pay the same overhead.
Whatever it says is evidence: a hostile candidate can rewrite this module in memory. It is therefore written for
clarity and equal cost, not for defence; the defence is that the referee trusts nothing here.
"""

from __future__ import annotations

import gc
import json
import mmap
import resource
import socket
import warnings
from collections.abc import Callable
from typing import Any

from assay.referee.processes.blocks import Blocks
from assay.referee.processes.compile_cache import pack_cache, unpack_cache
from assay.referee.processes.device_python_side import DevicePythonSide
from assay.referee.processes.device_side import DeviceSide
from assay.referee.processes.loading import LoadError
from assay.referee.processes.native_side import NativeSide
from assay.referee.processes.python_side import PythonSide, describe
from assay.referee.processes.wire import Status, pack_reply


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Serve layouts and calls until the referee closes the channel."""
    payload_fd, inputs_fd, weights_fd, cache_fd, *output_fds = fds
    if args["cache_bytes"]:
        unpack_cache(cache_fd, args["cache_bytes"])
    payload = json.loads(_read_all(payload_fd, args["payload_bytes"]))
    blocks = Blocks(inputs_fd, weights_fd, output_fds, args["block_bytes"])
    warnings.simplefilter("ignore")
    try:
        side = _SIDES[payload["language"], "device" in payload](payload, blocks)
    except LoadError as error:
        channel.send(pack_reply(error.status, 0, text=str(error)))
        return
    except BaseException as error:  # noqa: BLE001 - a candidate's constructor may raise anything, SystemExit too
        channel.send(pack_reply(Status.RAISED, 0, text=describe(error)))
        return
    gc.collect()
    gc.disable()  # on both sides: a collection inside a timed call is noise
    channel.send(pack_reply(Status.OK, 0, text=side.remark if isinstance(side, DeviceSide) else ""))
    _serve(channel, side, cache_fd)


Side = NativeSide | PythonSide | DeviceSide
_SIDES: dict[tuple[str, bool], Callable[[dict[str, Any], Blocks], Side]] = {
    ("cpp", False): NativeSide, ("python", False): PythonSide, ("python", True): DevicePythonSide,
    ("cuda", True): DeviceSide,
}  # fmt: skip
"""By language, and whether it runs on a device."""


def rest(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Do nothing until the referee closes the channel: a confined process to look at."""
    channel.recv(1)


def _serve(channel: socket.socket, side: Side, cache_fd: int) -> None:
    while packet := side.receive(channel):
        request = json.loads(packet)
        if "save_cache" in request:
            pack_cache(cache_fd)
        elif "seal" in request:
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        else:
            try:
                side.lay_out(request)
            except LoadError as error:
                channel.send(pack_reply(error.status, 0, text=str(error)))
                continue
        channel.send(pack_reply(Status.OK, 0))


def _read_all(fd: int, size: int) -> bytes:
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as view:
        return bytes(view)
