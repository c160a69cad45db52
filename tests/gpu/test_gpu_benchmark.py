"""The GPU benchmark where there is no GPU: it says so, and what it would compare agrees with the exact products."""

import pytest
import torch

from assay.errors import MachineError
from benchmarks.gpu import sparse
from benchmarks.sparse.timing import check


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_benchmark_says_so(monkeypatch, capsys):
    with pytest.raises(MachineError, match="no CUDA device"):
        sparse.device()
    monkeypatch.setattr("sys.argv", ["sparse"])
    assert sparse.main() == 3
    assert "no CUDA device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "case"), [(sparse.layer_ways, (5, 128, 32, 0.5)), (sparse.mixture_ways, (20, 3, 32, 48))]
)
def test_every_way_computes_the_same_product(make, case):
    torch.manual_seed(0)
    forward, steps, exact = make(torch.device("cpu"), torch.float32, case)
    assert set(check(forward, exact)) == set(forward)
    slopes = [step() for step in steps.values()]
    for slope in slopes[1:]:
        torch.testing.assert_close(slope, slopes[0], atol=1e-3, rtol=0)
