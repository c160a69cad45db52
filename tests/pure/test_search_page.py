"""A search's page: what is read from its journal, and that nothing in it can run."""

import html
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from synthetic_certificates import accepted
from synthetic_graphs import softmax

from assay.core.sources import SourceFile
from assay.engineer.optimize import Optimized
from assay.engineer.page.figure import progress
from assay.engineer.page.module import PartShown, Subject, render_whole
from assay.engineer.page.page import render_search
from assay.engineer.page.shares import Share, amdahl, predicted
from assay.engineer.page.trail import read_trail
from assay.engineer.page.tree import family, rows
from assay.report.axes import NARROW, WIDE, text_width
from assay.report.certificate import make_certificate
from assay.report.highlight import highlighted
from assay.report.store import Run, run_id
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
    trail = read_trail(RECORDS)
    origins = [trail.origins[identity] for identity in trail.lineage(SECOND.identity)]
    assert [(origin.proposer, origin.note) for origin in origins] == [("codegen", "usual"), ("llm:m", "lanes=256")]


def published(judgements=(JUDGED,)):
    """Certificates as they stand in a folder of runs."""
    made = [make_certificate(judgement, created=datetime(2026, 11, 22, tzinfo=UTC)) for judgement in judgements]
    return [(one, Run(run_id(one), Path("runs") / run_id(one))) for one in made]


def test_the_page_says_what_was_certified_against_what_and_how_to_run_it_again():
    (_, run), *_ = done = published()
    page = render_search("softmax", found(), done)
    for words in ("CERTIFIED", "1.61x (1.59x to 1.62x)", "compile, by PyTorch", "No gain is expected", "lanes=256",
                  f"assay verify {run.certificate}", f'href="../{run.id}/page.html"'):  # fmt: skip
        assert words in page, words


def test_every_picture_is_there_in_both_widths():
    page = render_search("softmax", found(), published())
    for label in ("timings of candidates", "Bars, time of a call", "Roofline", "Family tree of 3 ideas"):
        assert len(re.findall(f'aria-label="[^"]*{label}', page)) == 2, label


def test_each_proposer_has_a_line_of_its_own_and_is_named():
    drawn = progress(read_trail(RECORDS), WIDE)
    assert re.findall(r'<path d="[^"]+" class="stair (s\d)"', drawn) == ["s0", "s1"]
    assert ">codegen</text>" in drawn
    assert ">llm:m</text>" in drawn


def test_pictures_and_their_words_stay_inside_their_frame():
    trail = read_trail(RECORDS)
    for width in (WIDE, NARROW):
        for drawn in (progress(trail, width), family(trail, SECOND.identity, width), amdahl(SHARES, WHOLE, width)):
            height = float(re.search(r'viewBox="0 0 \S+ (\S+)"', drawn)[1])
            for x, y, css, anchor, words in re.findall(
                r'<text x="(\S+)" y="(\S+)" class="([^"]+)" text-anchor="(\w+)">([^<]*)</text>', drawn
            ):
                room = text_width(words, css)
                left = float(x) - {"start": 0, "middle": room / 2, "end": room}[anchor]
                assert left > -1, words
                assert left + room < width + 1, words
                assert float(y) <= height


def test_a_child_stands_below_its_parent_and_the_winners_line_first():
    tree = rows(read_trail(RECORDS), SECOND.identity)
    assert [(row.number, row.depth, row.parent) for row in tree] == [(1, 0, None), (2, 1, 0), (3, 0, None)]


def test_a_large_family_is_cut_to_the_best_with_their_ancestors():
    records, parent = [RECORDS[0]], ()
    for number in range(100):
        one = candidate(f"c{number}", f"// {number}\n")
        records += [proposed(one, "codegen", parent), evaluated(one, "SCREEN", 0.001 * number)]
        parent = (one.identity,) if number < 5 else parent
    trail = read_trail(records)
    tree = rows(trail, one.identity)
    assert len(tree) == 40
    assert {row.number for row in tree} > {1, 2, 3, 4, 5, 100, 99}
    assert "60 not shown" in family(trail, one.identity, WIDE)


def test_an_unknown_or_repeated_parent_ends_a_line():
    trail = read_trail([RECORDS[0], proposed(FIRST, "codegen", ("never-seen",))])
    assert trail.lineage(FIRST.identity) == [FIRST.identity]
    assert [row.depth for row in rows(trail, FIRST.identity)] == [0]


