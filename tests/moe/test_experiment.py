"""The language-model experiments: whole runs on a tiny text, and what the report makes of known rows."""

import json
import random
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from assay.claims.quality import Outcome
from assay.errors import InputError
from benchmarks.moe.figures import Point, scatter
from benchmarks.moe.layers import balanced_mask
from benchmarks.moe.matching import match
from benchmarks.moe.model import make_model, parameters
from benchmarks.moe.plan import chosen_trial, next_runs
from benchmarks.moe.record import Record
from benchmarks.moe.report import Stage, render
from benchmarks.moe.running import run_all
from benchmarks.moe.settings import AGAIN, load_settings, quick
from benchmarks.moe.text import load_corpus, windows
from benchmarks.moe.training import Run, train
from benchmarks.moe.verdicts import find

SETTINGS = load_settings()
FINE, DENSE = "fine-16x128-top-2", "dense-x4"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    words = ["a", "byte", "costs", "expert", "of", "text", "the", "trains", "\n"]
    path.write_text(" ".join(random.Random(0).choices(words, k=4000)))
    return path


def row(arm, seed, bits, trial=SETTINGS.sweep[0]):
    chunks = [] if bits is None else [bits - 0.1, bits + 0.1]
    return {
        "name": f"{arm} {trial} {seed}", "arm": arm, "rate": trial.rate, "beta2": trial.beta2, "seed": seed,
        "bits": bits, "chunks": chunks,
        "loads": [[0.1, 0.9]] if arm == FINE else [], "when": "2026-01-02", "parameters": 10, "active": 5,
    }  # fmt: skip


def rows_of(arm, bits):
    return [row(arm, seed, each) for seed, each in zip(SETTINGS.seeds, bits, strict=False)]


def finding(rows, arm=FINE):
    return next(each for each in find(rows, "experts", SETTINGS) if each.arm.name == arm)


def test_a_run_goes_on_where_it_was_left_and_repeats_to_the_bit_in_another_process(text, tmp_path, capsys):
    settings, path = quick(SETTINGS), tmp_path / "results.json"
    corpus, arm = load_corpus(settings, text), settings.arm(FINE)
    with Record(path, settings, corpus.sha256, quick=True) as record:
        for seed in (settings.rate_seed, *settings.seeds):
            here = train(Run(FINE, settings.sweep[0], seed), settings, corpus)[1]
            if seed != settings.seeds[1]:
                record.add(here)
    with Record(path, settings, corpus.sha256, quick=True) as record:
        run_all(record, settings, [arm], text, 1)
    assert "[3/3]" in capsys.readouterr().out
    data = json.loads(path.read_text())
    rows = data["suites"]["runs"]
    assert [each["seed"] for each in rows] == [101, 1, 2]
    assert rows[-1]["bits"] == here["bits"]
    assert 1 < here["bits"] < 9
    words, _ = render([Stage("frozen.toml", settings, {"machine": data})])
    assert f"| {FINE} | 594,560 |" in words
    with pytest.raises(InputError, match="other settings or on another text"):
        Record(path, SETTINGS, corpus.sha256)


def test_a_block_sparse_arm_is_as_wide_as_its_measured_cost_allows(text):
    settings = quick(SETTINGS)
    said = []
    found = match(settings.arm("sparse-80"), settings, load_corpus(settings, text), said.append, rounds=3)
    assert found["hidden"] % 16 == 0
    assert abs(found["ratio"][0] - 1) == min(abs(each["ratio"][0] - 1) for each in found["tried"])
    assert len(said) == len(found["tried"])


def test_parameters_are_those_that_the_question_was_asked_with():
    expected = {"dense-x1": (139904, 139904), DENSE: (336512, 336512), FINE: (600704, 141952),
                "coarse-8x256-top-1": (599680, 140928)}  # fmt: skip
    for name, counts in expected.items():
        arm = SETTINGS.arm(name)
        assert parameters(make_model(arm, SETTINGS, 0), arm) == counts


def test_arms_of_one_seed_differ_in_their_feed_forwards_only():
    models = [make_model(SETTINGS.arm(name), SETTINGS, 3) for name in (DENSE, FINE)]
    states = [model.state_dict() for model in models]
    shared = [name for name in states[0] if not name.startswith("feed_forwards")]
    assert len(shared) > 10
    assert all(torch.equal(states[0][name], states[1][name]) for name in shared)


@pytest.mark.parametrize("name", [DENSE, FINE, "coarse-8x256-top-1", "sparse-90"])
def test_no_byte_is_predicted_from_itself_or_a_later_one(name):
    model = make_model(SETTINGS.arm(name), SETTINGS, 0, 512).eval()
    tokens = torch.randint(256, (1, 128))
    changed = tokens.clone()
    changed[0, 70:] = (changed[0, 70:] + 1) % 256
    with torch.inference_mode():
        before, after = model(tokens)[0], model(changed)[0]
    assert torch.allclose(before[0, :70], after[0, :70], atol=1e-5)
    assert not torch.allclose(before[0, 70], after[0, 70], atol=1e-3)


def test_held_out_chunks_are_not_trained_on_and_the_two_kinds_are_apart(text):
    settings = quick(SETTINGS)
    corpus = load_corpus(settings, text)
    content = text.read_bytes()
    held = [content[at : at + 1024] for at in range(3 * 1024, len(content) - 1023, 4 * 1024)]
    assert [bytes(chunk.tolist()) for chunk in corpus.choosing] == held[::2]
    assert [bytes(chunk.tolist()) for chunk in corpus.measuring] == held[1::2]
    assert corpus.training.numel() + 1024 * len(held) == len(content)


