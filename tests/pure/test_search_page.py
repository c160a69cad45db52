"""A search's page: what is read from its journal, and that nothing in it can run."""

import math
from dataclasses import replace

import pytest
from synthetic_certificates import accepted
from synthetic_graphs import softmax

from assay.core.sources import SourceFile
from assay.engineer.optimize import Optimized
from assay.engineer.page.page import render_search
from assay.engineer.page.trail import read_trail
from assay.search import FalseWins, Idea, Result, Spent, StopCause

HOSTILE = "<script>alert(1)</script>"


def candidate(name, text):
    return replace(accepted(1.6).candidate, name=name, files=(SourceFile("kernel.cpp", text),))


FIRST, SECOND, OTHER = (candidate(name, f"// {name}\n") for name in ("first", "second", HOSTILE))


def proposed(one, proposer, parents=(), **more):
    return {"kind": "idea", "seconds": 0.5, "overhead_s": 0.1, "proposer": proposer, "words": "", "fingerprint": "f",
            "ask": {}, "idea": Idea(one, proposer, parents, **more).to_json()}  # fmt: skip


def evaluated(one, fidelity, score, words="", knockoff_of=None):
    found = {"identity": one.identity, "fidelity": fidelity, "passed": score is not None, "score": score,
             "words": words, "seconds": 3.0, "tokens": 0, "money": 0.0, "near_limit": None}  # fmt: skip
    return {"kind": "evaluation", "knockoff_of": knockoff_of, "evaluation": found, "wall_s": 3.0, "overhead_s": 0.0}


RECORDS = (
    {"kind": "start", "strategy": {"name": "evolution"}},
    proposed(FIRST, "codegen", note="usual"),
    evaluated(FIRST, "SCREEN", math.log(1.5)),
    proposed(SECOND, "llm:m", (FIRST.identity,), note="lanes=256", tokens=120, money=0.5),
    evaluated(SECOND, "SCREEN", math.log(1.4)),
    evaluated(SECOND, "FULL", math.log(2.0)),
    evaluated(FIRST, "FULL", math.log(9.0), knockoff_of=FIRST.identity),
    proposed(OTHER, "codegen", note=HOSTILE),
    evaluated(OTHER, "BUILD", None, f"error: {HOSTILE}"),
)


JUDGED = replace(accepted(1.6), candidate=SECOND)


def found(records=RECORDS, judgements=(JUDGED,)):
    result = Result(
        None, (), None, StopCause.RULE, "no gain is expected", Spent(30.0, 5), None, (), FalseWins(1, 1, 0), 3, 0, {},
        0.3, 0.01,
    )  # fmt: skip
    return Optimized(result, judgements, softmax(), records)


def test_the_clock_adds_up_what_the_journal_says():
    trail = read_trail(RECORDS)
    assert [round(each.seconds, 6) for each in trail.tried] == [3.6, 7.2, 10.2, 13.2, 16.8]
    assert trail.strategy == "evolution"


def test_an_idea_counts_by_its_last_timing_and_knockoffs_are_no_ideas():
    trail = read_trail(RECORDS)
    assert trail.best(SECOND.identity) == pytest.approx(2.0)
    codegen, model = trail.contributions()
    assert (codegen.proposer, codegen.ideas, codegen.passed) == ("codegen", 2, 1)
    assert (model.tokens, model.money, model.best) == (120, 0.5, pytest.approx(2.0))


def test_the_lineage_goes_back_to_an_idea_without_parents():
    names = [(origin.proposer, origin.note) for _, origin, _ in read_trail(RECORDS).lineage(SECOND.identity)]
    assert names == [("codegen", "usual"), ("llm:m", "lanes=256")]


def test_the_page_says_what_was_certified_and_shows_the_source():
    page = render_search("softmax", found(), "../20260101T000000Z-000000000000/page.html")
    for words in (
        "CERTIFIED",
        "lanes=256",
        "// second",
        "no gain is expected",
        "../20260101T000000Z-000000000000/page.html",
    ):
        assert words in page
    assert page.count("<svg") == 2


def test_nothing_that_was_written_by_others_can_run():
    page = render_search(HOSTILE, found())
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page


def test_a_search_without_a_timing_has_words_instead_of_a_picture():
    page = render_search("softmax", found(RECORDS[:1], ()))
    assert "NOTHING CERTIFIED" in page
    assert "<svg" not in page
    assert "Nothing that was tried was right" in page
