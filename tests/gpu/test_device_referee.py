"""Device code before the referee, on an emulated GPU: the launcher, the plan and every check but the device itself."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from assay.core.config import Depth, JudgeConfig
from assay.core.dtypes import DType
from assay.core.sources import Candidate, Language, SourceFile
from assay.core.verdicts import Verdict, Weight
from assay.errors import MachineError
from assay.machine.cuda import find_gpus
from assay.machine.peaks import Level
from assay.referee.gpu_peaks import measure_gpu_peaks
from assay.referee.judge import Referee
from assay.referee.physics import check_device_clock
from assay.referee.timing.samples import Triples
from assay.referee.zygotes import Zygotes
from assay.report.certificate import make_certificate
from assay.report.evidence import read_samples
from assay.report.schema import check_layout
from assay.report.terminal import device_text
from assay.tasks.load import load_task
from tests.gpu.emulation import emulated_runtime

TASK = """
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.rand(48) + 0.5)

    def forward(self, x):
        return torch.sigmoid(x) * self.scale

def get_inputs():
    return [torch.randn(33, 48)]

def get_init_inputs():
    return []
"""
PLAN = """/* launch.toml
[sizes]
columns = "in0.shape[1]"
[scratch]
gates = "4 * in0.numel"
[[launch]]
kernel = "gate"
grid = ["cdiv(in0.numel, 64)"]
block = [64]
arguments = ["in0", "gates", "i32 in0.numel"]
[[launch]]
kernel = "scale"
grid = ["cdiv(columns, 32)", "in0.shape[0]"]
block = [32]
arguments = ["gates", "weight0", "out0", "i32 columns"]
*/
"""
GATE = """
extern "C" __global__ void gate(const float* x, float* gates, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) gates[i] = 1.0f / (1.0f + expf(-x[i]));
}
"""
SCALE = """
extern "C" __global__ void scale(const float* gates, const float* w, float* y, int columns) {
  int j = blockIdx.x * blockDim.x + threadIdx.x, at = blockIdx.y * columns + j;
  if (j < columns) y[at] = gates[at] * w[j];
}
"""
RIGHT = PLAN + GATE + SCALE


@pytest.fixture(scope="module")
def referee(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulated")
    folder.chmod(0o755)
    config = JudgeConfig(depth=Depth.SCREEN, budget_s=3.0, threads=1, baseline="eager")
    with Referee(config, emulated_runtime(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "gated.py"
    path.write_text(TASK)
    return load_task(str(path))


def judged(referee, task, text):
    judgement = referee.judge(task, Candidate("k", Language.CUDA, (SourceFile("k.cu", text),), "gate"))
    return judgement, {finding.code: finding for finding in judgement.findings}


def test_right_kernels_are_right_and_timed_by_the_device(referee, task):
    judgement, codes = judged(referee, task, RIGHT)
    assert judgement.right, codes
    assert judgement.verdict is not Verdict.ACCEPT  # a screening
    samples = judgement.timing.samples
    assert all(0 < sample.device_ns <= sample.wall_ns for sample in samples)
    assert judgement.device["gpu"]["name"] == "emulated"


def change(old, new):
    """The right kernels with a part replaced."""
    assert old in RIGHT
    return RIGHT.replace(old, new)


STORE = "if (j < columns) y"
BAD = {
    "a weight is forgotten": (change("gates[at] * w[j]", "gates[at]"), "wrong-result"),
    "the last column is left": (change(STORE, "if (j < columns - 1) y"), "wrong-result"),
    "scratch is to keep the first call's": (
        change("if (i < n) gates", "static int calls; if (calls++ < 9 * n && i < n) gates"), "wrong-result",
    ),
    "a weight is written": (change("y[at] =", "((float*)w)[j] = 1, y[at] ="), "refused"),
    "an input is written": (change("gates[i] =", "((float*)x)[i] = 0, gates[i] ="), "refused"),
    "before the output": (change(STORE, f"if (at == 0) y[-1] = 1; {STORE}"), "out-of-bounds"),
    "behind the output": (change(STORE, f"if (at == 0) y[33 * 48 + 3] = 1; {STORE}"), "out-of-bounds"),
    "an input that is not there": (change('"in0", "gates"', '"in0", "in1"'), "refused"),
    "a block too large": (change("block = [64]", "block = [2048]"), "refused"),
    "a fault on the device": (RIGHT + 'extern "C" { int emulated_fault = 700; }', "refused"),
    "a crash": (change("y[at] =", "*(volatile int*)8 = 1, y[at] ="), "crashed"),
    "no C++": (RIGHT + "int x = ;", "does-not-build"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_wrong_kernels_are_rejected_for_what_they_do(referee, task, name):
    text, code = BAD[name]
    judgement, codes = judged(referee, task, text)
    assert judgement.verdict is Verdict.REJECT
    assert code in codes, codes


def test_what_the_device_says_of_a_fault_reaches_the_finding(referee, task):
    _, codes = judged(referee, task, BAD["a fault on the device"][0])
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in codes["refused"].message
    _, codes = judged(referee, task, BAD["an input is written"][0])
    assert "wrote to its inputs" in codes["refused"].message


CHAIN = """
import torch

