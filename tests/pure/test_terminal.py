"""What people read on a terminal: whole at 80 columns, without colour and piped, whatever a candidate calls itself."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from synthetic_judgement import EVERY_KIND, accepted, facts, peaks, rejected_as_wrong

from assay.core.sources import TaskFormat
from assay.machine.isolation import IsolationReport, Layer, LayerState
from assay.referee.correctness.audit import Audit, Trivial
from assay.referee.tiers import Isolation, Tier
from assay.referee.timing.pairing import Reason, Refusal
from assay.report.certificate import make_certificate
from assay.report.explain import LAYERS, TIERS
from assay.report.hostile import one_line, shown
from assay.report.progress import ProgressLine
from assay.report.replay import Holds, Replay
from assay.report.signing import SignatureCheck
from assay.report.tables import render_audit, render_doctor, render_replay, render_tasks
from assay.report.terminal import render_verdict
from assay.report.units import digits, ratio_text, seconds_text, time_text
from assay.sandbox.confine import ALL_LAYERS
from assay.tasks.listing import TaskListing

CREATED = datetime(2026, 11, 22, 6, 47, 19, tzinfo=UTC)


def console(width=80, **options):
    return Console(file=io.StringIO(), width=width, highlight=False, markup=False, **options)


def verdict_text(judgement, path=None, **options):
    where = console(**options)
    render_verdict(make_certificate(judgement, created=CREATED), path, where)
    return where.file.getvalue()


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_wider_than_the_terminal(kind, width):
    lines = verdict_text(EVERY_KIND[kind](), width=width).splitlines()
    assert max(map(len, lines)) <= width


def test_an_acceptance_says_all_that_matters():
    text = verdict_text(accepted(), Path("/runs/x/certificate.json"))
    for part in (
        "ACCEPT", "yes, 331 outputs verified", "1.61x (95% interval 1.59x to 1.62x)", "could fake 1.0%",
        "compile, 2.10 ms", "sealed", "14.2 s", "Covered", "Not covered", "/runs/x/certificate.json",
    ):  # fmt: skip
        assert part in text, part


def test_a_rejection_says_why_and_whose_fault():
    text = verdict_text(rejected_as_wrong())
    for part in (
        "REJECT",
        "FATAL wrong-result",
        "the candidate is at fault",
        "wrong on family 'shifted'",
        "no: wrong-result (9 outputs",
    ):
        assert part in text, part
    assert text.index("FATAL") < text.index("Covered")


def test_without_colour_nothing_but_text_is_written():
    assert "\x1b" not in verdict_text(rejected_as_wrong())
    assert "\x1b[" in verdict_text(accepted(), force_terminal=True, color_system="standard", no_color=False)


def test_a_hostile_name_moves_no_cursor_and_is_no_markup():
    name = "[red]x[/red]\x1b[2J\x1b]0;title\x07\u202eevil\r\nverdict: ACCEPT"
    text = verdict_text(rejected_as_wrong(name))
    assert not set(text) & {"\x1b", "\x07", "\r", "\u202e"}
    assert "[red]x[/red]<U+001B>" in text
    assert "\nverdict" not in text


def test_what_cannot_be_seen_is_shown():
    assert shown("a\u202eb\x00\tc\r\nd\re\U000e0041") == "a<U+202E>b<U+0000>\tc\nd<U+000D>e<U+E0041>"
    assert one_line("a\n  b " + "x" * 600, 10) == "a b xxxxx…"


def test_every_layer_and_tier_is_explained():
    assert set(LAYERS) == set(ALL_LAYERS)
    assert set(TIERS) == {tier.value for tier in Tier}


def test_an_audit_says_what_it_means():
    verdicts = {
        "Degenerate": Trivial("zeros", ("own", "large"), ()),
        "Tightened": Trivial("zeros", ("own",), ("large",)),
        "Sound": Trivial("zeros", (), ("own", "large")),
    }
    for word, trivial in verdicts.items():
        where = console()
        render_audit(Audit((trivial,)), "softmax", where)
        assert f"{word}: " in where.file.getvalue()


def test_a_list_of_tasks_counts_them():
    where = console()
    good = TaskListing("softmax", TaskFormat.BUILTIN, "softmax", "Row softmax.", "softmax")
    bad = TaskListing("x", TaskFormat.PLAIN, "", "", "x.py", "no nn.Module")
    render_tasks([good, bad], where)
    for part in ("Row softmax.", "builtin", "no nn.Module", "2 tasks"):
        assert part in where.file.getvalue(), part


def test_a_replay_stands_beside_its_claim():
    made = make_certificate(accepted(), created=CREATED)
    signature = SignatureCheck(True, False, "SHA256:abc", "signed with another key")
    slow = EVERY_KIND["slow"]()
    where = console()
    render_replay(Replay(Holds.NO, "claimed ACCEPT, here REJECT", signature, slow), made, where)
    for part in ("does not hold: claimed ACCEPT", "1.61x", "REJECT, 0.930x", "SHA256:abc", "FATAL not-faster"):
        assert part in where.file.getvalue(), part
    render_replay(Replay(Holds.NO, "changed", SignatureCheck(False, False, None, "not signed"), None), made, where)
    assert "no key" in where.file.getvalue()


def test_the_doctor_gives_reasons():
    layers = tuple(LayerState(layer, layer is not Layer.LANDLOCK, f"about {layer.value}", {}) for layer in Layer)
    refusal = Refusal(Reason.TOO_NOISY, "A/A allows 12 %")
    for smallest, words in ((1.023, "2.3%"), (refusal, "none at present: A/A allows 12 %"), (None, "not measured")):
        where = console()
        render_doctor(facts(), peaks(), IsolationReport(layers), smallest, Isolation.of(ALL_LAYERS[:-1]), where)
        text = where.file.getvalue()
        assert words in text
        assert "no quota" in text
        assert "about landlock" in text
        assert "missing: a filter on system calls" in text
        assert "13.9 GB/s" in text


class Terminal(io.StringIO):
    def __init__(self, tty=True):
        super().__init__()
        self.tty = tty

    def isatty(self):
        return self.tty


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_progress_is_drawn_at_most_ten_times_a_second():
    stream, clock = Terminal(), Clock()
    with ProgressLine(stream, clock) as progress:
        for step in range(1001):
            clock.now = step / 100
            progress("measuring", step / 1000)
    drawn = stream.getvalue().split("\r\x1b[K")
    assert 90 <= len(drawn) <= 103
    assert "about 5.0 s left" in "".join(line for line in drawn if "50%" in line)
    assert drawn[-1] == ""
    assert "\n" not in stream.getvalue()


def test_progress_elsewhere_is_one_line_for_each_stage():
    stream, clock = Terminal(tty=False), Clock()
    with ProgressLine(stream, clock) as progress:
        for what, share in (("building", 0.0), ("measuring", 0.1), ("measuring", 0.9), ("measuring", 1.0)):
            clock.now += 2
            progress(what, share)
    assert stream.getvalue() == "building (after 2.0 s)\nmeasuring (after 4.0 s)\n"


def test_progress_starts_no_thread_and_outlives_its_stream():
    before = threading.active_count()
    stream = Terminal()
    progress = ProgressLine(stream)
    stream.close()
    progress("measuring", 0.5)
    progress("deciding", 0.5)
    progress.close()
    assert threading.active_count() == before


def test_numbers_carry_three_digits_and_a_unit_that_fits():
    assert [time_text(t) for t in (7, 912.4, 91_544.9, 2.1e6, 3.25e9)] == [
        "7.00 ns",
        "912 ns",
        "91.5 µs",
        "2.10 ms",
        "3.25 s",
    ]
    assert [seconds_text(s) for s in (4.21, 65, 7380)] == ["4.2 s", "1 min 05 s", "2 h 03 min"]
    assert [ratio_text(r) for r in (1.0123, 1.6, 12.34, 123.4)] == ["1.012x", "1.60x", "12.3x", "123x"]
    assert [digits(v) for v in (0, 999.6, 1234567, 1e12)] == ["0", "1000", "1230000", "1e+12"]
