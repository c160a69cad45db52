"""The journal: whole lines survive any cut, a search resumed anywhere ends as if it had never been cut."""

import json

import pytest
from synthetic_search import run

from assay.errors import InputError
from assay.search.budget import Budget
from assay.search.comparison import Tinkerer, landscape
from assay.search.ledger import FILE_NAME, FileLedger, MemoryLedger, parse, without_secrets
from assay.search.state import Settings
from assay.search.strategies.registry import NAMES, make

BUDGET = Budget(evaluations=36)
SETTINGS = Settings(snapshot_every=5)


def journal(folder, **options):
    """A search's result and the bytes of its journal."""
    with FileLedger(folder) as ledger:
        result = run(ledger=ledger, settings=SETTINGS, **{"budget": BUDGET, **options})
    return result, (folder / FILE_NAME).read_bytes()


def write(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE_NAME).write_bytes(content)


def test_a_journal_cut_at_any_byte_reads_as_its_whole_lines(tmp_path):
    _, content = journal(tmp_path, budget=Budget(evaluations=4))
    whole = parse(content, "journal")
    assert len(whole) == content.count(b"\n") >= 6
    for cut in range(len(content)):
        assert parse(content[:cut], "journal") == whole[: content[:cut].count(b"\n")]


def test_opening_a_torn_journal_drops_the_torn_line_and_goes_on_after_it(tmp_path):
    write(tmp_path, b'{"kind":"start"}\n{"kind":"id')
    with FileLedger(tmp_path) as ledger:
        assert ledger.records == ({"kind": "start"},)
        ledger.append({"kind": "next"})
    assert (tmp_path / FILE_NAME).read_bytes() == b'{"kind":"start"}\n{"kind":"next"}\n'


@pytest.mark.parametrize("line", [b"{torn", b"[1]", b"\xff\xfe", b""])
def test_damage_before_the_last_line_is_an_error_that_names_the_line(tmp_path, line):
    write(tmp_path, b'{"kind":"start"}\n' + line + b'\n{"kind":"idea"}\n')
    with pytest.raises(InputError, match="line 2"):
        FileLedger(tmp_path)


@pytest.mark.parametrize("strategy", NAMES)
def test_a_search_cut_after_any_record_ends_as_if_it_had_never_been_cut(tmp_path, strategy):
    uncut, content = journal(tmp_path / "uncut", strategy=strategy)
    lines = content.splitlines(keepends=True)
    for count in range(0, len(lines), 1 if strategy == "evolution" else 7):
        folder = tmp_path / str(count)
        torn = lines[count][: len(lines[count]) // 2]
        write(folder, b"".join(lines[:count]) + torn)
        resumed, again = journal(folder, strategy=strategy)
        assert resumed == uncut
        assert again == content, "the same ideas, evaluations and strategy states in the same order"


@pytest.mark.parametrize("strategy", NAMES)
def test_writing_down_a_strategy_changes_nothing(strategy):
    often, never = (run(strategy, settings=Settings(snapshot_every=count)) for count in (1, 10**9))
    assert often == never


def test_resuming_evaluates_nothing_twice(tmp_path):
    uncut, content = journal(tmp_path / "uncut")
    lines = content.splitlines(keepends=True)
    for count in (1, len(lines) // 2, len(lines)):
        write(tmp_path / str(count), b"".join(lines[:count]))
        resumed, _ = journal(tmp_path / str(count))
        assert resumed.spent.evaluations == uncut.spent.evaluations == 36
    evaluated = [json.loads(line) for line in lines if b'"kind":"evaluation"' in line]
    keys = [(each["evaluation"]["identity"], each["evaluation"]["fidelity"]) for each in evaluated]
    assert len(set(keys)) == len(keys)


def test_a_larger_budget_goes_on_where_the_smaller_one_ended():
    records = MemoryLedger()
    small = run(ledger=records, budget=Budget(evaluations=30))
    grown = run(ledger=records, budget=Budget(evaluations=60))
    assert small.spent.evaluations == 30
    assert grown == run(budget=Budget(evaluations=60))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 1, "problem": landscape(0)}, "seed"),
        ({"problem": landscape(5)}, "problem"),
        ({"strategy": "beam"}, "strategy"),
        ({"strategy": make("evolution", islands=5)}, "strategy"),
        ({"settings": Settings(knockoff_every=9)}, "settings"),
    ],
)
def test_a_journal_of_another_search_is_refused(change, name):
    ledger = MemoryLedger()
    run(ledger=ledger)
    with pytest.raises(InputError, match=name):
        run(ledger=ledger, **change)


def test_two_searches_cannot_write_one_journal(tmp_path):
    with FileLedger(tmp_path), pytest.raises(InputError, match="another search"):
        FileLedger(tmp_path)
    FileLedger(tmp_path).close()


class Leaky(Tinkerer):
    """A proposer whose notes repeat what an endpoint answered."""

    def propose(self, request):
        from dataclasses import replace

        return replace(super().propose(request), note="401 for sk-abcdefgh12345678, api_key=hunter2hunter2")


def test_what_looks_like_a_key_never_reaches_the_disk(tmp_path):
    _, content = journal(tmp_path, proposers=[Leaky(8, 4)])
    assert b"left out" in content
    assert b"sk-abcdefgh" not in content
    assert b"hunter2" not in content


def test_ordinary_words_are_left_alone():
    words = "error: 'task-force' was not declared; tokens: 3 of desk-checked risk-free code"
    assert without_secrets(words) == words
    assert "abc" not in without_secrets("Authorization: Bearer abc.def")
