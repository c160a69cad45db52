"""A yardstick: a judge built the way public ones are, to see what the same attacks, bugs and honest kernels do to it.

One process holds the reference and the candidate, imports both, compares on five seeds with torch.allclose, and times
both with time.perf_counter after a warm-up, as the median of twenty calls on one input. Its verdict is whatever that
process reports. To be fair to it: outputs are compared before timing, shapes and types are checked, inputs are new for
each seed, weights are copied over, C++ comes from Assay's own builder, and nothing else runs beside it.

It runs inside a confined child, since the candidates are hostile; so it gains protection of the machine that public
judges lack. Nothing here may import the rest of this package: the child sees this file and Assay only.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import mmap
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

TOLERANCES = {"1e-2": 1e-2, "1e-4": 1e-4}
SEEDS = (0, 1, 2, 3, 4)
WARM_UP, CALLS = 3, 20
_MAX_DIMS = 8
_CODES = {"float32": 1, "float64": 2, "float16": 3, "bfloat16": 4, "int8": 5, "int16": 6, "int32": 7, "int64": 8,
          "uint8": 9, "bool": 10}  # fmt: skip


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("shape", ctypes.c_int64 * _MAX_DIMS),
        ("stride", ctypes.c_int64 * _MAX_DIMS),
        ("numel", ctypes.c_int64),
        ("ndim", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
    )


class _Call(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("abi", "n_threads", "n_inputs", "n_weights", "n_outputs", "n_scalars")),
        *((name, ctypes.POINTER(_Tensor)) for name in ("inputs", "weights", "outputs")),
        ("scalars", ctypes.POINTER(ctypes.c_double)),
    )


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Judge the payload in fds[0] and report; the far end believes what it is told."""
    with mmap.mmap(fds[0], args["payload_bytes"], prot=mmap.PROT_READ) as view:
        payload = json.loads(bytes(view))
    try:
        report = judge(payload)
    except Exception as error:  # noqa: BLE001 - as in the judges that this stands for: an exception is a rejection
        report = {"right": dict.fromkeys(TOLERANCES, False), "speedup": None, "why": f"{type(error).__name__}: {error}"}
    channel.send(json.dumps(report).encode()[:60_000])


def judge(payload: dict[str, Any]) -> dict[str, Any]:
    """{"right": by tolerance, "speedup": median over median, "best_speedup": best over best, "why": str}."""
    torch = sys.modules["torch"]
    torch.set_num_threads(payload["threads"])
    torch.set_grad_enabled(False)
    task = _import(payload["task"]["files"], payload["task"]["entry"], "reference")
    symbol = payload["task"]["entry"].partition(":")[2]
    declared = dict(getattr(task, "TASK", {})) | payload["task"]["overrides"]
    axes = {**declared.get("axes", {}), **(declared.get("workloads") or [{}])[0]}
    arguments = list(getattr(task, "get_init_inputs", list)())
    reference = _construct(torch, getattr(task, symbol), arguments, declared.get("mode", "eval"))
    make: Callable[[], list[Any]] = lambda: list(task.get_inputs(**axes))  # noqa: E731
    torch.manual_seed(SEEDS[0])
    inputs = make()
    candidate = _candidate(torch, payload, reference, arguments, declared, inputs)
    right, why = _compare(torch, reference, candidate, make)
    if not any(right.values()):
        return {"right": right, "speedup": None, "best_speedup": None, "why": why}
    slow, fast = _times(reference, inputs), _times(candidate, inputs)
    return {
        "right": right,
        "speedup": statistics.median(slow) / max(statistics.median(fast), 1e-9),
        "best_speedup": min(slow) / max(min(fast), 1e-9),
        "why": why,
    }


