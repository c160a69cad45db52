"""Programs that the importers write run, and compute what their formats mean."""

import importlib
import json
import sys

import pytest
import torch

from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task


@pytest.fixture
def run_program(tmp_path, monkeypatch):
    """Imports a task's or candidate's files from a folder of their own and returns the entry's module and symbol."""
    loaded = []

    def load(source):
        folder = tmp_path / f"program{len(loaded)}"
        for file in source.files:
            path = folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)
        monkeypatch.syspath_prepend(str(folder))
        file, _, symbol = source.entry.partition(":")
        name = file.removesuffix(".py").replace("/", ".")
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        module = importlib.import_module(name)
        loaded.append(name)
        return module, getattr(module, symbol)

    yield load
    for name in loaded:
        sys.modules.pop(name, None)


def test_example_inputs_are_drawn_anew_in_the_same_likeness(run_program, tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def forward(self, x, index):\n"
        "        return x[index]\n\n"
        "example_inputs = (torch.randn(2000, 3).double() * 5 + 20, torch.tensor([1, 0]))\n"
    )
    module, _ = run_program(load_task(path))
    first, second = module.get_inputs(), module.get_inputs()
    assert first[0].shape == (2000, 3)
    assert first[0].dtype == torch.float64
    assert not torch.equal(first[0], second[0])
    assert abs(first[0].mean().item() - 20) < 1
    assert abs(first[0].std().item() - 5) < 1
    assert torch.equal(first[1], torch.tensor([1, 0]))


ROBUST = """import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, width=3, scale=1.0):
        super().__init__()
        self.scale = scale
        self.unused = nn.Parameter(torch.ones(1))
        self.w = nn.Parameter(torch.rand(width))

    def forward(self, x, index, fn=None):
        return ((x * self.w)[index] * self.scale).sum(1)

def get_inputs(batch=2, width=3):
    return [torch.randn(batch, width, requires_grad=True), torch.arange(batch - 1)]
"""


def test_a_robust_kbench_backward_task_returns_torchs_gradients(run_program, tmp_path):
    folder = tmp_path / "scale"
    folder.mkdir()
    config = {
        "single_input_configs": [{"batch": 5}],
        "single_init_configs": [{"scale": 2.0}],
        "single_shared_configs": [{"width": 4}],
    }
    for direction in ("forward", "backward"):
        (folder / f"func_{direction}.py").write_text(ROBUST)
        (folder / f"config_{direction}.json").write_text(json.dumps(config))
    module, backward = run_program(load_task(f"{folder}:backward"))
    assert module.get_init_inputs() == [4, 2.0]
    x, index, grad = module.get_inputs(**module.TASK["axes"])
    assert not x.requires_grad
    assert grad.shape == (4,)
    model = backward(*module.get_init_inputs())
    with torch.no_grad():
        grad_x, grad_w = model(x, index, grad)
    rows = torch.cat([grad, torch.zeros(1)])[:, None]
    torch.testing.assert_close(grad_x, 2 * rows * model.w.detach())
    torch.testing.assert_close(grad_w, (2 * rows * x).sum(0))


DEFINITION = {
    "name": "mixed",
    "axes": {
        "M": {"type": "var"},
        "K": {"type": "const", "value": 8},
        "N": {"type": "expr", "expression": "(K + 2) // 2"},
    },
    "inputs": {
        "a": {"shape": ["M", "K"], "dtype": "bfloat16"},
        "proj_weight": {"shape": ["N", "K"], "dtype": "float32"},
        "rstd": {"shape": ["M"], "dtype": "float32"},
        "ids": {"shape": ["M"], "dtype": "int32"},
        "keep": {"shape": [], "dtype": "bool"},
        "eps": {"shape": None, "dtype": "float32"},
    },
    "outputs": {"c": {"shape": ["M", "N"], "dtype": "float32"}},
    "reference": "import torch\n\ndef run(a, proj_weight, rstd, ids, keep, eps):\n"
    "    return {'c': a.float() @ proj_weight.T * rstd[:, None] + eps}\n",
}


def write_definition(folder, definition, workloads):
    (folder / "definition.json").write_text(json.dumps(definition))
    (folder / "workload.jsonl").write_text("\n".join(map(json.dumps, workloads)))
    return folder


