"""Fingerprints and knockoffs: the same program in other words is known, another program never is."""

import pytest

from assay.core.sources import Candidate, Language, SourceFile
from assay.search.cpp_text import tokens
from assay.search.novelty import can_knock_off, fingerprint, knockoff

CPP = """#include <assay/kernel.h>
#define SCALE(x) ((x) * factor)
// Sums rows.
static float add(float a, float b) { return a + b; }
struct Pair { float left; int right; };
extern "C" int assay_kernel(const assay_call* call) {
  const float factor = 2.0f;  /* used by the macro */
  int64_t rows = call->inputs[0].shape[0];
  double total = 0.0;
  int size = 3;
  int n_threads = call->n_threads;
  std::vector<int> v;
  for (int64_t i = 0; i < rows; ++i) total += SCALE(1'000.5e-3) + v.size();
  const char* text = "total // rows";
  Pair p{.left = 1.0f};
  int right = p.right;
  return total > 0 ? 0 : 1;
}
"""

PYTHON = '''"""A model."""
import torch


class ModelNew(torch.nn.Module):
    """Doc."""

    def forward(self, x, scale=1):
        total = x.sum()  # all of it
        for step in range(3):
            total = total + step
        text = f"{total}"
        rows = [row for row in x]
        return total * scale, text, rows
'''


def cpp(text, flags=()):
    return Candidate("c", Language.CPP, (SourceFile("kernel.cpp", text),), "assay_kernel", flags)


def python(text):
    return Candidate("p", Language.PYTHON, (SourceFile("model.py", text),), "model.py:ModelNew")


@pytest.mark.parametrize("candidate", [cpp(CPP), python(PYTHON)], ids=["cpp", "python"])
def test_knockoffs_are_other_bytes_each_time_and_the_same_program(candidate):
    clones = [knockoff(candidate, number) for number in range(1, 8)]
    assert len({clone.identity for clone in [candidate, *clones]}) == 8
    assert {fingerprint(clone) for clone in clones} == {fingerprint(candidate)}
    assert clones[0].parent == candidate.identity
    assert knockoff(clones[0], 3).identity != clones[0].identity


def test_a_cpp_knockoff_renames_a_local_everywhere_and_nothing_else():
    names = {}
    for number in range(12):
        text = knockoff(cpp(CPP), number).files[0].text
        for old in ("rows", "total", "i", "factor", "size", "right", "left", "a", "b", "n_threads"):
            if f"{old}_v{number}" in text:
                names[old] = text
    assert set(names) == {"rows", "total", "i"}, "macros, members, fields and multiply declared names are left alone"
    assert '"total // rows"' in names["total"]
    assert "call->inputs" in names["rows"]


def test_a_python_knockoff_still_runs_and_computes_the_same():
    source = (
        "def f(x, y=2):\n    a = x + 1\n    b: int = a * y\n"
        "    é = [a for _ in range(2)]\n    return (lambda q: q + b)(a), é\n"
    )
    candidate = Candidate("p", Language.PYTHON, (SourceFile("f.py", source),), "f.py:f")
    renamed = set()
    for number in range(6):
        text = knockoff(candidate, number).files[0].text
        renamed |= {old for old in ("a", "b", "é") if f"{old}_v{number}" in text}
        scope = {}
        exec(text, scope)
        assert scope["f"](3) == (12, [4, 4])
    assert renamed == {"a", "b", "é"}


@pytest.mark.parametrize(
    "body",
    [
        "    a = 1\n    return locals()['a']",
        "    global a\n    a = 1\n    return a",
        "    a = 1\n    return f'{a}'",
        "    a = 1\n    return [a for a in (2,)][0] + a",
        "    try:\n        raise ValueError\n    except ValueError as a:\n        a = 1\n        return a",
        "    import math as a\n    a = a.floor(1.5)\n    return a",
        "    def g(a):\n        return a\n    a = 1\n    return g(a=a)",
        "    a = 1\n    class C:\n        a = 2\n    return C.a + a",
    ],
)
def test_python_names_that_something_may_look_up_are_left_alone(body):
    text = knockoff(python(f"def f():\n{body}\n"), 0).files[0].text
    assert "a_v0" not in text