def _import(files: list[dict[str, str]], entry: str, label: str) -> Any:
    folder = f"/scratch/{label}"
    for file in files:
        path = os.path.join(folder, file["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as target:
            target.write(file["text"])
    sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"{label}_entry", os.path.join(folder, entry.partition(":")[0]))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _construct(torch: Any, target: Any, arguments: list[Any], mode: str) -> Any:
    torch.manual_seed(42)
    if not isinstance(target, type):
        return target
    model = target(*arguments)
    return model.train(mode == "train") if hasattr(model, "train") else model


def _candidate(
    torch: Any, payload: dict[str, Any], reference: Any, arguments: list[Any], declared: dict[str, Any],
    inputs: list[Any],
) -> Callable[..., Any]:  # fmt: skip
    if payload["artifact"]:
        return _native(torch, payload, reference, inputs)
    module = _import(payload["candidate"]["files"], payload["candidate"]["entry"], "candidate")
    target = getattr(module, payload["candidate"]["entry"].partition(":")[2])
    model = _construct(torch, target, arguments, declared.get("mode", "eval"))
    if hasattr(model, "load_state_dict") and hasattr(reference, "state_dict"):
        model.load_state_dict(reference.state_dict())
    return model  # type: ignore[no-any-return]


def _native(torch: Any, payload: dict[str, Any], reference: Any, inputs: list[Any]) -> Callable[..., Any]:
    """A ctypes call; outputs are allocated by torch.empty, shaped like the reference's on the first input."""
    with open("/scratch/candidate.so", "wb") as file:
        file.write(bytes.fromhex(payload["artifact"]))
    entry = getattr(ctypes.CDLL("/scratch/candidate.so"), payload["candidate"]["entry"])
    shapes = [(o.shape, o.stride(), o.dtype) for o in flatten(torch, reference(*inputs))]
    weights = list(reference.state_dict().values()) if hasattr(reference, "state_dict") else []
    threads = payload["threads"]

    def call(*arguments: Any) -> Any:
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        numbers = [float(a) for a in arguments if not isinstance(a, torch.Tensor)]
        outputs = [torch.empty_strided(shape, stride, dtype=dtype) for shape, stride, dtype in shapes]
        scalars = (ctypes.c_double * max(len(numbers), 1))(*numbers)
        packed = _Call(1, threads, len(tensors), len(weights), len(outputs), len(numbers),
                       _array(tensors), _array(weights), _array(outputs), scalars)  # fmt: skip
        if entry(ctypes.byref(packed)) != 0:
            raise RuntimeError("the entry refused the call")
        return outputs

    return call


def _array(tensors: list[Any]) -> Any:
    array = (_Tensor * max(len(tensors), 1))()
    for slot, tensor in zip(array, tensors, strict=False):
        slot.data = tensor.data_ptr()
        slot.shape[: tensor.ndim], slot.stride[: tensor.ndim] = tuple(tensor.shape), tensor.stride()
        slot.numel, slot.ndim = tensor.numel(), tensor.ndim
        slot.dtype = _CODES[str(tensor.dtype).removeprefix("torch.")]
    return array


def _compare(torch: Any, reference: Any, candidate: Any, make: Callable[[], list[Any]]) -> tuple[dict[str, bool], str]:
    right, why = dict.fromkeys(TOLERANCES, True), ""
    for seed in SEEDS:
        torch.manual_seed(seed)
        inputs = make()
        torch.manual_seed(seed)
        expected = flatten(torch, reference(*inputs))
        torch.manual_seed(seed)
        found = flatten(torch, candidate(*inputs))
        if [(e.shape, e.dtype) for e in expected] != [(f.shape, f.dtype) for f in found]:
            return dict.fromkeys(TOLERANCES, False), "another count, shape or type of outputs"
        for name, tolerance in TOLERANCES.items():
            if not all(_close(torch, e, f, tolerance) for e, f in zip(expected, found, strict=True)):
                right[name], why = False, f"differs on seed {seed}"
    return right, why


def _close(torch: Any, expected: Any, found: Any, tolerance: float) -> bool:
    if not expected.is_floating_point():
        return bool(torch.equal(expected, found))
    return bool(torch.allclose(expected, found, rtol=tolerance, atol=tolerance))


def _times(run: Any, inputs: list[Any]) -> list[float]:
    for _ in range(WARM_UP):
        run(*inputs)
    times = []
    for _ in range(CALLS):
        start = time.perf_counter()
        run(*inputs)
        times.append(time.perf_counter() - start)
    return times


def flatten(torch: Any, result: Any) -> list[Any]:
    """The tensors of a result in order."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return [tensor for item in result for tensor in flatten(torch, item)]
    return [result if isinstance(result, torch.Tensor) else torch.tensor(result)]
