"""Triton candidates become machine code in the sandbox, whatever their Python tries; no GPU is needed."""

import importlib.util
from pathlib import Path

import pytest

from assay.build.device import DeviceCompiler
from assay.build.triton import TritonBuilder
from assay.core.sources import Candidate, Language, SourceFile
from assay.errors import CandidateError, MachineError
from assay.launch.compiled import compiled, unpack
from assay.launch.plan import find_plan
from assay.launch.resolved import resolve
from assay.tasks.candidates import load_candidate

EXAMPLE = Path(__file__).parents[2] / "examples" / "softmax_triton.py"
TEXT = EXAMPLE.read_text()
installed = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not installed, reason="triton is not installed (pip install 'assay[gpu]')")


def triton_candidate(text):
    return Candidate("k", Language.TRITON, (SourceFile("k.py", text),), "softmax")


@pytest.fixture(scope="module")
def builder():
    with TritonBuilder() as found:
        yield found


def test_a_python_file_that_opens_with_a_launch_plan_is_a_triton_candidate():
    candidate = load_candidate(EXAMPLE)
    assert (candidate.language, candidate.entry) == (Language.TRITON, "softmax")


@pytest.mark.skipif(installed, reason="triton is installed")
def test_without_triton_the_error_says_how_to_get_it():
    with DeviceCompiler() as compiler, pytest.raises(MachineError, match=r"assay\[gpu\]"):
        compiler.build(triton_candidate(TEXT))


@needs_triton
def test_every_launch_is_compiled_for_its_constants_and_what_is_known_of_its_arguments(builder):
    built = builder.build(triton_candidate(TEXT), use_cache=False)
    modules, launches = unpack(built.content)
    assert len(modules) == 3
    assert [launches[i].module for i in range(3)] == [0, 1, 2]
    assert {kernel.name for kernel in built.kernels} == {"softmax", "softmax_by_blocks"}
    assert all(kernel.parameter_bytes[:3] == (8, 8, 4) and kernel.stack_bytes == 0 for kernel in built.kernels)
    wide, narrow = (kernel for kernel in built.kernels if kernel.name == "softmax")
    assert wide.instructions < narrow.instructions  # rows of a multiple of 16 are loaded four floats at a time
    again = builder.build(triton_candidate(TEXT))
    assert (again.content, again.kernels, again.cpu_seconds) == (built.content, built.kernels, None)


@needs_triton
def test_what_was_compiled_decides_threads_and_shared_memory(builder):
    from assay.core.dtypes import DType
    from assay.core.tensors import TensorSpec

    candidate = triton_candidate(TEXT)
    launches = unpack(builder.build(candidate).content)[1]
    rows = TensorSpec("x", DType.FLOAT32, (10, 5000), (5000, 1))
    (launch,) = compiled(resolve(find_plan(candidate.files), [rows], [], [rows]), launches).launches
    assert (launch.kernel, launch.grid, launch.block, launch.module) == (
        "softmax_by_blocks",
        (10, 1, 1),
        (256, 1, 1),
        2,
    )
    assert len(launch.parameters) == launches[2].parameters


HOSTILE = {
    "raises": "raise RuntimeError('mine')",
    "exits": "import sys; sys.exit(0)",
    "leaves": "import os; os._exit(0)",
    "reads secrets": "print(open('/etc/shadow').read())",
    "has no kernel": "del softmax",
    "hangs up": "import os; os.closerange(3, 200)",
}


@needs_triton
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_its_python_does_the_build_fails_cleanly(builder, name):
    with pytest.raises(CandidateError):
        builder.build(triton_candidate(TEXT + f"\n{HOSTILE[name]}\n"))
    assert builder.build(triton_candidate(TEXT)).kernels


FORGED = """
import json
def _forged(*_):
    import assay.launch.compiled as c
    return c.pack([b"\\x7fELF forged"], {0: c.CompiledLaunch(0, "softmax", 32, 0, 3)})
import assay.build.triton_in_sandbox as own
own._compiled = _forged
own.pack = _forged
"""


@needs_triton
def test_what_a_hostile_module_forges_is_read_as_bytes_and_refused(builder):
    with pytest.raises(CandidateError, match=r"no cubin|cannot be read"):
        builder.build(triton_candidate(TEXT + FORGED))


@needs_triton
@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text.replace('"i32/16 columns"', '"i32/16 columns", "i32 3"'), "arguments"),
    (lambda text: text.replace("{ BLOCK = 4096 }", "{ BLOCK = 4096, OTHER = 3 }"), "OTHER"),
    (lambda text: text.replace("{ BLOCK = 4096 }", "{ BLOCK = 4095 }"), "power of 2"),
    (lambda text: text.replace("tl.exp(", "tl.missing("), "missing"),
])  # fmt: skip
def test_what_does_not_compile_says_so_in_tritons_words(builder, change, message):
    with pytest.raises(CandidateError, match=message):
        builder.build(triton_candidate(change(TEXT)))


@needs_triton
def test_flags_are_refused(builder):
    with pytest.raises(CandidateError, match="flag is not allowed"):
        builder.build(Candidate("k", Language.TRITON, (SourceFile("k.py", TEXT),), "softmax", ("-O3",)))
