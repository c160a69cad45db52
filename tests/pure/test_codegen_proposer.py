"""The generator as a proposer: what it offers, and that it repeats itself under a seed."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_graphs import ROWS, graph_data, node, ref, softmax, tensor

from assay.cli.optimize import parse_duration, search_folder
from assay.core.sources import SourceFile, Task, TaskFormat
from assay.engineer.codegen.schedule import CHOICES, Schedule
from assay.engineer.graph import read_graph
from assay.engineer.optimize import OptimizeConfig
from assay.engineer.proposers.codegen import Codegen
from assay.engineer.proposers.generators import CPP, writer_for
from assay.errors import InputError
from assay.search import Evaluation, Fidelity, Kind, Known, Request

TASK = Task("made", TaskFormat.PLAIN, (SourceFile("made.py", "x = 1\n"),), "made.py:Model")


def request(kind, parents=(), seed=0):
    known = tuple(Known(p, Evaluation(p.identity, Fidelity.SCREEN, True, 0.1, "", 1.0)) for p in parents)
    return Request(TASK, kind, known, known[0] if known else None, np.random.default_rng(seed))


def fresh(proposer):
    found = []
    while (idea := proposer.propose(request(Kind.FRESH))) is not None:
        found.append(idea)
    return found


def test_starts_come_once_each_and_no_two_have_the_same_text():
    ideas = fresh(Codegen(writer_for(softmax(), "made")))
    assert 3 <= len(ideas) <= len(CPP.starts)
    assert len({idea.identity for idea in ideas}) == len(ideas)


def test_a_refinement_differs_from_its_parent_in_one_or_two_choices():
    proposer = Codegen(writer_for(softmax(), "made"))
    parent = fresh(proposer)[0]
    idea = proposer.propose(request(Kind.REFINE, [parent]))
    a, b = CPP.schedule_of(parent.candidate), CPP.schedule_of(idea.candidate)
    assert 1 <= sum(getattr(a, name) != getattr(b, name) for name in CHOICES) <= 2
    assert idea.parents == (parent.identity,)


def test_a_cross_takes_every_choice_from_a_parent():
    proposer = Codegen(writer_for(softmax(), "made"))
    first, second = fresh(proposer)[:2]
    far = proposer.propose(request(Kind.REFINE, [second], seed=3))
    idea = proposer.propose(request(Kind.CROSS, [first, far], seed=1))
    if idea is not None:
        a, b, c = (CPP.schedule_of(each.candidate) for each in (first, far, idea))
        assert all(getattr(c, name) in (getattr(a, name), getattr(b, name)) for name in CHOICES)


def test_the_same_request_gives_the_same_idea_to_a_new_proposer():
    ideas = []
    for _ in range(2):
        proposer = Codegen(writer_for(softmax(), "made"))
        parent = fresh(proposer)[0]
        ideas.append(proposer.propose(request(Kind.REFINE, [parent], seed=5)))
    assert ideas[0].identity == ideas[1].identity


def test_it_runs_out_instead_of_repeating_itself():
    proposer = Codegen(writer_for(softmax(), "made"))
    parent = fresh(proposer)[0]
    seen, idea, seed = set(), parent, 0
    while idea is not None and seed < 1000:
        seen.add(idea.identity)
        seed += 1
        idea = proposer.propose(request(Kind.REFINE, [parent], seed=seed))
    assert seed == len(seen)


@pytest.mark.parametrize("head", ["", "// schedule {", '// schedule {"lanes": 7}', "// schedule []"])
def test_a_file_that_was_not_generated_has_no_schedule(head):
    candidate = fresh(Codegen(writer_for(softmax(), "made")))[0].candidate
    text = candidate.files[0].text.partition("\n")[2]
    assert CPP.schedule_of(replace(candidate, files=(SourceFile("kernel.cpp", f"{head}\n{text}"),))) is None


def test_a_task_without_a_generator_is_refused_with_the_operator():
    graph = read_graph(graph_data([node("y", "aten.wonder.default", [ref("x")], tensor([ROWS]))], ["y"], shape=(ROWS,)))
    with pytest.raises(InputError) as caught:
        writer_for(graph, "made")
    assert "aten.wonder" in str(caught.value)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600), ("12.5", 12.5)])
def test_durations_are_read(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5 minutes", "-3s", "m"])
def test_other_durations_are_refused(text):
    with pytest.raises(InputError, match="duration"):
        parse_duration(text)


def test_a_resumed_search_is_the_last_one_of_this_task(tmp_path):
    for stamp in ("20260101T000000Z", "20260201T000000Z"):
        (tmp_path / f"search-{stamp}-{TASK.identity[:12]}").mkdir()
    (tmp_path / "search-20270101T000000Z-000000000000").mkdir()
    assert search_folder(tmp_path, TASK, resume=True).name.startswith("search-20260201")


def test_resuming_without_a_search_says_so(tmp_path):
    with pytest.raises(InputError, match="no search"):
        search_folder(tmp_path, TASK, resume=True)


@pytest.mark.parametrize("wrong", [{"budget_s": 0}, {"budget_s": 1e9}, {"finalists": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="budget"):
        OptimizeConfig(**wrong)


def test_the_default_schedule_is_among_the_choices():
    assert all(getattr(Schedule(), name) in values for name, values in CHOICES.items())
