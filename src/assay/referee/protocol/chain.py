"""Chains: many calls of a very short kernel in one timed window, each on an input that the last output decides.

Stopping and continuing a worker costs tens of microseconds, so a kernel below that cannot be timed one call at a time.
In a chain, input i+1 is a fresh secret tensor rolled by a number folded from every byte of output i. So no call can
start before the one before it is complete, nothing can be batched, and nothing replayed. The worker does the rolling
itself and need not be believed: the referee folds the outputs that it finds, rolls its own copy, and asks the oracle
what each call should have given. A worker that rolls otherwise computes something else, and is wrong.

Not covered: a candidate that writes to its input within a chain writes to memory of its own; the single calls between
the chains, on read-only memory, show that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

BELOW_NS = 50_000.0
"""Calls shorter than this are chained: the shell's 25 us would be over half of what is timed."""
WINDOW_NS = 500_000.0
LONGEST = 16
MOST_BYTES = 256 << 10
"""Folding and rolling cost about 0.1 us per KiB, which a kernel this short must not drown in."""


def length(net_ns: float, input_bytes: int, rolled: Sequence[int]) -> int:
    """Calls per timed window: 1 where a call is long enough, too large, or has no input that can be rolled."""
    if net_ns >= BELOW_NS or input_bytes > MOST_BYTES or not rolled:
        return 1
    return int(min(max(WINDOW_NS / max(net_ns, 1000.0), 2), LONGEST))


def fold(outputs: Sequence[Bytes]) -> int:
    """A number that depends on every byte: exclusive or over 64-bit words, the odd bytes and the order included."""
    total = 0
    for data in outputs:
        whole = len(data) // 8 * 8
        word = int(np.bitwise_xor.reduce(data[:whole].view(np.uint64))) if whole else 0
        rest = int.from_bytes(data[whole:].tobytes(), "little")
        total = (total * 31 + (word ^ rest)) % 2**64
    return total


def roll(source: Bytes, target: Bytes, element_bytes: int, number: int) -> None:
    """Write `source` into `target`, shifted cyclically by `number` elements; both hold one dense tensor."""
    count = len(source) // element_bytes
    if count == 0:
        return
    # Multiplied by a large odd constant, for folded words of small floats differ mostly in their high bits.
    shift = (number * 0x9E3779B97F4A7C15 >> 20) % count * element_bytes
    target[shift:] = source[: len(source) - shift]
    target[:shift] = source[len(source) - shift :]


def memory_at(address: int, size: int) -> Bytes:
    """Memory of this process as bytes; empty for size 0."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)) if size else np.empty(0, np.uint8)
