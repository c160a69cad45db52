"""`assay optimize FILE.py:Class`: a module in parts, and the whole of it before and after."""

import json
from pathlib import Path

import pytest
from test_cli import assay

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Mish()
    def forward(self, x):
        return self.act(x) + torch.sort(x)[0][:, :2].mean()

def get_inputs():
    return [torch.randn(512, 1024)]
"""


@pytest.mark.slow  # 65 s; scripts/try.sh does the same to a larger module
def test_a_module_is_optimised_in_parts_and_timed_as_a_whole(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    done = assay("optimize", f"{tmp_path / 'model.py'}:Net", "--budget", "20s", "--baseline", "eager", "--runs",
                 str(tmp_path / "runs"), "--json")  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert [part["places"] for part in found["parts"]] == [["act"]]
    assert "sort" in found["left_out"]["the model"]
    accepted = found["parts"][0]["speedup"] is not None
    assert accepted == (done.returncode == 0) == (found["whole"] is not None)
    page = Path(found["page"]).read_text()
    assert ("PARTS CERTIFIED" in page) == accepted
    for search in (tmp_path / "runs").glob("search-*"):
        assert f'href="../{search.name}/page.html"' in page
    assert "sort" in page
    if accepted:
        assert found["whole"]["difference"] < 1e-5


def test_a_module_without_any_part_for_a_kernel_is_said_with_exit_code_2(tmp_path):
    (tmp_path / "model.py").write_text(MODEL.replace("nn.Mish()", "nn.Identity()"))
    done = assay("optimize", f"{tmp_path / 'model.py'}:Net", "--runs", str(tmp_path / "runs"))
    assert done.returncode == 2
    assert "sort" in done.stderr + done.stdout
