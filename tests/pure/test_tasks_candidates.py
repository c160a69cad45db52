"""Candidates from files, folders and Solution JSON."""

import json

import pytest

from assay.core.sources import Candidate, Language
from assay.errors import CandidateError, InputError
from assay.tasks.candidates import load_candidate

CPP = '#include <assay/kernel.h>\nextern "C" int assay_kernel(const assay_call* call) { return 0; }\n'
PYTHON = "import torch\n\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n        return x\n"


@pytest.fixture
def write(tmp_path):
    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write_file


def refused(path, kind=CandidateError, **options):
    with pytest.raises(kind) as caught:
        load_candidate(path, **options)
    return caught.value


def test_a_cpp_file_uses_the_contracts_entry(write):
    candidate = load_candidate(write("fast.cpp", CPP))
    assert (candidate.name, candidate.language, candidate.entry) == ("fast", Language.CPP, "assay_kernel")
    assert Candidate.from_json(candidate.to_json()) == candidate


CUDA = '/* launch.toml\n[[launch]]\nkernel = "first"\n*/\nextern "C" __global__ void first() {}\n'


def test_a_cuda_file_is_entered_by_its_launch_plan(write, tmp_path):
    candidate = load_candidate(write("fast.cu", CUDA))
    assert (candidate.language, candidate.entry, len(candidate.files)) == (Language.CUDA, "first", 1)
    assert Candidate.from_json(candidate.to_json()) == candidate
    write("c/k.cu", '#include "tile.cuh"\n')
    write("c/tile.cuh", "#pragma once\n")
    write("c/launch.toml", '[[launch]]\nkernel = "second"\n')
    candidate = load_candidate(tmp_path / "c")
    assert ([file.path for file in candidate.files], candidate.entry) == (["k.cu", "tile.cuh", "launch.toml"], "second")
    assert "no entry of its own" in refused(tmp_path / "c", entry="k").what


def test_a_python_file_uses_modelnew(write):
    candidate = load_candidate(str(write("fast.py", PYTHON)))
    assert (candidate.language, candidate.entry) == (Language.PYTHON, "fast.py:ModelNew")


def test_a_python_file_may_define_run_or_one_function_or_what_is_asked_for(write):
    path = write("f.py", "def run(x):\n    return x\n\ndef helper(x):\n    return x\n")
    assert load_candidate(path).entry == "f.py:run"
    assert load_candidate(path, entry="helper").entry == "f.py:helper"
    assert load_candidate(write("g.py", "def only(x):\n    return x\n")).entry == "g.py:only"


def test_a_file_named_like_a_library_is_renamed(write):
    assert load_candidate(write("torch.py", PYTHON)).entry == "task.py:ModelNew"


def test_a_folder_brings_all_its_sources(write, tmp_path):
    write("c/kernel.cpp", CPP)
    write("c/detail/tile.h", "#pragma once\n")
    write("c/notes.md", "notes")
    write("c/.git/hook.cpp", CPP)
    candidate = load_candidate(tmp_path / "c")
    assert [file.path for file in candidate.files] == ["detail/tile.h", "kernel.cpp"]
    assert candidate.name == "c"


def test_a_folder_can_say_entry_flags_language_and_name(write, tmp_path):
    write("c/kernel.cpp", CPP.replace("assay_kernel", "mine"))
    write("c/tool.py", "x = 1\n")
    write("c/candidate.toml", 'entry = "mine"\nflags = ["-O2"]\nlanguage = "cpp"\nname = "best"\n')
    candidate = load_candidate(tmp_path / "c")
    assert (candidate.name, candidate.entry, candidate.flags) == ("best", "mine", ("-O2",))
    assert [file.path for file in candidate.files] == ["kernel.cpp"]


def test_a_folder_of_python_finds_the_file_with_modelnew(write, tmp_path):
    write("c/main.py", "from parts import f\n" + PYTHON)
    write("c/parts.py", "def f(x):\n    return x\n")
    assert load_candidate(tmp_path / "c").entry == "main.py:ModelNew"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("bad.cpp", "int main() { return 0; }\n", "never mentions assay_kernel"),
        ("bad.py", "class Other:\n    pass\n", "no file defines ModelNew"),
        ("two.py", "def a(x): return x\ndef b(x): return x\n", "no file defines ModelNew"),
        ("bad.py", "class ModelNew(:\n", "is not Python"),
        ("bad.cu", "__global__ void k() {}\n", "needs a launch plan"),
    ],
)
def test_a_file_that_holds_no_candidate_says_what_is_missing(write, name, text, message):
    assert message in refused(write(name, text)).what


def test_paths_that_cannot_be_read_are_the_callers_mistake(write, tmp_path):
    assert "does not exist" in refused(tmp_path / "absent.cpp", InputError).what
    assert "is empty" in refused(write("empty.cpp", "\n"), InputError).what
    assert "cannot be a candidate" in refused(write("x.txt", "hello"), InputError).what
    (tmp_path / "raw.cpp").write_bytes(b"\x80\x81")
    assert "not UTF-8" in refused(tmp_path / "raw.cpp", InputError).what
    (tmp_path / "large.cpp").write_bytes(b"/" * (4 * 2**20 + 1))
    assert "too large" in refused(tmp_path / "large.cpp", InputError).what


