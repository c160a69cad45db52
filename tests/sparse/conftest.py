"""Instruction sets: every test that asks for one runs with each that this processor has."""

import pytest

from assay.sparse import library


def able():
    """Names of the instruction sets that this processor has."""
    return [name for name, needs in library.INSTRUCTION_SETS.items() if set(needs) <= library._processor_flags()]


@pytest.fixture(params=able())
def instruction_set(request, monkeypatch):
    """The kernels' instruction set for one test."""
    monkeypatch.setenv(library.ISA_VARIABLE, request.param)
    return request.param
