"""Definition JSON and its workloads."""

import json

import pytest

from assay.core.sources import TaskFormat
from assay.errors import InputError, TaskError
from assay.tasks.load import load_task

REFERENCE = "import torch\n\ndef run(a, b, eps):\n    return a @ b + eps\n"
DEFINITION = {
    "name": "small_gemm",
    "op_type": "gemm",
    "axes": {
        "M": {"type": "var"},
        "K": {"type": "const", "value": 8},
        "N": {"type": "expr", "expression": "2 * K"},
    },
    "inputs": {
        "a": {"shape": ["M", "K"], "dtype": "float32"},
        "b": {"shape": ["K", "N"], "dtype": "bfloat16"},
        "eps": {"shape": None, "dtype": "float32"},
    },
    "outputs": {"c": {"shape": ["M", "N"], "dtype": "float32"}},
    "reference": REFERENCE,
}
SOURCES = {"a": {"type": "random"}, "b": {"type": "random"}, "eps": {"type": "scalar", "value": 0.5}}
WORKLOADS = [{"uuid": str(n), "axes": {"M": m}, "inputs": SOURCES} for n, m in enumerate((6, 12, 30))]


@pytest.fixture
def write(tmp_path):
    def write_files(definition=None, workloads=None, **changes):
        data = {**DEFINITION, **(definition or {}), **changes}
        (tmp_path / "definition.json").write_text(json.dumps(data))
        lines = WORKLOADS if workloads is None else workloads
        text = lines if isinstance(lines, str) else "\n".join(map(json.dumps, lines))
        (tmp_path / "workload.jsonl").write_text(text)
        return tmp_path

    return write_files


def refused(spec, kind=TaskError):
    with pytest.raises(kind) as caught:
        load_task(spec)
    return caught.value


def declared(task):
    """The program's TASK, which is a literal."""
    line = next(line for line in task.files[0].text.splitlines() if line.startswith("TASK = "))
    return eval(line.removeprefix("TASK = "))


def test_a_folder_with_definition_and_workloads_is_a_task(write):
    task = load_task(write())
    assert (task.name, task.format, task.entry) == ("small_gemm", TaskFormat.DEFINITION, "task.py:run")
    assert task.files[0].text.startswith(REFERENCE)
    assert declared(task)["axes"] == {"M": 6}
    assert declared(task)["workloads"] == [{}, {"M": 12}, {"M": 30}]
    assert declared(task)["family"] == "gemm"


def test_the_file_itself_can_be_named(write):
    assert load_task(write() / "definition.json").name == "small_gemm"


def test_one_varying_axis_gives_the_limits_that_its_sizes_show(write):
    assert declared(load_task(write()))["limits"] == {"M": {"min": 6, "max": 30, "multiple_of": 6}}


def test_constraints_between_axes_forbid_other_sizes(write):
    assert declared(load_task(write(constraints=["M % 6 == 0"])))["limits"] == {}


def test_derived_axes_become_arithmetic_on_the_others(write):
    assert "axes['N'] = int(2 * axes['K'])" in load_task(write()).files[0].text


def test_workloads_that_differ_in_numbers_only_stay_apart(write):
    other = {"uuid": "9", "axes": {"M": 6}, "inputs": SOURCES | {"eps": {"type": "scalar", "value": 2}}}
    task = declared(load_task(write(workloads=[WORKLOADS[0], other])))
    assert task["axes"] == {"M": 6, "workload": 0}
    assert task["workloads"] == [{}, {"workload": 1}]


def test_custom_inputs_come_from_the_definitions_function_and_stay_as_drawn(write):
    custom = {name: {"type": "custom"} for name in ("a", "b", "eps")}
    reference = REFERENCE + "\ndef make(axes, device):\n    return {}\n"
    path = write(
        workloads=[{"uuid": "1", "axes": {"M": 6}, "inputs": custom}],
        reference=reference,
        custom_inputs_entrypoint="make",
    )
    task = load_task(path)
    assert "_assay_custom_inputs = make" in task.files[0].text
    assert declared(task)["domains"] == {"a": "fixed", "b": "fixed"}


