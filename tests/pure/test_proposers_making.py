"""Who proposes in a search: those that have what they need, or those that were asked for, or an error that helps."""

import pytest
from synthetic_graphs import ROWS, graph_data, node, ref, softmax, tensor

from assay.cli.optimize import parse_names
from assay.core.sources import SourceFile, Task, TaskFormat
from assay.engineer.graph import read_graph
from assay.engineer.language.endpoint import Model
from assay.engineer.proposers.making import NAMES, Models, chosen_names, make_proposers
from assay.errors import InputError

TASK = Task("made", TaskFormat.PLAIN, (SourceFile("made.py", "x = 1\n"),), "made.py:Model")
CODER = Models((Model("coder", "http://127.0.0.1:9/v1"),))


def names(*arguments):
    return [proposer.name for proposer in make_proposers(TASK, softmax(), *arguments)]


def test_all_that_have_what_they_need_propose_where_nobody_is_asked_for(tmp_path):
    assert names("", Models()) == ["codegen", "tuner"]
    assert names(str(tmp_path / "archive.db"), CODER) == ["codegen", "tuner", "archive", "llm:coder"]


def test_only_those_that_are_asked_for_propose_each_once(tmp_path):
    assert names("", Models(), ("tuner", "tuner")) == ["tuner"]
    assert names(str(tmp_path / "archive.db"), Models(), ("codegen",)) == ["codegen"]
    assert names("", CODER, ("llm", "tuner")) == ["tuner", "llm:coder"]


@pytest.mark.parametrize(
    ("wanted", "models", "words"),
    [
        (("luck",), Models(), ("luck", *NAMES, "choose")),
        (("tuner", ""), Models(), ("an empty name",)),
        (("archive",), Models(), ("archive", "--archive URL", "leave archive out")),
        (("codegen", "llm"), Models(), ("codegen, llm", "--llm URL", "leave llm out")),
        (("codegen",), CODER, ("do not propose", "add llm")),
    ],
)
def test_proposers_that_cannot_be_had_are_refused_with_what_the_value_the_rule_and_the_next_step(wanted, models, words):
    with pytest.raises(InputError) as caught:
        chosen_names(wanted, "", models)
    assert caught.value.value
    assert caught.value.rule
    assert caught.value.next_step
    for word in words:
        assert word in str(caught.value)


def test_without_a_generator_for_an_operator_the_tuner_is_refused_and_a_language_model_is_not():
    graph = read_graph(graph_data([node("y", "aten.wonder.default", [ref("x")], tensor([ROWS]))], ["y"], shape=(ROWS,)))
    with pytest.raises(InputError, match="no C\\+\\+ kernel"):
        make_proposers(TASK, graph, "", Models(), ("tuner",))
    assert [each.name for each in make_proposers(TASK, graph, "", CODER, ("llm",))] == ["llm:coder"]


@pytest.mark.parametrize(
    ("text", "found"),
    [("", ()), ("  ", ()), ("tuner", ("tuner",)), ("codegen, tuner", ("codegen", "tuner")), ("a,", ("a", ""))],
)
def test_names_are_read_with_commas_between_them(text, found):
    assert parse_names(text) == found