SHARES = [Share("encoder.layers.0.attention, encoder.layers.1.attention", 0.5, 2.0), Share("head", 0.1)]
WHOLE = {"milliseconds": {"eager": 20.0, "torch.compile": 18.0, "applied": 16.0}, "baseline": "torch.compile",
         "speedup": (1.12, 1.1, 1.15), "difference": 1e-6}  # fmt: skip


def test_what_is_predicted_follows_amdahls_law():
    assert predicted(SHARES) == pytest.approx(0.75)
    assert predicted([Share("all", 1.0, 4.0)]) == pytest.approx(0.25)


def test_a_models_page_has_the_whole_before_and_after_and_claims_no_certificate_for_it():
    certificate, run = published()[0]
    part = PartShown("attention", 0.5, "ACCEPT 1.61x", 2.0, certificate, "assay verify x", "../s/page.html",
                     f"../{run.id}/page.html")  # fmt: skip
    page = render_whole(Subject(HOSTILE), [part], {"embed": HOSTILE}, WHOLE)
    for words in ("PARTS CERTIFIED", "1.120x (1.100x to 1.150x)", "16.0 ms a call", "it is no certificate",
                  "15.0 ms, 75%", 'href="../s/page.html"', "assay verify x", "Roofline"):  # fmt: skip
        assert words in page, words
    assert HOSTILE not in page


def curves(applied=0.0):
    steps = [[2.0 - 0.01 * step + seed for step in range(150)] for seed in (0.0, 0.1)]
    moved = [[loss + applied for loss in one] for one in steps]
    return {"original": steps, "applied": moved, "margin": 0.01, "difference": 0.001, "limit": 0.004,
            "not_inferior": True}  # fmt: skip


def test_a_training_steps_page_has_all_sides_and_the_loss_curves():
    whole = WHOLE | {"milliseconds": WHOLE["milliseconds"] | {"torch.compile, fused update": 17.0}}
    page = render_whole(Subject("train", curves()), [PartShown("gradients", 0.9, "ACCEPT 1.61x", 2.0)], {}, whole)
    for words in ("17.0 ms a step", "torch.compile, fused update", "not inferior", "+0.400%", "+1.0%", "training steps",
                  "Mean loss over 2 seeds and 150 steps"):  # fmt: skip
        assert words in page, words
    assert page.count('class="stair s0"') == 4, "a line and its key, in both widths"


def test_losses_that_no_logarithm_has_are_said_in_words():
    page = render_whole(Subject("train", curves(applied=-5.0)), [PartShown("gradients", 0.9, "x", 2.0)], {}, WHOLE)
    assert "result.json has them all" in page


def test_a_model_without_a_certified_kernel_has_no_prediction():
    page = render_whole(Subject("Net"), [PartShown("head", 0.1, "nothing certified as faster")], {}, None)
    assert "NOTHING CERTIFIED" in page
    assert "predicted" not in page


def test_source_is_told_apart_by_classes_and_stays_what_it_is():
    source = '#include <x>\n/* a\n   b */\n\nint main() { return "<b>\u202e"[0]; }\n'
    lines = highlighted("kernel.cpp", source)
    assert 'class="c-cm"> ' in lines[2] or 'class="c-cm">   b' in lines[2], "a comment of two lines is closed on each"
    text = "\n".join(html.unescape(re.sub(r"<[^>]+>", "", line)) for line in lines)
    assert text + "\n" == source.replace("\u202e", "<U+202E>")
    assert "&lt;b&gt;" in "".join(lines)


def test_a_source_that_is_too_wide_to_read_stays_plain():
    lines = highlighted("kernel.cpp", "int a;\n" + "x<" * 2000)
    assert lines[0] == "int a;"
    assert lines[1].startswith("x&lt;")


def test_nothing_that_was_written_by_others_can_run():
    page = render_search(HOSTILE, found(), published())
    assert HOSTILE not in page
    assert "&lt;script&gt;" in page
    assert "default-src 'none'" in page


def test_a_search_without_a_timing_has_words_instead_of_pictures():
    page = render_search("softmax", found(RECORDS[:1], ()))
    assert "NOTHING CERTIFIED" in page
    assert "<svg" not in page
    for words in ("Nothing that was tried was right", "Nothing was proposed", "No candidate came so far"):
        assert words in page, words
