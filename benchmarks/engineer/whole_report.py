"""The tables of whole models and training steps: end to end first, then what became of the parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assay.engineer.places import bound_text

_SIDES = ("eager", "torch.compile", "torch.compile, fused update", "applied")


def whole_suite(name: str, suite: Mapping[str, Any]) -> Iterator[str]:
    """Markdown of one record."""
    yield f"### {name}"
    yield ""
    yield (
        f"{suite['settings']['budget_s']:.0f} s each, without a language model. Times are medians of calls in turns in "
        "one process; the speedup is over the fastest of the others. A part's speedup is its certificate's, with "
        "memory that is used again; here PyTorch's allocations take fresh pages, as in anybody's process, so that a "
        "whole may gain more than its parts."
    )
    yield ""
    yield "| what | eager | torch.compile | with certified kernels | speedup (95 %) | over |"
    yield "|---|---|---|---|---|---|"
    for row in suite["results"]:
        yield _end_to_end(row)
    yield ""
    for row in suite["results"]:
        yield from _parts(row)
    if not suite["complete"]:
        yield "This run was cut short."
        yield ""


def _end_to_end(row: Mapping[str, Any]) -> str:
    name, whole = Path(row["name"]).stem, row["whole"]
    if whole is None:
        return f"| {name} |  |  | nothing certified |  |  |"
    times = whole["milliseconds"]
    compiled = [times[side] for side in _SIDES[1:3] if times.get(side) is not None]
    shown = f"{min(compiled):.3g} ms" if compiled else "fails"
    ratio, lower, upper = whole["speedup"]
    return (f"| {name} | {times['eager']:.3g} ms | {shown} | {times['applied']:.3g} ms | "
            f"{ratio:.2f}x ({lower:.2f} to {upper:.2f}) | {whole['baseline']} |")  # fmt: skip


def _parts(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{Path(row['name']).stem}:"
    yield ""
    for part in row["parts"]:
        speed = part["speedup"]
        found = (
            f"{speed[0]:.2f}x ({speed[1]:.2f} to {speed[2]:.2f})" if speed else part.get("words", "nothing certified")
        )
        places = ", ".join(place or "the whole" for place in part["places"])
        bound = bound_text(part["share"], "at most ")
        yield f"- {places}: {part['share']:.0%} of the time ({bound} for the whole): {found}"
    for name, reason in row["left_out"].items():
        yield f"- left as it is: {name or 'all of it'}: {reason[:160]}"
    if row["whole"] is not None and "difference" in row["whole"]:
        yield f"- outputs differ by at most {row['whole']['difference']:.2g}"
    if "learning" in row:
        yield _learning(row["learning"])
    yield ""


def _learning(found: Mapping[str, Any]) -> str:
    verdict = "not inferior" if found["not_inferior"] else "not shown to be as good"
    return (
        f"- loss curves of {found['seeds']} seeds, {found['steps']} steps each: {verdict}; {found['difference']:+.3%} "
        f"at the end, 95 % limit {found['limit']:+.3%}, margin {found['margin']:+.1%}"
    )
