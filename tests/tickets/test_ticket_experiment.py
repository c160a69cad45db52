"""The lottery ticket experiment: whole runs on small images, and what the report makes of known rows."""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from assay.claims.quality import Outcome
from assay.errors import InputError
from assay.pruning import controls, full_mask
from benchmarks.tickets.figures import Point, chart
from benchmarks.tickets.gradients import Gradients
from benchmarks.tickets.images import split
from benchmarks.tickets.lines import (
    DENSE,
    DENSE_FALLING,
    DENSE_LONGER,
    FINE_TUNED,
    GRADUAL,
    LINES,
    RANDOM,
    REINITIALISED,
    REWOUND,
    REWOUND_FALLING,
    Run,
    falling,
    fine_tuning,
    gradual,
    tickets,
)
from benchmarks.tickets.network import make_network, prune_round, seed_for, thin_gradually
from benchmarks.tickets.record import Record
from benchmarks.tickets.report import render
from benchmarks.tickets.running import run_all
from benchmarks.tickets.settings import load_settings
from benchmarks.tickets.training import Course, batches, train
from benchmarks.tickets.verdicts import Table, estimate
from tests.tickets.synthetic_images import SETTINGS, load

FROZEN = load_settings()
PARTS = load(SETTINGS)


def trained(rows):
    """Rows without what a clock measured."""
    return [{name: value for name, value in row.items() if name != "cpu_s"} for row in rows]


def rows_of(arm, correct, round_=FROZEN.target_round, ended=None, steps=(500, 750, 500, 750, 500)):
    return [
        {"arm": arm, "round": round_, "seed": seed, "stopped": each, "ended": each if ended is None else ended,
         "step": step, "cpu_s": 60.0}
        for seed, each, step in zip(FROZEN.seeds, correct, steps, strict=True)
    ]  # fmt: skip


def results(*rows):
    lines = {"seed 1, tickets": {"when": "2026-01-02T00:00:00", "rows": [row for each in rows for row in each]}}
    return {
        "machine": {"cpu_model": "a processor"}, "settings": FROZEN.identity, "images_sha256": "ab",
        "test_images": 10_000, "suites": {"lines": lines},
    }  # fmt: skip


def table_of(*rows):
    return Table(results(*rows)["suites"]["lines"], 10_000, FROZEN)


def test_an_interrupted_experiment_goes_on_and_gives_to_the_bit_what_an_uninterrupted_one_gives(tmp_path, capsys):
    first, path = Run(1, "fine-tuning"), tmp_path / "results.json"
    with Record(path, SETTINGS, PARTS, quick=True) as record:
        record.add(first, LINES[first.line](1, PARTS, SETTINGS, lambda words: None))
    with Record(path, SETTINGS, PARTS, quick=True) as record:
        assert first not in record.missing()
        run_all(record, SETTINGS, 1, load)
        assert record.missing() == []
    assert "[7/7] seed 2, " in capsys.readouterr().out
    data = json.loads(path.read_text())
    lines = data["suites"]["lines"]
    assert set(lines) == {f"seed {seed}, {line}" for seed in (1, 2) for line in LINES}
    for seed in (1, 2):
        for name, line in LINES.items():
            again = trained(line(seed, PARTS, SETTINGS, lambda words: None))
            assert trained(lines[f"seed {seed}, {name}"]["rows"]) == again
    assert lines["seed 1, tickets"]["rows"][0]["losses"] != lines["seed 2, tickets"]["rows"][0]["losses"]
    assert "not inferior" in render({"here": data}, SETTINGS)[0]
    with pytest.raises(InputError, match="other settings or on other images"):
        Record(path, FROZEN, PARTS)


