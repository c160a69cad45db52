"""Two models judged from their folders in confined processes: as good and cheaper, and what is not."""

import dataclasses
from statistics import median

import pytest

from assay.checkpoints import read_folder
from assay.claims.courtroom import Courtroom
from assay.claims.decision import decide
from assay.claims.held_out import load_held_out
from assay.claims.judging import judge_model, silent
from assay.claims.measuring import Measurement
from assay.claims.settings import ClaimSettings, Cost
from assay.core.verdicts import Verdict
from assay.errors import InputError
from assay.native.library import built
from assay.referee.protocol.secret import Secret
from assay.sandbox.spawn import Zygote
from tests.claims.models import (
    DATA,
    LANGUAGE_DATA,
    QUICK,
    TRAINS,
    data_file,
    folder_of,
    language,
    regression,
)

PRELOAD = ("torch", "numpy", "torch._dynamo", "assay.claims.worker")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dense model of regression and one of language, with their data, in a folder that any user may read."""
    place = tmp_path_factory.mktemp("models")
    place.chmod(0o755)
    folder_of(place / "dense", regression(1024))
    folder_of(place / "dense-language", language(64))
    data_file(place / "data.py")
    data_file(place / "language.py", LANGUAGE_DATA)
    return place


@pytest.fixture(scope="module")
def zygote(place):
    """One for many judgements, which sees all folders: starting two for each takes most of a small one's time."""
    with Zygote(PRELOAD, visible=[str(place)], libraries=[str(built())]) as zygote:
        zygote.wait_ready()
        yield zygote


@pytest.fixture
def judged(place, zygote, request):
    """A function from a cheap model's source to evidence and decision, measured in the shared zygote's processes."""

    def judged(source, *, data="data.py", dense="dense", settings=QUICK, name=""):
        cheap = folder_of(place / f"{request.node.name}{name}", source)
        held_out = load_held_out(place / data)
        folders = (read_folder(place / dense), read_folder(cheap))
        room = Courtroom(folders, (None,), (zygote, zygote), 4 << 30)
        evidence = Measurement(room, held_out, settings, Secret(), silent).run()
        return evidence, decide(evidence, settings, held_out.unit)

    return judged


def codes(decision):
    return [finding.code for finding in decision.findings]


def test_a_smaller_model_that_is_as_good_is_accepted_with_every_cost(place, tmp_path):
    data_file(tmp_path / "data.py", DATA + TRAINS)
    folder_of(tmp_path / "cheap", regression(64))
    claimed = (Cost.THROUGHPUT, Cost.TRAINING, Cost.SIZE)
    settings = dataclasses.replace(QUICK, costs=claimed, at_most=0.9)
    dense = folder_of(tmp_path / "dense", regression(8192))
    found = judge_model(dense, tmp_path / "cheap", tmp_path / "data.py", settings)
    assert found.verdict is Verdict.ACCEPT, codes(found.decision)
    assert codes(found.decision) == ["not-inferior", "cheaper", "cheaper", "cheaper", "one-seed"]
    costs = found.decision.costs
    assert all(costs[cost].ratio.upper < 0.9 for cost in claimed)
    assert costs[Cost.LATENCY].ratio is not None
    assert costs[Cost.LATENCY].dense > 0
    assert found.evidence.operations == [2 * 64 * 8192 * (32 + 4), 2 * 64 * 64 * (32 + 4)]
    assert len(found.evidence.losses[0][0]) == len(found.evidence.batch) == 256
    assert "minimal-root" in found.isolation.held
    pairs = found.evidence.samples.pairs
    assert all(pair.null_ns[1] > 0 for pair in pairs)  # the judge's own part, in every turn
    assert median(pair.null_ns[1] for pair in pairs) < median(min(pair.cpu_ns) for pair in pairs)


def test_a_model_finds_neither_the_data_nor_the_other_model(place, tmp_path):
    paths = [str(place / "data.py"), str(place / "dense"), str(tmp_path)]
    look = f"import os; seen = [p for p in {paths!r} if os.path.exists(p)]"
    copies = "seen += [n for n in os.listdir('/tmp') if n.startswith('assay-model-')][1:]"
    source = regression(64, f"{look}; {copies}; outputs = outputs + 3 * len(seen)")
    found = judge_model(place / "dense", folder_of(tmp_path / "cheap", source), place / "data.py", QUICK)
    assert "not-inferior" in codes(found.decision)


def test_a_model_that_is_worse_is_rejected_whatever_it_costs(judged):
    _, decision = judged(regression(64, "outputs = outputs + 3"))
    assert decision.verdict is Verdict.REJECT
    assert "inferior" in codes(decision)


