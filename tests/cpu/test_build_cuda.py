"""CUDA candidates become cubins in the sandbox, with the resources that ptxas reports; nothing else gets through."""

import os
import shutil

import pytest

from assay.build.cubin import read_kernels
from assay.build.cuda import CudaBuilder
from assay.core.sources import Candidate, Language, SourceFile
from assay.errors import CandidateError

pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no CUDA toolkit here")

PLAN = """/* launch.toml
[[launch]]
kernel = "scale"
grid = ["cdiv(in0.numel, 256)"]
block = [256]
arguments = ["in0", "out0", "i32 in0.numel", "f64 2"]
*/
"""
SCALE = (
    PLAN
    + """
extern "C" __global__ void scale(const float* x, float* y, int n, double by) {
  __shared__ float tile[256];
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  tile[threadIdx.x] = i < n ? x[i] : 0.0f;
  __syncthreads();
  if (i < n) y[i] = tile[threadIdx.x] * by;
}
"""
)


def cuda(text, *flags, **others):
    files = (SourceFile("k.cu", text), *(SourceFile(name, other) for name, other in others.items()))
    return Candidate("k", Language.CUDA, files, "scale", flags)


@pytest.fixture(scope="module")
def builder():
    with CudaBuilder() as found:
        yield found


def test_a_kernel_becomes_a_cubin_with_its_resources(builder):
    built = builder.build(cuda(SCALE), use_cache=False)
    (kernel,) = built.kernels
    assert built.content[:4] == b"\x7fELF"
    assert built.target == "sm_90a"
    assert (kernel.name, kernel.parameter_bytes, kernel.shared_bytes) == ("scale", (8, 8, 4, 8), 1024)
    assert 8 <= kernel.registers <= 40
    assert 10 <= kernel.instructions <= 200
    assert (kernel.spill_store_bytes, kernel.spill_load_bytes, kernel.stack_bytes) == (0, 0, 0)


def test_the_cache_gives_the_same_bytes_and_resources(builder):
    first, second = builder.build(cuda(SCALE)), builder.build(cuda(SCALE))
    assert (second.content, second.kernels, second.identity) == (first.content, first.kernels, first.identity)
    assert second.cpu_seconds is None


def test_the_reader_agrees_with_ptxas_whatever_the_architecture(builder):
    for capability in (75, 80, 90, 100, 120):
        (kernel,) = builder.build(cuda(SCALE), capability).kernels
        assert kernel.parameter_bytes == (8, 8, 4, 8), capability
        assert kernel.registers > 0, capability


def test_spills_are_seen(builder):
    body = SCALE.replace("y[i] = tile[threadIdx.x] * by", """{
      float many[64];
      for (int j = 0; j < 64; ++j) many[j] = x[(i + j * 7) % n];
      for (int k = 0; k < 9; ++k) for (int j = 0; j < 64; ++j) many[j] += many[(j * 3 + 1) % 64] * by;
      float sum = 0; for (int j = 0; j < 64; ++j) sum += many[j]; y[i] = sum; }""")  # fmt: skip
    free, pressed = builder.build(cuda(body)), builder.build(cuda(body, "-maxrregcount=24"))
    assert free.kernels[0].spill_store_bytes == 0
    assert pressed.kernels[0].registers <= 24
    assert pressed.kernels[0].spill_store_bytes > 0


def test_a_gpu_that_the_toolkit_does_not_know_gets_ptx(builder):
    built = builder.build(cuda(SCALE), 199)
    assert built.target.startswith("compute_")
    assert b".entry scale" in built.content


def test_a_gpu_that_the_toolkit_no_longer_knows_is_a_clear_error(builder):
    with pytest.raises(CandidateError, match="no longer builds"):
        builder.build(cuda(SCALE), 35)


@pytest.mark.parametrize("text", ["#error mine", "extern int x = ;", '#include "/etc/shadow"', '#include "missing.h"'])
def test_what_does_not_compile_says_so_in_the_compilers_words(builder, text):
    with pytest.raises(CandidateError, match=r"does not compile[\s\S]*error"):
        builder.build(cuda(SCALE + text))


def test_a_source_cannot_write_ptxas_report(builder):
    lines = "ptxas info    : Compiling entry function 'scale' for 'sm_90a'\\n    0 bytes stack frame, 9 bytes spill "
    fake = f'#pragma message("{lines}stores, 9 bytes spill loads")\n'
    built = builder.build(cuda(SCALE + fake), use_cache=False)
    assert built.kernels[0].spill_store_bytes == 0


@pytest.mark.parametrize("flag", [
    "-ccbin=/scratch/x", "-Xcompiler=-fplugin=x", "--compiler-options=-B.", "@file", "-I/etc", "-include=/etc/passwd",
    "-optf=f", "-o/scratch/x", "--run", "-Xptxas=-v", "-keep", "-lineinfo;id", "-gencode=arch=compute_90,code=sm_90",
])  # fmt: skip
def test_flags_that_reach_beyond_arithmetic_are_refused_by_name(builder, flag):
    with pytest.raises(CandidateError, match="flag is not allowed"):
        builder.build(cuda(SCALE, flag))


def test_arithmetic_flags_change_the_code(builder):
    body = SCALE.replace("* by", "/ (1.0f + expf(x[i]))")
    exact, fast = builder.build(cuda(body)), builder.build(cuda(body, "--use_fast_math", "-std=c++20", "-DN=3"))
    assert fast.kernels[0].instructions < exact.kernels[0].instructions


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text.replace('"f64 2"', '"f32 2"'), "arguments do not fit"),
    (lambda text: text.replace(', "f64 2"', ""), "arguments do not fit"),
    (lambda text: text.replace('kernel = "scale"', 'kernel = "scaled"'), "does not define"),
    (lambda text: text.replace('extern "C" ', ""), "does not define"),
    (lambda text: text.replace(PLAN, ""), "needs a launch plan"),
])  # fmt: skip
def test_a_plan_that_does_not_fit_its_kernels_is_refused(builder, change, message):
    with pytest.raises(CandidateError, match=message):
        builder.build(cuda(change(SCALE)))


def test_headers_of_the_candidate_are_found_and_a_second_unit_is_refused(builder):
    files = (
        SourceFile("k.cu", SCALE + '#include "parts/more.cuh"\n'),
        SourceFile("parts/more.cuh", "#define MORE 1\n"),
    )
    assert builder.build(Candidate("k", Language.CUDA, files, "scale")).kernels
    two = (*files, SourceFile("other.cu", ""))
    with pytest.raises(CandidateError, match="one translation unit"):
        builder.build(Candidate("k", Language.CUDA, two, "scale"))


def test_bytes_that_are_no_cubin_are_a_clear_error():
    for content in (b"", b"\x7fELF", b"\x7fELF\x02" + bytes(100), os.urandom(500)):
        with pytest.raises(CandidateError, match="no cubin"):
            read_kernels(content)