def test_folders_that_hold_no_single_candidate_are_refused(write, tmp_path):
    (tmp_path / "none").mkdir()
    assert "holds no candidate" in refused(tmp_path / "none").what
    write("gpu/k.cu", "__global__ void k() {}\n")
    assert "needs a launch plan" in refused(tmp_path / "gpu").what
    write("gpu/k.cpp", "int assay_kernel;\n")
    assert "CPP and CUDA" in refused(tmp_path / "gpu").what
    write("both/k.cpp", CPP)
    write("both/k.py", PYTHON)
    assert "CPP and PYTHON" in refused(tmp_path / "both").what
    write("twice/a.py", PYTHON)
    write("twice/b.py", PYTHON)
    assert "several files define ModelNew" in refused(tmp_path / "twice").what
    assert load_candidate(tmp_path / "twice", entry="b.py:ModelNew").entry == "b.py:ModelNew"


def test_all_files_together_have_a_size_limit(write, tmp_path):
    write("c/kernel.cpp", CPP)
    for number in range(3):
        write(f"c/part{number}.h", "/" * (2 * 2**20))
    assert "too large" in refused(tmp_path / "c").what


@pytest.mark.parametrize("text", ["entry = 3", "unknown = 1", 'language = "rust"', "flags = "])
def test_wrong_settings_are_refused(write, tmp_path, text):
    write("c/kernel.cpp", CPP)
    write("c/candidate.toml", text)
    refused(tmp_path / "c", InputError)


DEFINITION = {
    "name": "scaled_add",
    "axes": {
        "M": {"type": "var"},
        "N": {"type": "const", "value": 4},
        "T": {"type": "expr", "expression": "M * N"},
        "V": {"type": "var"},
    },
    "inputs": {"a": {"shape": ["M", "N"], "dtype": "float32"}, "s": {"shape": None, "dtype": "float32"}},
    "outputs": {"c": {"shape": ["M", "N"], "dtype": "float32"}, "flat": {"shape": ["T"], "dtype": "float16"}},
    "reference": "import torch\n\ndef run(a, s):\n    return a + s, (a + s).flatten().half()\n",
}


def solution(language="pytorch", dps=False, **changes):
    spec = {"languages": [language], "entry_point": "kernel.py::run", "destination_passing_style": dps}
    source = {"path": "kernel.py", "content": "def run(*args):\n    return args[0]\n"}
    return {"name": "s1", "definition": "scaled_add", "author": "someone", "spec": spec, "sources": [source]} | changes


def test_a_pytorch_solution_that_returns_is_a_candidate(write):
    candidate = load_candidate(write("s.json", json.dumps(solution())))
    assert (candidate.name, candidate.entry, candidate.proposer) == ("s1", "kernel.py:run", "someone")


def test_a_flashinfer_solution_names_one_language(write):
    data = solution()
    data["spec"] = {"language": "python", "entry_point": "kernel.py::run", "destination_passing_style": False}
    assert load_candidate(write("s.json", json.dumps(data))).entry == "kernel.py:run"


def test_a_solution_that_fills_outputs_is_wrapped_with_its_definition(write):
    write("definition.json", json.dumps(DEFINITION))
    candidate = load_candidate(write("s.json", json.dumps(solution(dps=True))))
    assert candidate.entry == "assay_entry.py:run"
    text = candidate.files[-1].text
    assert "def run(a, s):" in text
    assert "axes['M'] = a.shape[0]" in text
    assert "axes['T'] = int(axes['M'] * axes['N'])" in text
    assert "dtype=torch.float16" in text


def test_a_solution_that_fills_outputs_needs_its_definition(write):
    error = refused(write("s.json", json.dumps(solution(dps=True))))
    assert "shapes are not known" in error.what
    assert "definition.json" in error.next_step


def test_an_output_whose_size_no_input_shows_is_refused(write):
    outputs = {"c": {"shape": ["V"], "dtype": "float32"}}
    write("definition.json", json.dumps(DEFINITION | {"outputs": outputs}))
    assert "does not follow" in refused(write("s.json", json.dumps(solution(dps=True)))).what


@pytest.mark.parametrize("language", ["cuda_cpp", "triton", "cute_dsl", "cutlass"])
def test_solutions_for_gpus_are_refused_by_name(write, language):
    assert refused(write("s.json", json.dumps(solution(language)))).value == language


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": []}, "is not a Solution"),
        ({"spec": None}, "is not a Solution"),
        ({"sources": [{"path": "kernel.py"}]}, "without path or content"),
        ({"sources": [{"path": "../kernel.py", "content": "x"}]}, "outside its folder"),
        ({"sources": [{"path": "other.py", "content": "x = 1"}]}, "names an entry"),
        ({"sources": [{"path": "kernel.py", "content": "x = 1"}]}, "defines no function run"),
    ],
)
def test_a_solution_that_is_not_whole_is_refused(write, changes, message):
    assert message in refused(write("s.json", json.dumps(solution(**changes)))).what


def test_a_solution_that_is_not_json_is_refused(write):
    assert "is not JSON" in refused(write("s.json", "{")).what
