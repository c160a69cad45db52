"""The families' kernels are tested by Triton's interpreter, which has to be asked for before Triton is imported."""

import importlib.util
import os
import sys

import pytest

INSTALLED = importlib.util.find_spec("triton") is not None
if INSTALLED and "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(autouse=True)
def interpreted(request):
    """Skip what runs kernels where nothing can run them."""
    if not INSTALLED:
        pytest.skip("Triton is not installed: pip install assay[gpu]")
    if os.environ.get("TRITON_INTERPRET") != "1" and "compiled" not in request.keywords:
        pytest.skip("Triton was imported before its interpreter was asked for: run tests/gpu/families alone")