def test_a_model_that_costs_more_is_rejected_however_good_it_is(judged):
    _, decision = judged(regression(4096))
    assert decision.verdict is Verdict.REJECT
    assert "not-cheaper" in codes(decision)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("outputs[0, 1] = float('nan')", "not-finite"),
        ("raise OSError('no luck')", "call-error"),
        ("import os; os._exit(3)", "crashed"),
        ("outputs = outputs if len(x) > 1 else outputs + 3", "timed-differently"),
        ("x.zero_()", "crashed"),
    ],
    ids=["NaN", "raises", "exits", "single", "writes"],
)
def test_a_model_that_does_not_keep_to_the_task_is_rejected(judged, more, code):
    _, decision = judged(regression(64, more))
    assert decision.verdict is Verdict.REJECT
    assert code in codes(decision)


def test_a_model_that_remembers_answers_is_not_faster_for_it(judged):
    memory = (
        "import hashlib; k = hashlib.md5(x.numpy().tobytes()).digest(); seen = self.__dict__.setdefault('seen', {})"
    )
    source = regression(1024).replace("outputs = self", f"{memory}\n        outputs = seen[k] if k in seen else self")
    settings = dataclasses.replace(QUICK, at_most=0.5, rounds=4, costs=(Cost.THROUGHPUT, Cost.LATENCY))
    _, decision = judged(source.replace("pass", "seen[k] = outputs"), settings=settings)
    assert decision.verdict is not Verdict.ACCEPT
    assert all(decision.costs[cost].ratio.ratio > 0.7 for cost in settings.costs)


def test_memory_is_what_answering_takes_and_not_what_loading_has_freed(judged):
    loading = "super().__init__(); import torch; kept = [torch.ones(1 << 24)]{rest}"
    freed = regression(64).replace("super().__init__()", loading.format(rest="; del kept"))
    held = regression(64).replace("super().__init__()", loading.format(rest="; self.__dict__['kept'] = kept"))
    peaks = [[cheap for _, cheap in judged(source, name=name)[0].samples.peaks]
             for name, source in (("freed", freed), ("held", held))]  # fmt: skip
    assert max(peaks[0]) < 32 << 20
    assert min(peaks[1]) > 60 << 20


def test_a_language_model_that_looks_ahead_is_rejected_with_the_place(judged):
    ahead = "means = means + 0.01 * x.mean(1, keepdim=True)"
    _, decision = judged(language(16, ahead), data="language.py", dense="dense-language")
    assert decision.verdict is Verdict.REJECT
    assert codes(decision) == ["looks-ahead"]
    assert decision.findings[0].data["position"] >= 1


def test_a_causal_language_model_passes_the_look_ahead_check(judged):
    evidence, decision = judged(language(16), data="language.py", dense="dense-language")
    assert "looks-ahead" not in codes(decision)
    assert evidence.causal_checks == 3


def test_seeds_are_judged_in_pairs_and_their_spread_is_the_limit(tmp_path):
    dense = folder_of(tmp_path / "dense", regression(512), seeds=[0, 1, 2])
    cheap = folder_of(tmp_path / "cheap", regression(64), seeds=[1, 2])
    data = data_file(tmp_path / "data.py")
    with pytest.raises(InputError, match="cheap folder has fewer seeds"):
        judge_model(dense, cheap, data, QUICK)
    found = judge_model(dense, cheap, data, dataclasses.replace(QUICK, seeds=(1, 2)))
    assert (found.decision.quality.seeds, found.decision.quality.units) == (2, 2)
    assert "one-seed" not in codes(found.decision)
    assert len(found.evidence.losses[1]) == 2


def test_models_whose_outputs_have_other_shapes_cannot_be_compared(judged):
    with pytest.raises(InputError, match="different shapes"):
        judged(regression(64, "outputs = outputs[:, :3]"))


def test_a_dense_model_that_fails_is_the_callers_fault(place, judged):
    folder_of(place / "failing", regression(64, "raise OSError('no luck')"))
    with pytest.raises(InputError, match="no luck"):
        judged(regression(64), dense="failing")


def test_a_training_step_that_fails_is_a_cost_that_is_not_known(place, judged):
    data_file(place / "training.py", DATA + TRAINS.replace("score(model(x)", "missing(model(x)"))
    _, decision = judged(regression(64), data="training.py")
    assert "missing" in decision.costs[Cost.TRAINING].reason
    assert "not-inferior" in codes(decision)


def test_a_missing_folder_is_named(place, tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        judge_model(tmp_path / "nowhere", place / "dense", place / "data.py", ClaimSettings())