def test_trace_data_sets_are_found_by_the_definitions_name(tmp_path):
    (tmp_path / "definitions" / "gemm").mkdir(parents=True)
    (tmp_path / "workloads" / "gemm").mkdir(parents=True)
    definition = tmp_path / "definitions" / "gemm" / "small_gemm.json"
    definition.write_text(json.dumps(DEFINITION))
    lines = [{"definition": "small_gemm", "solution": None, "workload": w} for w in WORKLOADS]
    (tmp_path / "workloads" / "gemm" / "small_gemm.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert declared(load_task(definition))["axes"] == {"M": 6}
    assert load_task(tmp_path).name == "small_gemm"
    definition.with_name("other.json").write_text(json.dumps(DEFINITION))
    assert "several definitions" in refused(tmp_path, InputError).what


def test_a_reference_that_returns_a_dict_is_unpacked_in_the_outputs_order(write):
    reference = REFERENCE.replace("return a @ b + eps", 'return {"c": a @ b + eps}')
    assert "for name in ['c']" in load_task(write(reference=reference)).files[0].text


def test_tensor_files_are_refused_or_left_out(write):
    blob = SOURCES | {"a": {"type": "safetensors", "path": "blob/a.safetensors", "tensor_key": "a"}}
    stored = {"uuid": "7", "axes": {"M": 6}, "inputs": blob}
    assert any("left out: 1" in note for note in load_task(write(workloads=[*WORKLOADS, stored])).notes)
    assert "blob/a.safetensors" in refused(write(workloads=[stored])).value


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float4_e2m1", "complex64", None])
def test_an_element_type_without_arithmetic_here_is_refused(write, dtype):
    inputs = DEFINITION["inputs"] | {"a": {"shape": ["M", "K"], "dtype": dtype}}
    error = refused(write(inputs=inputs))
    assert error.value == str(dtype)
    assert "bfloat16" in error.rule


@pytest.mark.parametrize("key", ["name", "axes", "inputs", "outputs", "reference"])
def test_every_part_of_a_definition_is_required(write, key):
    assert f"lacks {key}" in refused(write(**{key: None})).what


@pytest.mark.parametrize(
    "axis",
    [
        {"type": "expr", "expression": "__import__('os').system('x')"},
        {"type": "expr", "expression": "K.real"},
        {"type": "expr", "expression": "absent + 1"},
        {"type": "expr", "expression": "N + 1"},
        {"type": "expr", "expression": "2 *"},
        {"type": "const", "value": "8"},
        {"type": "mystery"},
        3,
    ],
)
def test_an_axis_that_is_not_arithmetic_is_refused(write, axis):
    refused(write(axes=DEFINITION["axes"] | {"N": axis}))


def test_an_undeclared_axis_is_named(write):
    inputs = DEFINITION["inputs"] | {"a": {"shape": ["M", "Q"], "dtype": "float32"}}
    assert refused(write(inputs=inputs)).value == "Q in a"


def test_a_tensor_name_must_be_an_identifier(write):
    inputs = DEFINITION["inputs"] | {"a, *b": {"shape": ["M"], "dtype": "float32"}}
    assert "not an identifier" in refused(write(inputs=inputs)).what


def test_a_reference_needs_run(write):
    assert "does not define run" in refused(write(reference="def go(a):\n    return a\n")).what
    assert "is not Python" in refused(write(reference="def run(:\n")).what


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 is not JSON"),
        ("[]", "line 1 is not a workload"),
        ('{"axes": {}}', "gives no size to axis M"),
        ('{"axes": {"M": 1.5}}', "gives no size to axis M"),
        ('{"axes": {"M": 4}, "inputs": {"a": {"type": "magic"}}}', "unknown type"),
        ('{"axes": {"M": 4}, "inputs": {"a": {"type": "custom"}}}', "is custom"),
        ('{"axes": {"M": 4}}', "gives no value to the number eps"),
        ('{"axes": {"M": 4}, "inputs": {"eps": {"type": "scalar", "value": NaN}}}', "not a finite number"),
    ],
)
def test_a_wrong_workload_is_named(write, line, message):
    assert message in refused(write(workloads=line)).what


def test_a_definition_without_workloads_says_what_to_add(write):
    path = write()
    (path / "workload.jsonl").unlink()
    error = refused(path)
    assert "has no workloads" in error.what
    assert "uuid" in error.next_step


@pytest.mark.parametrize("text", ["[1]", "{", "3"])
def test_a_file_that_is_not_a_json_object_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert "not" in refused(tmp_path / "x.json").what


def test_an_empty_definition_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("")
    assert "is empty" in refused(tmp_path / "x.json", InputError).what
