"""What a judgement covers and what it does not, side by side, in plain sentences drawn from what was really done.

No sentence here is a constant promise: one appears only where the run did it. The exception is the end of
`not_covered`, which is out of scope for every run (the referee's threat model).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from assay.core.config import Depth
from assay.core.verdicts import Weight
from assay.referee.judgement import Correctness, Judgement, Timing
from assay.referee.timing.samples import Triples
from assay.report.explain import LAYERS, shape_text
from assay.report.units import plural, time_text

_OUT_OF_SCOPE = (
    "Attacks through the kernel, a driver, the hypervisor or micro-architectural side channels.",
    "Other tenants of this hardware, where they are hostile.",
    "Code that is right today and turns wrong at a later date or on a signal that never came here.",
    "Whether the code was copied from somebody, and whether it calls a library instead of doing the work itself.",
    "Speed on other machines, thread counts, shapes or library versions; memory use and energy.",
)


def covered(judgement: Judgement) -> list[str]:
    """What was done, and held as far as the findings do not say otherwise."""
    sentences: list[str] = []
    if judgement.correctness is not None and judgement.correctness.verified_calls:
        sentences += _correctness_covered(judgement, judgement.correctness)
    if judgement.timing is not None:
        sentences += _timing_covered(judgement, judgement.timing)
    if judgement.isolation is not None and judgement.isolation.held:
        held, missing = len(judgement.isolation.held), len(judgement.isolation.missing)
        tier = judgement.isolation.tier.value
        sentences.append(f"{held} of {held + missing} layers of isolation held around the candidate: tier {tier}.")
    if judgement.audit is not None:
        sentences.append(_audit_sentence(judgement))
    return sentences


def not_covered(judgement: Judgement) -> list[str]:
    """What this judgement says nothing about."""
    sentences: list[str] = []
    if judgement.config.depth is Depth.SCREEN:
        sentences.append("This was a quick screening: fewer shapes and rounds, and it never accepts.")
    sentences += _correctness_missing(judgement)
    sentences += _timing_missing(judgement)
    if judgement.isolation is None:
        sentences.append("Isolation: no candidate process came far enough to report its layers.")
    elif judgement.isolation.missing:
        names = ", ".join(LAYERS.get(layer, layer) for layer in judgement.isolation.missing)
        sentences.append(f"Isolation that this machine did not give: {names}.")
    notes = (f for f in judgement.findings if f.weight is Weight.NOTE)
    sentences += [f"{note.message[:1].upper()}{note.message[1:]}." for note in notes]
    return [*sentences, *_OUT_OF_SCOPE]


def _correctness_covered(judgement: Judgement, done: Correctness) -> Iterator[str]:
    count = plural(done.verified_calls, "output")
    if judgement.right:
        yield f"All {count} of the candidate, timed ones included, were verified against a {done.oracle} oracle."
    else:
        yield f"{count} of the candidate were verified against a {done.oracle} oracle, up to the failure."
    yield "Inputs came from a secret key that no candidate process ever held; it is published here with the verdict."
    if done.families:
        yield f"{plural(len(done.families), 'input family', 'input families')}: {', '.join(done.families)}."
    if done.shapes:
        shown = "; ".join(shape_text(shape) for shape in done.shapes)
        yield f"{plural(len(done.shapes), 'shape')} besides the timed one: {shown}."
    codes = {finding.code for finding in judgement.findings}
    if judgement.timing is not None and judgement.right and not codes & {"nondeterministic", "baseline-failed"}:
        yield "The same input twice gave the same bits, in every round."


def _timing_covered(judgement: Judgement, timing: Timing) -> Iterator[str]:
    timed = Triples.from_samples(timing.samples).timed()
    yield (
        f"{plural(len(timed.round), 'turn')} in {plural(len(set(timed.round.tolist())), 'round')} of fresh processes: "
        "baseline, baseline again and candidate, on the same fresh input, in secret order."
    )
    if np.any(timed.device_ns > 0):
        yield "Only kernels of the candidate ran, in Assay's own launcher, and no host code of it."
        yield "The clock was the device's, around the launches; it was held against the referee's outside."
    else:
        yield "The clock was the referee's, and ran until the candidate's process was seen to have stopped."
    if timing.claim.resolution is not None:
        yield f"The same code against itself in this run: it could fake a speedup of {timing.claim.resolution:.1%}."
    baseline = judgement.baseline
    if baseline is not None and judgement.config.baseline == "best":
        working = sum(each.median_ns is not None for each in baseline.considered)
        yield f"The baseline, {baseline.variant}, was the fastest of {plural(working, 'way')} to run the reference."
    codes = {finding.code for finding in judgement.findings}
    if timing.floor is not None and timing.floor.min_ns > 0 and "impossible" not in codes:
        yield f"No timed call was faster than this machine allows: {time_text(timing.floor.min_ns)} at the very least."
    if "clocks-disagree" not in codes:
        yield "CPU time charged to the candidate, read from outside, never exceeded wall time on all cores."


def _audit_sentence(judgement: Judgement) -> str:
    assert judgement.audit is not None
    tried = plural(len(judgement.audit.trivial), "trivial answer")
    if judgement.audit.degenerate:
        return f"{tried} were put before the same budget; {len(judgement.audit.degenerate)} would pass everything."
    return f"{tried} (such as zeros, or an input itself) were put before the same budget, and none passes everything."


def _correctness_missing(judgement: Judgement) -> Iterator[str]:
    done = judgement.correctness
    if done is None or not done.verified_calls:
        yield "Correctness: no output of the candidate was verified."
        return
    yield "Inputs other than those tried: this is testing, and no proof."
    for family, why in done.dropped_families.items():
        yield f"The input family {family}: {why}."
    if not done.shapes:
        yield "Shapes other than the timed one."
    if done.oracle != "float64":
        yield f"Errors that the reference makes too: the oracle was {done.oracle}."


def _timing_missing(judgement: Judgement) -> Iterator[str]:
    timing = judgement.timing
    if timing is None:
        yield "Speed: it was not measured to the end."
        return
    if judgement.config.baseline != "best":
        yield f"Faster ways to run the reference: only the baseline {judgement.config.baseline} was asked for."
    drops = timing.claim.drops
    if drops is not None and drops.kept < drops.turns:
        yield f"{drops.turns - drops.kept} of {drops.turns} turns, left out because a side had to wait for a core."
    if timing.floor is None or timing.floor.min_ns <= 0:
        yield "A physical floor: no necessary work with a known peak was counted."