def test_every_byte_of_a_window_is_predicted_once():
    parts = windows(torch.arange(21, dtype=torch.uint8).view(1, 21), 4)
    assert parts[0, :, 1:].flatten().tolist() == list(range(1, 21))


def test_masks_cut_no_hidden_block_off_while_another_has_two():
    mask = balanced_mask(100, 12, 0.1)
    assert int(mask.sum()) == 120
    assert set(mask.sum(1).tolist()) == {1, 2}
    assert int(mask.sum(0).max()) - int(mask.sum(0).min()) <= 1


def test_a_seed_that_chose_a_rate_is_never_compared():
    arm = SETTINGS.arm(DENSE)
    rows = [
        row(DENSE, SETTINGS.rate_seed, bits, trial)
        for trial, bits in zip(SETTINGS.sweep, (2.5, 2.3, None), strict=True)
    ]
    assert chosen_trial(rows, arm, SETTINGS) == SETTINGS.sweep[1]
    fresh = [(run.seed, run.trial) for run in next_runs(rows, [arm], SETTINGS, {}) if run.seed != SETTINGS.rate_seed]
    assert fresh == [(seed, SETTINGS.sweep[1]) for seed in SETTINGS.seeds]
    assert chosen_trial(rows[:2], arm, SETTINGS) is None
    assert finding([*rows, *rows_of(DENSE, [2.2] * 5)], DENSE).bits == pytest.approx(2.2)


@pytest.mark.parametrize(
    ("worse", "outcome"),
    [
        ((0.0, 0.01, 0.005, 0.0, 0.01), Outcome.NOT_INFERIOR),
        ((0.05, 0.06, 0.055, 0.05, 0.06), Outcome.INFERIOR),
        ((-0.1, 0.1, 0.05, -0.05, 0.02), Outcome.UNDECIDED),
    ],
)
def test_seeds_are_compared_in_pairs_within_the_margin(worse, outcome):
    dense = [2.2, 2.9, 2.5, 2.1, 2.4]
    rows = rows_of(DENSE, dense) + rows_of(FINE, [bits + each for bits, each in zip(dense, worse, strict=True)])
    assert finding(rows).outcome(SETTINGS) == outcome


def test_an_arm_that_diverges_on_one_seed_is_inferior():
    rows = rows_of(DENSE, [2.2] * 5) + rows_of(FINE, [2.1, 2.1, None, 2.1, 2.1])
    assert finding(rows).outcome(SETTINGS) == Outcome.INFERIOR


def test_the_report_shows_failures_and_refuses_other_settings():
    cost = {"trained": True, "file_bytes": 4096, "peak_bytes": {"training": 1 << 24, "inference": 1 << 23}}
    cost |= {kind: {"median_ms": 10.0, "ratio": [0.55, 0.5, 0.6]} for kind in ("training", "inference", "single")}
    rows = rows_of(DENSE, [2.2, 2.3, 2.25, 2.2, 2.2]) + rows_of(FINE, [2.1, 2.2, 2.15, 2.1, None])
    suites = {
        "runs": rows,
        "costs": {
            "arms": {DENSE: cost, FINE: cost},
            "when": "2026-01-03",
            "conditions": [{"load": 0.0}, {"load": 1.0}],
        },
    }
    data = {
        "machine": {"cpu_model": "a processor"},
        "settings": SETTINGS.identity,
        "text_sha256": "ab",
        "suites": suites,
    }
    words, pictures = render([Stage("frozen.toml", SETTINGS, {"here": data, "there": data | {"settings": "others"}})])
    assert "inferior: 1 of 5 runs diverged; 0.55x its training and 0.55x its inference, not within" in words
    assert "**coarse-8x256-top-1**: not measured yet" in words
    assert words.count("other settings and are not shown") == 1
    assert "| 6.2% | 10.0% | 90.0% |" in words
    assert set(pictures) == {f"here-experts-{kind}.svg" for kind in ("training", "inference", "memory")}


def test_pictures_are_well_formed_and_name_every_arm():
    points = [Point("dense <x4>", 20.0, 2.2, 0.01, "dense"), Point("fine", 9.0, 2.19, 0.02, "fine")]
    root = ElementTree.fromstring(scatter(points, "seconds", (10.0, 2.22), "words"))
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"dense <x4>", "fine"} <= set(words)


def test_what_was_undecided_is_asked_again_of_other_seeds_under_the_same_margin():
    again = load_settings(AGAIN)
    assert not {again.rate_seed, *again.seeds} & {SETTINGS.rate_seed, *SETTINGS.seeds}
    assert (again.margin_bits, again.confidence, again.training) == (
        SETTINGS.margin_bits, SETTINGS.confidence, SETTINGS.training,
    )  # fmt: skip
    assert again.experiments["experts"] == SETTINGS.experiments["experts"]
    assert all(arm == SETTINGS.arm(arm.name) for arm in again.arms)


def test_a_second_experiment_is_shown_behind_the_first_and_not_before_it_has_run():
    data = {"machine": {"cpu_model": "a processor"}, "settings": SETTINGS.identity, "text_sha256": "ab", "suites": {}}
    first = Stage("frozen.toml", SETTINGS, {"here": data})
    words, _ = render([first, Stage("again.toml", SETTINGS, {"again-here": data})])
    assert words.index("frozen.toml") < words.index("again.toml")
    words, _ = render([first, Stage("again.toml", SETTINGS, {})])
    assert "again.toml" not in words