def f(x):
    y = x
    for _ in range(40):
        y = torch.tanh(y) + 0.1
    return y

def get_inputs():
    return [torch.randn(16, 256)]
"""
FUSED = """/* launch.toml
[[launch]]
kernel = "fused"
grid = ["cdiv(in0.numel, 256)"]
block = [256]
arguments = ["in0", "out0", "i32 in0.numel"]
*/
extern "C" __global__ void fused(const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float v = x[i];
  for (int k = 0; k < 40; k++) {
    float e = expf(-2.0f * fabsf(v)), t = (1.0f - e) / (1.0f + e);
    v = (v < 0 ? -t : t) + 0.1f;
  }
  y[i] = v;
}
"""


def test_a_full_judgement_gives_a_certificate_that_says_where_it_ran(tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "task.py"
    path.write_text(CHAIN)
    config = JudgeConfig(budget_s=4.0, threads=1, baseline="eager")
    with Referee(config, emulated_runtime(tmp_path)) as referee:
        candidate = Candidate("k", Language.CUDA, (SourceFile("k.cu", FUSED),), "fused")
        judgement = referee.judge(load_task(str(path)), candidate)
    certificate = json.loads(json.dumps(make_certificate(judgement, created=datetime.now(UTC))))
    check_layout(certificate, "here")
    assert certificate["right"], certificate["findings"]
    assert certificate["artifact"]["device"]["gpu"]["capability"] == 90
    assert certificate["timing"]["floor"]["min_ns"] > 0
    assert 0 < certificate["timing"]["roofline"]["candidate"]["memory_fraction"] < 1.5
    times = read_samples(certificate)
    assert (times.time_ns == times.device_ns).all()
    assert any("device's" in sentence for sentence in certificate["covered"])
    assert any("launcher" in sentence for sentence in certificate["covered"])
    assert "emulated, driver 0" in device_text(certificate)


@pytest.mark.skipif(bool(find_gpus()), reason="there is a GPU here")
def test_without_a_gpu_a_device_candidate_says_what_is_missing(task):
    with Referee(JudgeConfig(depth=Depth.SCREEN)) as referee, pytest.raises(MachineError, match="no GPU here"):
        referee.judge(task, Candidate("k", Language.CUDA, (SourceFile("k.cu", RIGHT),), "gate"))


def test_a_gpus_peaks_are_measured_by_its_own_clock(tmp_path):
    tmp_path.chmod(0o755)
    gpu = emulated_runtime(tmp_path)
    with Zygotes(1) as zygotes:
        peaks = measure_gpu_peaks(zygotes, gpu, gpu.builder(), gpu.peak_sizes)
    assert peaks.levels == (Level.L2, Level.DRAM)
    assert 1e6 < peaks.bytes_per_s(Level.DRAM) < 1e12
    assert 1e6 < peaks.operations_per_s(DType.FLOAT32) < 1e12
    assert DType.FLOAT16 in peaks.unbounded


def test_the_devices_clock_is_held_against_the_wall_clock():
    def clocks(device_ns, wall_ns, outside_ns=100e3):
        shape = (20, 3)
        triples = Triples.from_arrays(
            [0] * 20, np.full(shape, float(wall_ns)), device_ns=np.full(shape, float(device_ns))
        )
        return check_device_clock(triples, outside_ns)

    assert clocks(50e3, 150e3) is None
    assert clocks(200e3, 150e3).weight is Weight.FATAL  # more than passed
    assert clocks(10e3, 400e3).weight is Weight.DOUBT  # 390 us are missing outside, where a null call takes 100
    assert check_device_clock(Triples.from_arrays([0] * 20, np.full((20, 3), 1e5)), 1e5) is None  # no device
