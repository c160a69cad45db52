"""Numbers as people read them: a unit that fits, and no more digits than mean something."""

from __future__ import annotations

import math

_TIMES = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
_SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_RATES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def time_unit(typical_ns: float) -> tuple[float, str]:
    """Nanoseconds in a unit that suits a time, and the unit's name."""
    return next(((size, unit) for size, unit in _TIMES if abs(typical_ns) >= size), _TIMES[-1])


def time_text(time_ns: float) -> str:
    """`1.83 ms`: three digits."""
    size, unit = time_unit(time_ns)
    return f"{digits(time_ns / size)} {unit}"


def bytes_text(count: float) -> str:
    """`512 KiB`: three digits, powers of 1024."""
    size, unit = next(((size, unit) for size, unit in _SIZES if count >= size), (1, "B"))
    return f"{digits(count / size)} {unit}"


def rate_text(per_second: float, unit: str) -> str:
    """`13.9 GB/s`: three digits, powers of 1000."""
    size, prefix = next(((size, prefix) for size, prefix in _RATES if per_second >= size), (1.0, ""))
    return f"{digits(per_second / size)} {prefix}{unit}"


def digits(value: float, count: int = 3) -> str:
    """A number with `count` significant digits, without an exponent where it needs none."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = count - 1 - math.floor(math.log10(abs(value)))
    if not -6 < places < 9:
        return f"{value:.{count}g}"
    return f"{round(value, places):.{max(places, 0)}f}"


def ratio_text(ratio: float, like: float | None = None) -> str:
    """`1.83x`: a speedup, with a digit more near 1, where it counts; with as many places as `like` would have."""
    typical = abs(ratio if like is None else like)
    places = 3 if 0.8 < typical < 1.25 else max(2 - math.floor(math.log10(typical)), 0) if typical else 2
    return f"{ratio:.{min(places, 9)}f}x"


def interval_text(lower: float, upper: float, ratio: float) -> str:
    """`1.79x to 1.88x`: an interval around a speedup, in the places of the speedup."""
    return f"{ratio_text(lower, ratio)} to {ratio_text(upper, ratio)}"


def estimate_text(ratio: float, lower: float, upper: float) -> str:
    """`1.83x (1.79x to 1.88x)`: a speedup with its interval."""
    return f"{ratio_text(ratio)} ({interval_text(lower, upper, ratio)})"


def sentence(words: str) -> str:
    """Words with a capital first letter and a full stop."""
    return f"{words[:1].upper()}{words[1:]}" + ("" if words.endswith((".", "!", "?")) else ".")


def seconds_text(seconds: float) -> str:
    """`4.2 s`, `1 min 05 s`, `2 h 03 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 round`, `3 rounds`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