def test_a_definition_draws_each_input_as_declared(run_program, tmp_path):
    inputs = {"eps": {"type": "scalar", "value": 0.25}}
    workloads = [{"uuid": str(m), "axes": {"M": m}, "inputs": inputs} for m in (6, 12)]
    module, run = run_program(load_task(write_definition(tmp_path, DEFINITION, workloads)))
    a, weight, rstd, ids, keep, eps = drawn = module.get_inputs(**{**module.TASK["axes"], "M": 12})
    assert (a.shape, a.dtype, weight.shape) == ((12, 8), torch.bfloat16, (5, 8))
    assert (rstd > 0).all()
    assert (ids.dtype, keep.shape, keep.dtype, eps) == (torch.int32, (), torch.bool, 0.25)
    (out,) = run(*drawn)
    assert out.shape == (12, 5)


def test_custom_inputs_know_axes_and_numbers_of_their_workload(run_program, tmp_path):
    reference = (
        "import torch\n\ndef get_inputs(axes_and_scalars, device):\n"
        "    n = axes_and_scalars['M'] * axes_and_scalars['times']\n"
        "    return {'a': torch.full((n,), 3.0, device=device)}\n\ndef run(a, times):\n    return a * times\n"
    )
    definition = {
        "name": "custom",
        "axes": {"M": {"type": "var"}, "L": {"type": "var"}},
        "inputs": {"a": {"shape": ["L"], "dtype": "float32"}, "times": {"shape": None, "dtype": "int32"}},
        "outputs": {"c": {"shape": ["L"], "dtype": "float32"}},
        "reference": reference,
        "custom_inputs_entrypoint": "get_inputs",
    }
    workloads = [
        {"uuid": "1", "axes": {"M": 4, "L": 8}, "inputs": {"a": {"type": "custom"}, "times": number}}
        for number in ({"type": "scalar", "value": 2}, {"type": "scalar", "value": 3})
    ]
    module, _ = run_program(load_task(write_definition(tmp_path, definition, workloads)))
    assert module.get_inputs(**module.TASK["axes"])[0].shape == (8,)
    second = {**module.TASK["axes"], **module.TASK["workloads"][1]}
    assert module.get_inputs(**second)[0].shape == (12,)
    assert module.get_inputs(**second)[1] == 3


@pytest.mark.parametrize("path", ["kernel.py", "src/kernel.py"])
def test_a_wrapped_solution_allocates_and_returns_its_outputs(run_program, tmp_path, path):
    definition = {
        "name": "pair",
        "axes": {"M": {"type": "var"}, "N": {"type": "expr", "expression": "M * 2"}},
        "inputs": {"a": {"shape": ["M"], "dtype": "float32"}, "s": {"shape": None, "dtype": "float32"}},
        "outputs": {"c": {"shape": ["M"], "dtype": "float32"}, "d": {"shape": ["N"], "dtype": "float64"}},
        "reference": "def run(a, s):\n    return a * s, a\n",
    }
    (tmp_path / "definition.json").write_text(json.dumps(definition))
    solution = {
        "name": "s",
        "definition": "pair",
        "spec": {"languages": ["pytorch"], "entry_point": f"{path}::fill"},
        "sources": [
            {"path": path, "content": "def fill(a, s, c, d):\n    c[:] = a * s\n    d[:] = 7\n"},
            *([{"path": "src/__init__.py", "content": "# a package\n"}] if "/" in path else []),
        ],
    }
    (tmp_path / "solution.json").write_text(json.dumps(solution))
    _, run = run_program(load_candidate(tmp_path / "solution.json"))
    c, d = run(torch.arange(3.0), 2.0)
    assert c.tolist() == [0.0, 2.0, 4.0]
    assert (d.dtype, d.tolist()) == (torch.float64, [7.0] * 6)


def test_a_scaled_kernelbench_program_still_fits_its_module(run_program, tmp_path):
    path = tmp_path / "1_Conv.py"
    path.write_text(
        "import torch\nfrom torch import nn\n\nclass Model(nn.Module):\n"
        "    def __init__(self, channels, out, kernel_size, groups, bias_shape):\n        super().__init__()\n"
        "        self.conv = nn.Conv2d(channels, out, kernel_size, groups=groups)\n"
        "        self.bias = nn.Parameter(torch.zeros(bias_shape))\n\n"
        "    def forward(self, x):\n        return self.conv(x) + self.bias\n\n"
        "batch_size = 64\nchannels = 64\nout = 512\nheight, width = 256, 256\nkernel_size = 3\ngroups = 8\n"
        "bias_shape = (out, 1, 1)\n\n"
        "def get_inputs():\n    return [torch.rand(batch_size, channels, height, width)]\n\n"
        "def get_init_inputs():\n    return [channels, out, kernel_size, groups, bias_shape]\n"
    )
    module, model = run_program(load_task(path, profile="scaled"))
    (x,) = module.get_inputs()
    assert x.numel() <= 2**22
    assert model(*module.get_init_inputs())(x).shape[1] == module.out
