"""The programs' own exp, sigmoid and tanh, on floats of every size."""

import ctypes
import subprocess

import numpy as np
import pytest

from assay.export.c99 import mathematics
from assay.export.reference import MATH_ULPS, UNIT

SOURCE = "#include <stdint.h>\n" + mathematics.EXP + mathematics.SIGMOID + mathematics.TANH + "".join(
    f"void all_{name}(const float *x, float *y, int32_t n) {{ for (; n--; x++, y++) *y = m_{name}(*x); }}\n"
    for name in ("exp", "sigmoid", "tanh")
)  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mathematics")
    (folder / "m.c").write_text(SOURCE.replace("@", "m_"))
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off", "-shared", "-fPIC",
                    folder / "m.c", "-o", folder / "m.so"], check=True)  # fmt: skip
    return ctypes.CDLL(str(folder / "m.so"))


def call(library, name, x):
    y = np.empty_like(x)
    pointer = ctypes.POINTER(ctypes.c_float)
    library[f"all_{name}"](x.ctypes.data_as(pointer), y.ctypes.data_as(pointer), ctypes.c_int32(x.size))
    return y


def floats():
    """Every 4,099th float32 that is finite, of both signs, and a fine grid where the functions bend."""
    bits = np.arange(0, 0x7F800000, 4099, dtype=np.uint32).view(np.float32)
    near = np.linspace(-10, 10, 400_001, dtype=np.float32)
    return np.concatenate([bits, -bits, near])


@pytest.mark.parametrize(("name", "exact"), [("sigmoid", lambda x: 0.5 + 0.5 * np.tanh(x / 2)), ("tanh", np.tanh)])
def test_sigmoid_and_tanh_err_by_less_than_the_bound_assumes(library, name, exact):
    x = floats()
    error = np.abs(call(library, name, x) - exact(x.astype(np.float64)))
    assert error.max() < MATH_ULPS / 2 * UNIT


def test_exp_errs_by_a_few_units_and_stays_finite(library):
    x = floats()
    y = call(library, "exp", x)
    assert np.isfinite(y).all()
    inside = (x > -87) & (x < 88)
    exact = np.exp(x[inside].astype(np.float64))
    assert np.abs(y[inside] / exact - 1).max() < 4 * UNIT


def test_what_is_no_number_stays_none(library):
    x = np.array([np.nan], np.float32)
    assert all(np.isnan(call(library, name, x))[0] for name in ("exp", "sigmoid", "tanh"))
