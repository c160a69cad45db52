"""A claim's certificate in words, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.claims.decision import amount
from assay.claims.quality import Margin
from assay.claims.settings import Cost
from assay.report.explain import TIERS
from assay.report.terminal import decisive_code
from assay.report.units import (
    bytes_text,
    digits,
    estimate_text,
    plural,
    rate_text,
    ratio_text,
    seconds_text,
    sentence,
    time_text,
)
from assay.report.view import moment

MEANING = {
    "ACCEPT": "as good within the margin, and cheaper in everything claimed",
    "REJECT": "worse than the margin allows, not cheaper, or not what it says",
    "INCONCLUSIVE": "the evidence does not decide",
}
COSTS = {
    "latency": "one example", "throughput": "a held-out batch", "training": "a training step",
    "memory": "peak memory while answering", "size": "the weights' file",
}  # fmt: skip
"""What each cost is measured on."""


def headline(claim: Mapping[str, Any]) -> str:
    """A few words behind the verdict."""
    if claim["verdict"] == "REJECT":
        return decisive_code(claim).replace("-", " ")
    if claim["verdict"] == "INCONCLUSIVE":
        return "not proved"
    costs = [f"{name} {ratio_text(claim['costs'][name]['ratio']['ratio'])}" for name in claim["settings"]["costs"]]
    return f"as good; {', '.join(costs)}"


def reason(claim: Mapping[str, Any]) -> str:
    """The finding that decided; for an acceptance, what the verdict means."""
    for weight in ("fatal", "doubt"):
        for finding in claim["findings"]:
            if finding["weight"] == weight:
                return sentence(finding["message"])
    return sentence(MEANING[claim["verdict"]])


def facts(claim: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it says, in a few lines of name and words."""
    data, isolation = claim["data"], claim["isolation"]
    seeds = claim["judged_seeds"]
    found = [
        ("Models", f"{claim['cheap']['name']} ({claim['cheap']['identity'][:12]}) against {claim['dense']['name']} "
                   f"({claim['dense']['identity'][:12]}), {plural(len(seeds), 'seed') if seeds else 'one seed'}"),
        ("Held out", f"{data['name']}: {plural(data['examples'], 'example')} in "
                     f"{plural(data['batches'], 'batch', 'batches')}"),
        ("Quality", quality_text(claim)),
    ]  # fmt: skip
    for name in claim["settings"]["costs"]:
        found.append((name.capitalize(), cost_text(claim, name)))
    if isolation is not None:
        found.append(("Isolation", f"{isolation['tier']}: {TIERS.get(isolation['tier'], '')}"))
    found.append(("Measured on", f"{claim['machine']['cpu_model'] or 'an unknown processor'}, "
                                 f"{plural(claim['settings']['threads'], 'thread')}"))  # fmt: skip
    return [*found, ("When", f"{moment(claim['created'])}, in {seconds_text(claim['seconds'])}")]


def quality_text(claim: Mapping[str, Any]) -> str:
    """Both scores, the difference, and its limits."""
    quality, margin, unit = claim["quality"], Margin.parse(claim["settings"]["margin"]), claim["data"]["unit"]
    if quality is None:
        return f"not known: {claim['missing'].get('quality', 'no reason given')}"
    unit_words = f" {unit}" if unit else ""
    score = f"{claim['data']['score']} {digits(quality['cheap'], 4)} against {digits(quality['dense'], 4)}{unit_words}"
    middle, lower, upper = (amount(quality[name], margin, unit) for name in ("difference", "lower", "upper"))
    return f"{score}: {middle} ({lower} to {upper}), margin {amount(margin.value, margin, unit)}"


def cost_text(claim: Mapping[str, Any], name: str) -> str:
    """A ratio with its interval, or why there is none."""
    found = claim["costs"][name]
    if found["ratio"] is None:
        return f"not known: {found['reason']}"
    ratio = found["ratio"]
    return f"{estimate_text(ratio['ratio'], ratio['lower'], ratio['upper'])} of the dense model's, by {found['clock']}"


def cost_rows(claim: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """For every cost: name, on what, dense, cheap, ratio; then active operations."""
    rows = []
    for name, found in claim["costs"].items():
        shown = bytes_text if name in (Cost.MEMORY.value, Cost.SIZE.value) else time_text
        both = ["" if found[side] is None else shown(found[side]) for side in ("dense", "cheap")]
        ratio = found["ratio"]
        words = estimate_text(ratio["ratio"], ratio["lower"], ratio["upper"]) if ratio else found["reason"]
        claimed = " (claimed)" if name in claim["settings"]["costs"] else ""
        rows.append((f"{name}{claimed}", f"{COSTS.get(name, '')}, {found['clock']}", *both, words))
    return [*rows, _operations(claim)]


def _operations(claim: Mapping[str, Any]) -> tuple[str, ...]:
    counts = [claim[side]["operations"] for side in ("dense", "cheap")]
    shown = ["not known" if count is None else rate_text(float(count), "") for count in counts]
    if None in counts or not counts[0]:
        side = "dense" if counts[0] is None else "cheap"
        words = claim["missing"].get(f"{side}.operations", "nothing was counted")
    else:
        words = ratio_text(counts[1] / counts[0])
    return ("active operations", "a held-out batch, by the model's own process", *shown, words)
