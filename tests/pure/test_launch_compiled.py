"""Artifacts of several modules: what is packed comes back, and bytes from a hostile process are read or refused."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import CandidateError
from assay.launch.compiled import CompiledLaunch, compiled, pack, unpack
from assay.launch.plan import LaunchPlan
from assay.launch.resolved import resolve

LAUNCH = CompiledLaunch(module=1, symbol="softmax", threads=128, shared_bytes=64, parameters=5)


def with_header(header, rest=b"xy"):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return b"ASSAYDEV" + struct.pack("<I", len(text)) + text + rest


def test_modules_and_launches_come_back():
    modules, launches = unpack(pack([b"first", b"second"], {0: LAUNCH, 3: LAUNCH}))
    assert (modules, launches) == ([b"first", b"second"], {0: LAUNCH, 3: LAUNCH})


def test_a_module_by_itself_is_an_artifact_too():
    assert unpack(b"\x7fELF and more") == ([b"\x7fELF and more"], {})


FIELDS = {"module": 0, "symbol": "k", "threads": 32, "shared_bytes": 0, "parameters": 1}


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b"3",
        b"null",
        {},
        {"sizes": [], "launches": []},
        {"sizes": [9], "launches": {}},
        {"sizes": [-1], "launches": {}},
        {"sizes": [0], "launches": {}},
        {"sizes": ["2"], "launches": {}},
        {"sizes": [2], "launches": {"x": FIELDS}},
        {"sizes": [2], "launches": {"0": {}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"module": 1}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"module": -1}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"threads": 0}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"threads": 2048}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"threads": True}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"threads": 32.0}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"symbol": 3}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"symbol": "x" * 300}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"shared_bytes": 1 << 40}}},
        {"sizes": [2], "launches": {"0": FIELDS | {"parameters": 9999}}},
        b"[" * 5000 + b"]" * 5000,
    ],
)
def test_what_no_compiler_wrote_is_refused(header):
    with pytest.raises(CandidateError, match="cannot be read"):
        unpack(with_header(header))


@given(st.binary(max_size=80))
def test_no_bytes_make_the_reader_fail_in_another_way(rest):
    for content in (b"ASSAYDEV" + rest, with_header({"sizes": [2], "launches": {"0": FIELDS}}, rest)):
        try:
            unpack(content)
        except CandidateError:
            continue


PLAN = LaunchPlan.parse('[[launch]]\nkernel = "softmax"\ngrid = [7]\narguments = ["i32/16 64"]\n')


def test_a_plan_takes_threads_memory_and_symbol_from_what_was_compiled():
    (launch,) = compiled(resolve(PLAN, [], [], []), {0: LAUNCH}).launches
    assert (launch.module, launch.kernel, launch.grid, launch.block) == (1, "softmax", (7, 1, 1), (128, 1, 1))
    assert (launch.shared_bytes, [parameter.bytes for parameter in launch.parameters[1:]]) == (64, [bytes(8)] * 4)


def test_a_launch_that_was_not_compiled_or_lacks_parameters_is_refused():
    plan = resolve(PLAN, [], [], [])
    for launches in ({1: LAUNCH}, {0: CompiledLaunch(0, "k", 32, 0, 0)}):
        with pytest.raises(CandidateError, match="not compiled"):
            compiled(plan, launches)
    assert compiled(plan, {}) is plan


def test_a_number_that_is_said_to_be_a_multiple_of_16_is_held_to_it():
    plan = LaunchPlan.parse('[[launch]]\nkernel = "k"\narguments = ["i32/16 65"]\n')
    with pytest.raises(CandidateError, match="a multiple of 16"):
        resolve(plan, [], [], [])


@pytest.mark.parametrize("table", ['in0 = "float"', 'nobody = "fp16"', "in0 = 3", 'partial = "fp16"'])
def test_element_types_are_those_of_triton_for_pointers_that_there_are(table):
    with pytest.raises(CandidateError, match="types"):
        LaunchPlan.parse(f'[types]\n{table}\n[[launch]]\nkernel = "k"\n')
