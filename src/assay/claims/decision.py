"""From evidence to a verdict, by rules that were fixed with the settings; anyone can apply them to a certificate again.

ACCEPT where the cheap model is not inferior and every claimed cost's interval lies below the claimed share. REJECT
where it is inferior, a claimed cost's interval lies above, or a check failed. INCONCLUSIVE otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.claims.cost import Compared, compare_costs
from assay.claims.evidence import Evidence
from assay.claims.quality import Margin, Outcome, Quality, compare_quality
from assay.claims.settings import ClaimSettings, Cost
from assay.core.verdicts import Finding, Verdict, Weight
from assay.errors import Fault
from assay.report.units import digits, ratio_text

_AGAIN_SHARE = 0.1
"""Of the margin: by so much may later timed calls be worse, on average, than the first answers on the same examples.
Honest models differ by rounding; a tenth of the margin cannot turn a verdict round unseen."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from the evidence; `quality` is None where a check ended it before all losses were there."""

    verdict: Verdict
    quality: Quality | None
    costs: dict[Cost, Compared]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {
            "verdict": self.verdict.value,
            "quality": self.quality.to_json() if self.quality else None,
            "costs": {cost.value: found.to_json() for cost, found in self.costs.items()},
            "findings": [finding.to_json() for finding in self.findings],
        }


def decide(evidence: Evidence, settings: ClaimSettings, unit: str) -> Decision:
    """Apply the rules. Raises InputError for losses that decide nothing (see `compare_quality`)."""
    costs = compare_costs(evidence.samples, settings, evidence.absent)
    findings = list(evidence.findings)
    quality = None
    if not any(finding.weight is Weight.FATAL for finding in findings):
        quality = compare_quality(*evidence.losses, evidence.batch, settings.margin)
        findings += [_quality(quality, settings.margin, unit), *_again(evidence, quality, settings.margin, unit)]
        findings += [finding for cost in settings.costs for finding in _cost(costs[cost], settings)]
        if quality.seeds == 1:
            findings.append(Finding("one-seed", Weight.NOTE, "one training of each model was compared: what another "
                                    "seed would have given is not covered"))  # fmt: skip
    return Decision(_verdict(findings), quality, costs, tuple(findings))


def amount(value: float, margin: Margin, unit: str, sign: str = "+") -> str:
    """A difference as the margin has it: `+0.013 bits`, `+1.2%`."""
    if margin.relative:
        return f"{100 * value:{sign}.3g}%"
    return f"{value:{sign}.4g}" + (f" {unit}" if unit else "")


def _verdict(findings: Iterable[Finding]) -> Verdict:
    weights = {finding.weight for finding in findings}
    if Weight.FATAL in weights:
        return Verdict.REJECT
    return Verdict.INCONCLUSIVE if Weight.DOUBT in weights else Verdict.ACCEPT


def _quality(quality: Quality, margin: Margin, unit: str) -> Finding:
    over = "seeds" if quality.seeds > 1 else "held-out batches"
    said, lower, upper, allowed = (amount(value, margin, unit) for value in
                                   (quality.difference, quality.lower, quality.upper, margin.value))  # fmt: skip
    said = f"the cheap model's loss differs by {said}, 95 % limits {lower} and {upper} over {quality.units} {over}; " \
           f"margin {allowed}"  # fmt: skip
    outcome = quality.outcome(margin)
    data = {"difference": quality.difference, "lower": quality.lower, "upper": quality.upper}
    if outcome is Outcome.INFERIOR:
        return Finding("inferior", Weight.FATAL, f"not as good: {said}", Fault.CANDIDATE, data)
    if outcome is Outcome.UNDECIDED:
        return Finding("quality-undecided", Weight.DOUBT, f"not shown to be as good, nor worse: {said}", None, data)
    return Finding("not-inferior", Weight.NOTE, f"as good: {said}", None, data)


def _again(evidence: Evidence, quality: Quality, margin: Margin, unit: str) -> list[Finding]:
    """Whether timed calls after the first were as good as the first."""
    if not evidence.again:
        return []
    worse = float(np.mean(evidence.again)) / (quality.dense if margin.relative else 1.0)
    if worse <= _AGAIN_SHARE * margin.value:
        return []
    words = "later timed calls are worse than the first answers on the same examples, on average by " \
            f"{amount(worse, margin, unit)}: what is timed is not what is scored"  # fmt: skip
    return [Finding("timed-differently", Weight.FATAL, words, Fault.CANDIDATE, {"difference": worse})]


def _cost(found: Compared, settings: ClaimSettings) -> list[Finding]:
    name, bound = found.cost.value, settings.at_most
    ratio = found.ratio
    if ratio is None:
        return [Finding("cost-unknown", Weight.DOUBT, f"{name} was not measured: {found.reason}")]
    data = {"cost": name, "ratio": ratio.ratio, "lower": ratio.lower, "upper": ratio.upper}
    said = f"{name} ({found.clock}) is {ratio_text(ratio.ratio)} of the dense model's, 95 % interval " \
           f"{ratio_text(ratio.lower, ratio.ratio)} to {ratio_text(ratio.upper, ratio.ratio)}; " \
           f"claimed: less than {digits(bound)}x"  # fmt: skip
    if ratio.lower > bound:
        return [Finding("not-cheaper", Weight.FATAL, said, Fault.CANDIDATE, data)]
    if ratio.upper >= bound:
        return [Finding("cost-undecided", Weight.DOUBT, f"not shown: {said}", None, data)]
    findings = [Finding("cheaper", Weight.NOTE, said, None, data)]
    if found.wall is not None and found.wall.lower > bound:
        words = f"{name}: the wall clock contradicts CPU time, it shows {ratio_text(found.wall.ratio)}, " \
                f"{ratio_text(found.wall.lower)} to {ratio_text(found.wall.upper)}"  # fmt: skip
        findings.append(Finding("clocks-disagree", Weight.DOUBT, words, None, {"cost": name}))
    return findings
