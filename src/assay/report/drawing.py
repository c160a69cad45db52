"""Which pictures a certificate gives rise to, each in both widths, or why one cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from assay.referee.timing.samples import Side, Triples
from assay.report.axes import NARROW, WIDE
from assay.report.evidence import read_overhead, read_samples, round_ratios
from assay.report.figures import Span, call_times, speedups
from assay.report.roofline import bars, roofline
from assay.report.units import plural, rate_text, time_text

Drawn = tuple[Markup, str]
"""A picture in both widths, and the words below it."""


def figures(certificate: Mapping[str, Any]) -> dict[str, Drawn | str]:
    """Pictures by name: `times`, `speedups`, `roofline`, `variants`; a plain text says why there is none."""
    parts: dict[str, Callable[[Mapping[str, Any]], Drawn | str]] = {
        "times": _times, "speedups": _speedups, "roofline": _roofline, "variants": _variants,
    }  # fmt: skip
    return {name: _attempt(draw, certificate) for name, draw in parts.items()}


def _attempt(draw: Callable[[Mapping[str, Any]], Drawn | str], certificate: Mapping[str, Any]) -> Drawn | str:
    try:
        return draw(certificate)
    except (ValueError, ZeroDivisionError, OverflowError, KeyError, TypeError) as error:
        return f"This certificate's numbers cannot be drawn: {error}."


def _both(draw: Callable[[float], Markup]) -> Markup:
    return draw(WIDE) + draw(NARROW)


def _times(certificate: Mapping[str, Any]) -> Drawn | str:
    if certificate["timing"] is None:
        return f"No times: {_why(certificate, 'timing')}."
    triples = read_samples(certificate)
    timed = triples.timed()
    waited = int(timed.preempted().any(axis=1).sum())
    overhead = certificate["timing"]["overhead"]
    words = (
        f"Each dot is one call; {plural(len(timed.round), 'call')} of each side, in turn on the same inputs. Pale dots "
        f"had to wait for a core: the {plural(waited, 'turn')} with such a call are left out of comparisons. About "
        f"{time_text(overhead['median_ns'])} of each call is the shell's own cost, which is taken off both sides."
    )
    return _both(lambda width: call_times(triples, width)), words


def _speedups(certificate: Mapping[str, Any]) -> Drawn | str:
    claim, timing = certificate["claim"], certificate["timing"]
    if claim is None or timing is None:
        return f"No speedup: {_why(certificate, 'speedup')}."
    if claim["speedup"] is None or claim["same"] is None or claim["resolution"] is None:
        return f"No speedup: {claim['message']}."
    ratios = _ratios(read_samples(certificate), certificate)
    if isinstance(ratios, str):
        return ratios
    candidate, same = ratios
    claimed, faked = (Span(*(claim[of][key] for key in ("ratio", "lower", "upper"))) for of in ("speedup", "same"))
    words = (
        f"Each dot is the median of one round of fresh processes, in order from top to bottom. Bars are "
        f"{claim['speedup']['confidence']:.0%} intervals. A speedup is only claimed where the candidate's whole bar "
        f"lies right of the shaded band, which is how far this run misjudged the baseline against itself."
    )
    return _both(lambda width: speedups(candidate, same, claimed, faked, claim["resolution"], width)), words


def _ratios(triples: Triples, certificate: Mapping[str, Any]) -> Any:
    overhead = read_overhead(certificate)
    found = tuple(round_ratios(triples, side, overhead) for side in (Side.CANDIDATE, Side.BASELINE_AGAIN))
    return "No speedup: too few turns of the raw samples can be compared." if None in found else found


def _roofline(certificate: Mapping[str, Any]) -> Drawn | str:
    timing = certificate["timing"]
    if timing is None:
        return f"No position: {_why(certificate, 'timing')}."
    points = {name: timing["roofline"].get(name) for name in ("baseline", "candidate")}
    if None in points.values():
        return "No position: the work of this task was not counted."
    words = (
        "Only work that no kernel can avoid is counted, against peaks measured on this machine. At the roof, nothing "
        "is left to gain; passing under it proves nothing."
    )
    floor = timing["floor"]
    if floor is not None and floor["min_ns"] > 0:
        words += f" The physical floor of {time_text(floor['min_ns'])}: {floor['explanation']}."
    candidate = points["candidate"]
    if not candidate["intensity"] or not candidate["ridge"]:
        return _both(lambda width: _memory_bars(points, width)), words
    return _both(lambda width: roofline(points, width)), words


def _memory_bars(points: Mapping[str, Any], width: float) -> Markup:
    """For tasks without counted operations: bytes per second under the one roof that is left."""
    candidate = points["candidate"]
    roof = candidate["bytes_per_s"] / candidate["memory_fraction"]
    rows = [
        (name, point["bytes_per_s"], f"{rate_text(point['bytes_per_s'], 'B/s')}, {point['memory_fraction']:.0%}", css)
        for (name, point), css in zip(points.items(), ("base", "cand"), strict=True)
    ]
    return bars(rows, (f"roof: {candidate['level']}, {rate_text(roof, 'B/s')}", roof), width, "bytes per second")


def _variants(certificate: Mapping[str, Any]) -> Drawn | str:
    baseline = certificate["baseline"]
    if baseline is None:
        return f"No baseline: {_why(certificate, 'baseline')}."
    working = [each for each in baseline["considered"] if each["median_ns"] is not None]
    if not working:
        return "No way to run the reference worked."
    rows = [
        (each["variant"] + (" (chosen)" if each["variant"] == baseline["variant"] else ""), each["median_ns"],
         time_text(each["median_ns"]), "base" if each["variant"] == baseline["variant"] else "again")
        for each in working
    ]  # fmt: skip
    words = "Median time of a call when the baseline was chosen"
    words += "." if certificate["timing"] is None else "; it was measured again beside the candidate."
    if baseline["from_cache"]:
        words += " The choice is from an earlier run on this machine with these versions."
    return _both(lambda width: bars(rows, None, width, "time of a call")), words


def _why(certificate: Mapping[str, Any], part: str) -> str:
    return str(certificate["missing"].get(part, "no reason given"))
