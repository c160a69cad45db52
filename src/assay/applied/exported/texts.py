"""The texts of an exported package's files."""

INIT = '''"""{task} with a certified kernel: see certificate.json and README.md."""

from inspect import signature
from pathlib import Path
from typing import Any

from .reference import {kind}, get_inputs
from .runtime import Certified

AXES = {axes!r}


def load(*arguments: Any) -> Certified:
    """The module with its kernel in front; `arguments` are the reference's own."""
    return Certified({kind}(*arguments){ready}, Path(__file__).parent)


def example_inputs() -> list[Any]:
    """Inputs of the shapes that the kernel was certified for."""
    wanted = signature(get_inputs).parameters
    return list(get_inputs(**{{name: size for name, size in AXES.items() if name in wanted}}))
'''

PYPROJECT = """[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"

[project]
name = "{package}"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["torch>=2.11"]

[tool.setuptools]
packages = ["{package}"]

[tool.setuptools.package-data]
{package} = ["*.json", "native/**/*"]
"""

README = """# {package}

`{task}` with a kernel that is {speedup[ratio]:.2f}x as fast (95 % interval {speedup[lower]:.2f} to
{speedup[upper]:.2f}) as {baseline} on {cpu}. The certificate is `{package}/certificate.json`;
`assay verify` replays it.

```
pip install .
python -m pytest tests
```

```python
import {package}

module = {package}.load()
module(*{package}.example_inputs())
module.calls  # how often the kernel served, and how often the reference
```

The kernel is built with g++ at first use and kept in the user's cache. It serves calls of exactly the certified shapes,
types and layouts where no gradient is wanted; the reference serves all others.

Certificate {identity}.
"""

TEST = '''"""The kernel agrees with its reference, and the reference serves what the kernel is not for."""

import {package}
import torch


def test_the_kernel_serves_and_agrees():
    torch.manual_seed(0)
    module, inputs = {package}.load(), {package}.example_inputs()
    with torch.no_grad():
        torch.testing.assert_close(module(*inputs), module.reference(*inputs), rtol=1e-3, atol=1e-4)
    assert module.calls == {{"kernel": 1, "reference": 0}}


def test_the_reference_serves_where_a_gradient_is_wanted():
    module, inputs = {package}.load(), {package}.example_inputs()
    floating = [each for each in inputs if isinstance(each, torch.Tensor) and each.is_floating_point()]
    for each in floating:
        each.requires_grad_()
    module(*inputs)
    wanted = bool(floating) or any(each.requires_grad for each in module.parameters())
    assert module.calls["reference"] == int(wanted)
'''
