"""The archive as a proposer: a kernel's schedule comes back for the same graph and for others of its kind."""

from dataclasses import replace

import numpy as np
from synthetic_certificates import CREATED, accepted
from synthetic_graphs import ROWS, graph_data, node, ref, softmax, tensor

from assay.core.sources import SourceFile, Task, TaskFormat
from assay.engineer.codegen.generate import generate
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.graph import read_graph
from assay.engineer.proposers.archived import Archived, remember
from assay.engineer.proposers.generators import CPP
from assay.report.certificate import make_certificate
from assay.report.signing import sign
from assay.search import Kind, Request

TASK = Task("made", TaskFormat.PLAIN, (SourceFile("made.py", "x = 1\n"),), "made.py:Model")


def certificate(candidate, task=TASK):
    return sign(make_certificate(replace(accepted(1.6), candidate=candidate, task=task), created=CREATED))


def proposed(location, graph, task=TASK):
    proposer, found = Archived(location, graph, task), []
    while (idea := proposer.propose(Request(task, Kind.FRESH, (), None, np.random.default_rng(0)))) is not None:
        found.append(idea)
    return found


def summed():
    return read_graph(graph_data([node("s", "prims.sum.default", [ref("x"), [1]], tensor([ROWS]))], ["s"]))


def test_a_certified_schedule_comes_back_for_graphs_of_its_kind(tmp_path):
    location, wanted = str(tmp_path / "archive.db"), Schedule(lanes=256, stream=True)
    remember(location, certificate(generate(softmax(), wanted, "made")), softmax())
    (idea,) = proposed(location, softmax(), replace(TASK, name="another"))
    assert CPP.schedule_of(idea.candidate) == wanted
    assert idea.candidate.name == "another"
    assert "1.6" in idea.note
    assert proposed(location, summed()) == [], "one operator of seven is no likeness"


def test_a_kernel_that_was_not_generated_serves_its_own_task_alone(tmp_path):
    location = str(tmp_path / "archive.db")
    by_hand = replace(generate(softmax(), Schedule(), "made"), files=(SourceFile("kernel.cpp", "// by hand\n"),))
    remember(location, certificate(by_hand), softmax())
    assert [idea.identity for idea in proposed(location, softmax())] == [by_hand.identity]
    assert proposed(location, softmax(), replace(TASK, files=(SourceFile("made.py", "x = 2\n"),))) == []


def test_an_empty_archive_proposes_nothing(tmp_path):
    assert proposed(str(tmp_path / "archive.db"), softmax()) == []
