"""What a judgement of two models covers and what it does not, side by side, from what was really done."""

from __future__ import annotations

from assay.claims.judgement import ModelJudgement
from assay.claims.measuring import CAUSAL_CHECKS
from assay.claims.samples import TIMED
from assay.claims.settings import Cost
from assay.report.explain import LAYERS
from assay.report.units import plural, time_text


def covered(judgement: ModelJudgement) -> list[str]:
    """What was done, and held as far as the findings do not say otherwise."""
    evidence, quality = judgement.evidence, judgement.decision.quality
    sentences = []
    if quality is not None:
        over = (
            f"{plural(quality.seeds, 'seed')}" if quality.seeds > 1 else f"{plural(quality.units, 'batch', 'batches')}"
        )
        sentences.append(
            f"Both models answered the same {plural(quality.examples, 'held-out example')}; the limits are over "
            f"{over}, and the margin was fixed before."
        )
    if evidence.samples.pairs:
        processes = len({(pair.round, pair.cost is Cost.TRAINING) for pair in evidence.samples.pairs})
        sentences.append(
            f"{plural(len(evidence.samples.pairs), 'timed call')} of each model in turns on the same inputs, in "
            f"{plural(processes, 'pair')} of fresh processes that loaded their models from the folders; all answers "
            "but those of training steps were scored."
        )
    taken = [each.overhead for each in judgement.decision.costs.values() if each.overhead is not None]
    if taken:
        sentences.append(
            f"What a call costs the judge itself, {time_text(max(taken))} by calls of a process without a model in the "
            "same turns, is taken off both models' times."
        )
    if evidence.causal_checks:
        sentences.append(
            f"{plural(evidence.causal_checks, 'look')} at whether outputs change with what comes after them, at secret "
            f"positions, {CAUSAL_CHECKS} for each seed."
        )
    if judgement.isolation is not None:
        held = ", ".join(LAYERS.get(layer, layer) for layer in judgement.isolation.held)
        sentences.append(f"Models got inputs only; targets and the score stayed with the judge. Confinement: {held}.")
    return [*sentences, "Data file, model sources, settings and every raw loss and time are in this certificate."]


def not_covered(judgement: ModelJudgement) -> list[str]:
    """What a reader must not take from this."""
    evidence, data, quality = judgement.evidence, judgement.data, judgement.decision.quality
    sentences = [
        "Data unlike the held-out data; and whether a model was trained on these examples, which nobody can see here."
    ]
    if quality is not None and quality.seeds == 1:
        sentences.append("Noise of training: one seed of each model was compared.")
    elif quality is not None:
        sentences.append("Other held-out examples: the limits are over seeds, on these examples.")
    if not data.causal:
        sentences.append(
            "Whether outputs depend on inputs that they should not see (the data file says nothing of CAUSAL)."
        )
    elif evidence.causal_checks:
        sentences.append("A model that recognises a continuation that does not fit, and looks ahead only elsewhere.")
    if evidence.samples.of(Cost.TRAINING):
        sentences.append("What a training step learns: only its time was measured, and that its loss is a number.")
    if any(evidence.samples.of(cost) for cost in TIMED):
        sentences.append(f"Other machines, batch sizes, thread counts than {judgement.settings.threads}, and energy.")
    if evidence.operations:
        sentences.append("Active operations are what each model's own process says; no verdict rests on them.")
    if judgement.isolation is not None and judgement.isolation.missing:
        lost = ", ".join(LAYERS.get(layer, layer) for layer in judgement.isolation.missing)
        sentences.append(f"This machine did not give: {lost}.")
    return [*sentences, "Attacks through the kernel, a driver, the hypervisor or side channels of the processor."]