def test_every_arm_keeps_exactly_as_many_weights_of_each_layer_as_the_settings_say():
    rows = tickets(3, PARTS, SETTINGS, lambda words: None) + fine_tuning(3, PARTS, SETTINGS, lambda words: None)
    kept = {(row["arm"], row["round"]): tuple(row["kept"]) for row in rows}
    everything = (64 * 24, 24 * 16, 16 * 10)
    assert kept.pop((DENSE, 0)) == everything
    for round_ in (1, 2):
        left = tuple(round(n * (1 - s) ** round_) for n, s in zip(everything, (0.44, 0.44, 0.22), strict=True))
        assert kept.pop((DENSE_LONGER, round_)) == everything
        for arm in (REWOUND, REINITIALISED, RANDOM, FINE_TUNED):
            assert kept.pop((arm, round_)) == left
    assert not kept


def test_gradual_pruning_takes_weights_step_by_step_until_exactly_the_targets_are_left():
    rows = {row["arm"]: row for row in gradual(3, PARTS, SETTINGS, lambda words: None)}
    left, everything = SETTINGS.kept(SETTINGS.target_round), SETTINGS.kept(0)
    assert sum(rows[GRADUAL]["kept"]) == sum(left)
    assert rows[GRADUAL]["kept"] != list(left), "layers are ranked together"
    assert tuple(rows[DENSE_FALLING]["kept"]) == everything
    assert len(rows[DENSE_FALLING]["losses"]) > len(rows[GRADUAL]["losses"]), "it may stop only where all are gone"
    assert rows[GRADUAL]["step"] > SETTINGS.gradual.end
    network = make_network(SETTINGS, 3)
    mask, counts = full_mask(network), []
    for step in range(SETTINGS.gradual.steps):
        mask = thin_gradually(network, mask, step, SETTINGS)
        counts.append(sum(int(each.sum()) for each in mask.values()))
    shape = SETTINGS.gradual
    assert counts[: shape.begin + 1] == [sum(everything)] * (shape.begin + 1)
    assert counts[shape.begin :: shape.every] == sorted(counts[shape.begin :: shape.every], reverse=True)
    middle = (shape.begin + shape.end) // 2
    assert counts[middle] == sum(left) + round((sum(everything) - sum(left)) / 8)
    assert set(counts[shape.end :]) == {sum(left)}


def test_gradients_are_those_of_autograd():
    network, part = make_network(SETTINGS, 5), PARTS.test
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    torch.nn.functional.cross_entropy(network(part.images), part.labels).backward()
    expected = [parameter.grad for parameter in network.parameters()]
    gradients = Gradients(network)
    for labels in (part.labels.roll(1), part.labels):
        gradients.write(part.images, labels)
    for parameter, each in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, each, rtol=1e-4, atol=1e-6)
        assert float(each.abs().max()) > 1e-3


def test_training_learns_and_early_stopping_is_the_step_of_least_validation_loss():
    network = make_network(SETTINGS, 5)
    row = train(network, full_mask(network), PARTS, SETTINGS, 6, Course(60))
    assert row["step"] == 10 * (1 + row["losses"].index(min(row["losses"])))
    assert row["losses"][-1] < row["losses"][0] / 2
    assert row["ended"] > 250
    with torch.inference_mode():
        assert int((network(PARTS.test.images).argmax(1) == PARTS.test.labels).sum()) == row["ended"]


def test_the_accuracy_at_early_stopping_is_of_the_weights_of_that_step():
    settings = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, rate=0.3))
    network = make_network(settings, 5)
    row = train(network, full_mask(network), PARTS, settings, 6, Course(60))
    assert row["step"] < 60, "at this rate the loss ends higher than it was"
    shorter = make_network(settings, 5)
    assert train(shorter, full_mask(shorter), PARTS, settings, 6, Course(row["step"]))["ended"] == row["stopped"]


def test_a_diverging_training_is_an_error_that_says_where():
    nothing = dataclasses.replace(PARTS.validation, images=torch.full_like(PARTS.validation.images, torch.nan))
    broken = dataclasses.replace(PARTS, validation=nothing)
    network = make_network(SETTINGS, 5)
    with pytest.raises(InputError, match="diverged\n  got: step 10"):
        train(network, full_mask(network), broken, SETTINGS, 6, Course(20))


