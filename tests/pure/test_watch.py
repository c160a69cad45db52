"""A search watched as it runs: what is counted, that it fits the terminal, and that pipes get plain lines."""

import io
import math
import threading

import pytest
from rich.console import Console
from synthetic_search import stream

from assay.cli.live import LiveView
from assay.cli.tally import Tally
from assay.cli.watch import PlainLines
from assay.report.progress import ProgressLine
from assay.search import Budget, Evaluation, Event, EventKind, Fidelity

HOSTILE = "lanes=64\x1b[2J\r\nevil \u202e"


def proposed(identity, proposer="codegen", words="usual"):
    return Event(EventKind.PROPOSED, 1, words, identity, proposer=proposer)


def evaluated(identity, score, fidelity=Fidelity.SCREEN, proposer="codegen", kind=EventKind.EVALUATED):
    words = "wrong-result: 0.25 instead of 0.5" if score is None else f"{math.exp(score):.2f}x"
    found = Evaluation(identity, fidelity, score is not None, score, words, 1.0)
    return Event(kind, 2, found.words, identity, found, proposer=proposer)


def leads(identity, score, fidelity=Fidelity.SCREEN):
    return evaluated(identity, score, fidelity, kind=EventKind.LEADER)


SEARCH = (
    Event(EventKind.STARTED, 0, "asked for something new", proposer="codegen"),
    proposed("a"),
    evaluated("a", 0.5),
    leads("a", 0.5),
    proposed("b", "llm:" + "m" * 60, HOSTILE),
    evaluated("b", None, proposer="llm:" + "m" * 60),
    proposed("c", words="stream=True"),
    evaluated("c", 0.3),
    evaluated("c", None, Fidelity.FULL),
    Event(EventKind.STARTED, 5, f"timing in full: {HOSTILE}", "a", proposer="codegen"),
)


def tallied(*events):
    tally = Tally()
    for event in events:
        tally(event)
    return tally


def test_a_search_that_goes_on_counts_what_its_journal_has():
    resumed = Event(EventKind.RESUMED, 9, "9 records of an earlier run", "a", leads("a", 0.5).evaluation,
                    proposer="codegen", past=SEARCH[1:-1])  # fmt: skip
    tally, whole = tallied(resumed), tallied(*SEARCH)
    assert tally.proposers == whole.proposers
    assert (tally.evaluations, tally.best, tally.best_words) == (whole.evaluations, whole.best, whole.best_words)


def test_what_fails_a_closer_look_is_no_longer_right():
    brought = tallied(*SEARCH).proposers["codegen"]
    assert (brought.ideas, brought.right, brought.failed, brought.best) == (2, {"a"}, {"c"}, 0.5)


def test_a_closer_look_at_the_leader_changes_the_best_and_one_at_another_does_not():
    tally = tallied(*SEARCH, evaluated("a", 0.7, Fidelity.FULL), evaluated("c", 0.9))
    assert tally.best == pytest.approx(math.exp(0.7))
    assert tally.best_words == "codegen: usual"


def test_the_last_results_say_who_how_closely_and_what_was_wrong():
    recent = tallied(*SEARCH).recent
    assert [seen.speedup is None for seen in recent] == [False, True, False, True]
    assert recent[0].words == "screened: usual"
    assert recent[-1].words == "wrong-result: 0.25 instead of 0.5 (stream=True)"


def test_a_resumed_search_begins_with_the_best_of_before():
    assert tallied(evaluated("a", 0.5, kind=EventKind.RESUMED)).best == pytest.approx(math.exp(0.5))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def view(width=80, file=None):
    console = Console(file=file or io.StringIO(), width=width, height=30, force_terminal=True, color_system=None)
    clock = Clock()
    return LiveView(console, 60.0, clock), clock, console


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_every_line_fits_the_terminal_and_moves_no_cursor(width):
    live, clock, _ = view(width)
    for event in SEARCH:
        clock.now += 3
        live.event(event)
    live("measuring", 0.4)
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(live.renderable())
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 3 + 1 + 2 + 4
    assert not set(console.file.getvalue()) & {"\x1b", "\r", "\u202e"}
    assert "1.65x" in lines[0]
    assert "30.0 s left" in lines[1]
    assert "measuring 40%" in lines[5]


def test_it_is_drawn_at_most_twice_a_second_by_no_thread():
    before = threading.active_count()
    live, clock, console = view()
    for step in range(1000):
        clock.now = step / 100
        live("measuring", step / 1000)
    assert 18 <= console.file.getvalue().count("measuring") <= 24
    assert threading.active_count() == before
    live.close()
    live.close()
    assert "\x1b[2K" in console.file.getvalue(), "the view is cleared"


def test_a_terminal_that_is_gone_ends_no_search():
    live, clock, console = view()
    live("measuring", 0.1)
    console.file.close()
    for event in SEARCH:
        clock.now += 3
        live.event(event)
    live.close()


def test_the_next_search_begins_a_new_tally():
    live, _, _ = view()
    for event in (*SEARCH, Event(EventKind.FINISHED, 9, "done"), proposed("x", "archive")):
        live.event(event)
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(live.renderable())
    assert "archive" in console.file.getvalue()
    assert "codegen" not in console.file.getvalue()


def test_in_a_pipe_a_search_is_one_line_whatever_goes_on_within_it():
    stream_, clock = io.StringIO(), Clock()
    plain = PlainLines(ProgressLine(stream_, clock))
    plain("tracing the task", 0.0)
    for event in SEARCH:
        plain.event(event)
        plain("measuring", 0.5)
    plain.event(Event(EventKind.FINISHED, 9, "done"))
    plain("measuring", 0.5)
    plain.close()
    assert stream_.getvalue().splitlines() == [
        "tracing the task (after 0.0 s)", "searching (after 0.0 s)", "measuring (after 0.0 s)",
    ]  # fmt: skip


def test_an_engine_says_what_it_begins_and_who_is_behind_it():
    events = list(stream(budget=Budget(evaluations=12)))
    for place, event in enumerate(events):
        if event.kind in (EventKind.PROPOSED, EventKind.EVALUATED, EventKind.KNOCKOFF):
            assert events[place - 1].kind is EventKind.STARTED
            assert events[place - 1].proposer == event.proposer or event.kind is EventKind.KNOCKOFF
            assert event.proposer