def test_a_default_with_the_name_of_a_local_keeps_its_name():
    text = knockoff(python("a = 5\n\n\ndef f(x=a):\n    a = x\n    return a\n"), 0).files[0].text
    assert "a_v0" not in text


def test_comments_layout_docstrings_and_local_names_do_not_make_a_new_idea():
    other = CPP.replace("total", "sum0").replace('"sum0 // rows"', '"total // rows"').replace("// Sums rows.\n", "\n\n")
    assert fingerprint(cpp(other.replace("  int size", "int\n    size"))) == fingerprint(cpp(CPP))
    other = PYTHON.replace("step", "k").replace('    """Doc."""\n', "").replace("  # all of it", "")
    assert fingerprint(python(other)) == fingerprint(python(PYTHON))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("total > 0", "total < 0"),
        ("2.0f", "2.5f"),
        ("a + b", "a - b"),
        ("> 0 ? 0 : 1", "> 0 ? 1 : 0"),
        ("(x) * factor", "(x) + factor"),
        ("total // rows", "total // row"),
        ("v.size()", "v.capacity()"),
        ("add(", "sub("),
        ("total += ", "rows += "),
        ("double total", "float total"),
        ("#define", "int d; #define"),
    ],
)
def test_another_cpp_program_has_another_fingerprint(old, new):
    assert old in CPP
    assert fingerprint(cpp(CPP.replace(old, new, 1))) != fingerprint(cpp(CPP))


@pytest.mark.parametrize(
    ("old", "new"), [("sum", "mean"), ("range(3)", "range(4)"), ("total * scale", "total + scale"), ("scale=1", "s=1")]
)
def test_another_python_program_has_another_fingerprint(old, new):
    assert fingerprint(python(PYTHON.replace(old, new, 1))) != fingerprint(python(PYTHON))


def test_flags_entry_and_language_are_part_of_the_program():
    assert fingerprint(cpp(CPP, ("-O2",))) != fingerprint(cpp(CPP, ("-O3",)))


def test_a_directive_with_two_slashes_in_a_string_keeps_them():
    one, two = '#define URL "http://x"\nint a;\n', '#define URL "http://y"\nint a;\n'
    assert fingerprint(cpp(one)) != fingerprint(cpp(two))


def test_a_line_comment_that_goes_on_swallows_the_next_line():
    assert fingerprint(cpp("// a \\\nint b;\nint c;\n")) == fingerprint(cpp("int c;\n"))
    assert fingerprint(cpp("int b;\nint c;\n")) != fingerprint(cpp("int c;\n"))


@pytest.mark.parametrize(
    "text", [CPP, 'R"x(a " // )x" u8"é" \'\\\'\' #', 'unclosed " and /* this', "a\r\n\t#if 1\n  #endif"]
)
def test_tokens_joined_are_the_text(text):
    assert "".join(token for _, token in tokens(text)) == text


def test_assembly_keeps_all_names():
    text = 'int f() { int a = 0; asm("inc %[a]" : [a] "+r"(a)); return a; }'
    assert "a_v0" not in knockoff(cpp(text), 0).files[0].text


def test_a_name_that_another_file_uses_is_no_local():
    kernel = "int f() { int rows = 1; return rows; }\nint g() { return cols + rows; }\n"
    files = (SourceFile("kernel.cpp", kernel), SourceFile("sizes.h", "inline int rows = 2, cols = 3;\n"))
    candidate = Candidate("c", Language.CPP, files, "assay_kernel")
    assert "rows_v" not in knockoff(candidate, 0).files[0].text
    assert "rows_v0" in knockoff(cpp(kernel), 0).files[0].text


def test_text_that_does_not_parse_counts_as_it_is():
    assert fingerprint(python("def (:")) != fingerprint(python("def (: "))
    assert knockoff(python("def (:"), 1).identity != python("def (:").identity


def test_a_candidate_of_unknown_files_cannot_be_knocked_off():
    candidate = Candidate("x", Language.CPP, (SourceFile("kernel.txt", ""),), "assay_kernel")
    assert not can_knock_off(candidate)
    assert can_knock_off(cpp(CPP))
    with pytest.raises(ValueError, match=r"kernel\.txt"):
        knockoff(candidate, 1)