def test_a_ticket_has_its_initial_weights_and_the_controls_change_one_thing_each(monkeypatch):
    begun = []

    def note(network, mask, parts, settings, order, course):
        begun.append(({name: each.detach().clone() for name, each in network.named_parameters()}, mask, order))
        return train(network, mask, parts, settings, order, course)

    monkeypatch.setattr("benchmarks.tickets.lines.train", note)
    tickets(4, PARTS, SETTINGS, lambda words: None)
    (dense, _, first), (ticket, mask, order), (new, same, order2), (chance, other, order3) = begun[:4]
    assert order == order2 == order3 != first
    for name, stays in mask.items():
        assert torch.equal(ticket[name], dense[name] * stays)
        assert torch.equal(same[name], stays)
        assert not torch.equal(other[name], stays)
        assert torch.equal(chance[name], dense[name] * other[name])
        assert not bool((new[name][stays] == dense[name][stays]).any())


def test_the_ticket_at_a_falling_rate_is_the_one_that_the_tickets_line_found(monkeypatch):
    masks = {}

    def note(network, mask, parts, settings, order, course):
        masks[course.steps, tuple(int(each.sum()) for each in mask.values())] = mask
        return train(network, mask, parts, settings, order, course)

    monkeypatch.setattr("benchmarks.tickets.lines.train", note)
    fall = falling(4, PARTS, SETTINGS, lambda words: None)
    assert [(row["arm"], row["round"]) for row in fall] == [(REWOUND_FALLING, SETTINGS.target_round)]
    ticket = masks[SETTINGS.gradual.steps, SETTINGS.kept(SETTINGS.target_round)]
    monkeypatch.setattr("assay.pruning.controls.random_mask", lambda start, mask, seed: controls.rewound(start, mask))
    tickets(4, PARTS, SETTINGS, lambda words: None)
    found = masks[SETTINGS.training.steps, SETTINGS.kept(SETTINGS.target_round)]
    assert all(torch.equal(found[name], each) for name, each in ticket.items())


def test_the_smallest_weights_of_each_layer_go_and_none_comes_back():
    network = make_network(SETTINGS, 1)
    first = prune_round(network, full_mask(network), SETTINGS, 1)
    second = prune_round(make_network(SETTINGS, 2), first, SETTINGS, 2)
    for name, stays in first.items():
        weight = network.get_parameter(name).detach().abs()
        assert float(weight[stays].min()) >= float(weight[~stays].max())
        assert not bool((second[name] & ~stays).any())


def test_batches_pass_over_all_images_before_one_comes_again():
    found = list(batches(10, 3, seed_for(1, "order"), 6))
    passes = [torch.cat(found[:3]), torch.cat(found[3:])]
    assert all(len(set(each.tolist())) == 9 for each in passes)
    assert not torch.equal(*passes)


def test_validation_images_are_neither_trained_on_nor_tested():
    everything = torch.cat([PARTS.training.images, PARTS.validation.images, PARTS.test.images])
    assert len(everything) == len(torch.unique(everything, dim=0)) == 1300
    with pytest.raises(InputError, match="too few images"):
        split(PARTS.validation, PARTS.test, SETTINGS)


def test_the_target_is_asked_where_nine_tenths_are_gone():
    removed = [1 - FROZEN.remaining(round_) for round_ in range(FROZEN.pruning.rounds + 1)]
    assert removed[FROZEN.target_round] >= FROZEN.target_removed > removed[FROZEN.target_round - 1]
    assert FROZEN.kept(0) == (235200, 30000, 1000)


@pytest.mark.parametrize(
    ("lost", "outcome"),
    [
        ((0, 10, -10, 5, 0), Outcome.NOT_INFERIOR),
        ((60, 55, 65, 60, 58), Outcome.INFERIOR),
        ((80, -80, 60, -60, 25), Outcome.UNDECIDED),
    ],
)
def test_seeds_are_compared_in_pairs_within_the_margin(lost, outcome):
    dense = [8900, 8700, 8800, 8950, 8600]
    found = table_of(
        rows_of(DENSE, dense, 0), rows_of(REWOUND, [d - each for d, each in zip(dense, lost, strict=True)])
    )
    assert found.outcome(REWOUND, FROZEN.target_round) == outcome
    assert found.outcome(RANDOM, FROZEN.target_round) is None


