"""A task optimised for a GPU from end to end: traced, searched in generated CUDA, judged, certified; emulated here."""

import pytest

from assay.core.sources import Language
from assay.engineer.optimize import OptimizeConfig, optimize_task
from assay.engineer.proposers.generators import CUDA
from assay.engineer.proposers.making import Models, make_proposers
from assay.engineer.tracing import Tracing
from assay.errors import InputError, MachineError
from assay.machine.cuda import find_gpus
from assay.search import FileLedger
from assay.tasks.plain import plain_task
from tests.gpu.emulation import emulated_runtime

TEXT = """
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        y = x
        for _ in range(24):
            y = torch.tanh(y) + 0.1
        return y / y.abs().sum(-1, keepdim=True)

def get_inputs():
    return [torch.randn(5, 70)]
"""


@pytest.fixture(scope="module")
def task():
    return plain_task(TEXT, "chain.py")


@pytest.mark.slow
def test_a_task_is_optimised_on_an_emulated_gpu(task, tmp_path):
    tmp_path.chmod(0o755)
    config = OptimizeConfig(budget_s=20.0, threads=1, baseline="eager", finalists=1, device="cuda")
    with FileLedger(tmp_path / "search") as ledger:
        found = optimize_task(task, config, ledger, lambda _: None, lambda *_: None, gpu=emulated_runtime(tmp_path))
    assert found.search.ideas >= 1
    assert found.search.best is not None
    assert CUDA.schedule_of(found.search.best.idea.candidate) is not None
    assert found.judgements
    assert all(judgement.right for judgement in found.judgements)
    assert found.judgements[-1].device["gpu"]["name"] == "emulated"


def test_proposers_for_a_device_write_cuda(task):
    with Tracing() as tracing:
        graph = tracing.trace(task)
    codegen, tuner = make_proposers(task, graph, "", Models(), on_device=True)
    assert codegen._write(CUDA.starts[0]).language is Language.CUDA
    assert tuner._generator is CUDA


@pytest.mark.skipif(bool(find_gpus()), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_before_anything_else_takes_time(task, tmp_path):
    config = OptimizeConfig(device="cuda")
    with FileLedger(tmp_path / "search") as ledger, pytest.raises(MachineError, match="no GPU here"):
        optimize_task(task, config, ledger, lambda _: None, lambda *_: None)


def test_language_models_are_not_asked_for_cuda_yet(task):
    from assay.engineer.language.endpoint import Model

    models = Models((Model("m", "http://127.0.0.1:1/v1"),))
    with pytest.raises(InputError, match="no CUDA yet"):
        make_proposers(task, None, "", models, on_device=True)


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="cpu, cuda"):
        OptimizeConfig(device="tpu")