def test_an_arm_that_is_worse_at_the_end_or_than_dense_trained_as_long_does_not_count_as_good():
    dense, good = rows_of(DENSE, [8800] * 5, 0), [8800, 8801, 8799, 8800, 8800]
    assert table_of(dense, rows_of(REWOUND, good, ended=8700)).outcome(REWOUND, FROZEN.target_round) == Outcome.INFERIOR
    longer = rows_of(DENSE_LONGER, [9000] * 5)
    found = table_of(dense, longer, rows_of(FINE_TUNED, good))
    assert found.outcome(FINE_TUNED, FROZEN.target_round) == Outcome.INFERIOR


def test_nothing_is_concluded_before_every_reference_is_there():
    longer, tuned = rows_of(DENSE_LONGER, [8800] * 5), rows_of(FINE_TUNED, [8800, 8801, 8799, 8800, 8800])
    assert table_of(longer, tuned).outcome(FINE_TUNED, FROZEN.target_round) is None
    dense = rows_of(DENSE, [8750] * 5, 0)
    assert table_of(dense, longer, tuned).outcome(FINE_TUNED, FROZEN.target_round) == Outcome.NOT_INFERIOR
    assert table_of(dense, longer, tuned).best_dense(FROZEN.target_round) == DENSE_LONGER


def test_intervals_are_students():
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0], 0.95)
    assert (found.mean, found.seeds) == (3.0, 5)
    assert found.high - found.mean == pytest.approx(2.776445 * 0.707107, rel=1e-5)
    assert found.limit - found.mean == pytest.approx(2.131847 * 0.707107, rel=1e-5)
    assert estimate([1.0], 0.95) is None


def test_the_report_shows_failures_and_refuses_other_settings():
    rows = [rows_of(DENSE, [8800, 8810, 8790, 8805, 8795], 0)]
    for round_ in range(1, FROZEN.pruning.rounds + 1):
        lost = 0 if round_ <= FROZEN.target_round else 200
        rows += [rows_of(REWOUND, [8800 - lost, 8812 - lost, 8790 - lost, 8805 - lost, 8795 - lost], round_)]
        rows += [rows_of(RANDOM, [8500, 8510, 8490, 8505, 8496], round_)]
    data = results(*rows)
    words, pictures = render({"here": data, "there": data | {"settings": "others"}}, FROZEN)
    assert "- **rewound**, 90.1% removed: reached (not inferior at early stopping, not inferior at the end; " in words
    assert "- **fine-tuned**, 90.1% removed: not measured yet." in words
    assert (
        "**rewound**: not inferior at 56.1%, 31.5%, 17.7%, 9.9%; inferior at 5.6%, 3.2%, 1.8% of the weights." in words
    )
    assert "| random mask | dense | at early stopping | +3.00 |" in words
    assert words.count("other settings and are not shown") == 1
    assert "Only 1 of 20 lines are done." in words
    assert set(pictures) == {"here-stopped.svg", "here-ended.svg", "here-step.svg"}
    for name in pictures:
        assert f"(figures/tickets/{name})" in words


def test_pictures_are_well_formed_and_name_every_arm():
    line = [Point(10.0, 88.0, 87.5, 88.5), Point(100.0, 88.2, 88.0, 88.4)]
    root = ElementTree.fromstring(chart({DENSE: line, RANDOM: line, REWOUND: []}, "accuracy", "words <here>"))
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {DENSE, RANDOM} <= set(words)
    assert REWOUND not in words


def test_settings_that_cannot_be_run_are_refused():
    with pytest.raises(InputError, match="cannot be run"):
        dataclasses.replace(FROZEN, seeds=(1, 1))
    with pytest.raises(InputError, match="divides the steps"):
        dataclasses.replace(FROZEN, fine_tuning=dataclasses.replace(FROZEN.fine_tuning, steps=1001))
