"""The part of `assay export` that turns networks into programs: load, export, measure, write, print."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay import checkpoints
from assay import export as exporting
from assay.cli.exits import Exit
from assay.cli.output import print_json
from assay.core.own_file import import_own_file, words_of
from assay.errors import InputError
from assay.export.c99.convolution import Form
from assay.export.checking import write_files
from assay.export.device import DEVICES, measure
from assay.export.energy import SUPPLIES, cell_days, inference_joules
from assay.report.progress import ProgressLine
from assay.report.terminal import make_console

_RESULTS = "export.json"
_INFERENCES_A_DAY = 1440.0
"""For the battery's life: one a minute."""


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The options of the command line as they were given."""

    name: str
    c99: bool
    onnx: bool
    bits: int
    argmax: bool
    binary_inputs: bool
    data: Path | None
    caller_memory: bool
    form: str
    device: str
    seed: int | None


def export_network(what: Path, output: Path, options: NetworkOptions, as_json: bool) -> Exit:
    """Write the programs that agree with the model. Raises as the parts do."""
    if output.exists():
        raise InputError("there is something at this path", value=str(output), rule="an export makes its own folder",
                         next_step="choose another path, or remove it")  # fmt: skip
    if options.device and (options.device not in DEVICES or not options.c99 or options.caller_memory):
        raise InputError("nothing can be measured like this", value=f"--device {options.device}",
                         rule=f"one of {', '.join(DEVICES)}; with --c99, and memory of the program's own")  # fmt: skip
    settings = exporting.ExportSettings(options.name, options.bits, options.argmax, options.binary_inputs,
                              not options.caller_memory, _form(options.form), options.device)  # fmt: skip
    results: dict[str, Any] = {}
    with ProgressLine() as progress:
        progress("loading the model", 0.0)
        model, data = _load(what, options)
        exported, content = None, None
        if options.c99:
            exported = exporting.export_c99(model, data, settings, progress)
            results["c99"] = _summary(exported)
            if options.device and exported.agreement.accepted:
                progress(f"measuring on {options.device}", 0.0)
                results["device"] = _measured(exported, data, options.device)
        if options.onnx:
            content, agreement = exporting.export_onnx(model, data, settings, progress)
            results["onnx"] = {"agreement": agreement.to_json()}
    accepted = all(results[kind]["agreement"]["accepted"] for kind in ("c99", "onnx") if kind in results)
    if accepted:
        _write(output, exported, content, results, options.name)
    _print(output, results, accepted, as_json)
    return Exit.ACCEPTED if accepted else Exit.REJECTED


def _form(name: str) -> Form | None:
    if name and name not in {form.value for form in Form}:
        raise InputError(
            "weights have no such form", value=name, rule=f"one of {', '.join(form.value for form in Form)}"
        )
    return Form(name) if name else None


def _load(what: Path, options: NetworkOptions) -> tuple[Any, Any]:
    """The model, and inputs from --data, the file's example_inputs(), or a training's first batch."""
    import torch

    source = what / "model.py" if what.is_dir() else what
    own = import_own_file(source)
    try:
        model = checkpoints.load_model(what, options.seed) if what.is_dir() else own.make_model()
        example, batches = getattr(own, "example_inputs", None), getattr(own, "get_batch", None)
        inputs = example() if example else batches(0)[0] if batches else None
    except InputError:
        raise
    except Exception as error:
        raise InputError("the model's file fails", value=words_of(error),
                         rule="it has make_model() and example_inputs(), a tensor [n, ...]") from error  # fmt: skip
    given = _arrays(options.data) if options.data else {}
    inputs = inputs[0] if isinstance(inputs, tuple) else inputs
    if "inputs" in given:
        compared = torch.from_numpy(np.asarray(given["inputs"], np.float32))
        return model, exporting.Data(compared, compared if inputs is None else inputs.float(), given.get("targets"))
    if not isinstance(inputs, torch.Tensor):
        raise InputError("there are no inputs to compare on", value=str(source), rule="example_inputs() gives a tensor",
                         next_step="define it in the model's file, or give --data FILE.npz")  # fmt: skip
    return model, exporting.Data(inputs.float(), inputs.float())


def _arrays(path: Path) -> Mapping[str, Any]:
    try:
        with np.load(path) as found:
            arrays = {name: found[name] for name in found.files}
    except (OSError, ValueError) as error:
        raise InputError(
            "the data cannot be read", value=f"{path}: {error}"[:300], rule="what numpy.savez writes"
        ) from error
    if "inputs" not in arrays or ("targets" in arrays and len(arrays["targets"]) != len(arrays["inputs"])):
        raise InputError("the data are not as they have to be", value=f"{path}: {', '.join(arrays)}",
                         rule="inputs [n, ...], and maybe targets [n]")  # fmt: skip
    return arrays


def _summary(exported: Any) -> dict[str, Any]:
    program, (kept, of) = exported.program, exported.case.read.weights
    return {
        "name": program.name, "input": program.input_type, "output": program.output_type, "inputs": program.inputs,
        "outputs": program.outputs, "arena_bytes": program.arena_bytes, "weights": of, "nonzero": kept,
        "nonzero_after_folding": exported.case.lean.weights[0], "forms": {str(k): v for k, v in program.forms.items()},
        "agreement": exported.agreement.to_json(),
    }  # fmt: skip


def _measured(exported: Any, data: Any, device: str) -> dict[str, Any]:
    inputs = data.inputs.numpy()
    integer = exported.case.integer
    found = measure(device, exported.program, inputs if integer is None else integer.takes.quantise(inputs))
    result = {
        "device": device, "flash_bytes": found.flash_bytes, "ram_bytes": found.ram_bytes,
        "stack_bytes": found.stack_bytes, "instructions": found.instructions, "cycles": found.cycles,
        "estimated_joules": None, "estimated_cell_days": None,
    }  # fmt: skip
    if device in SUPPLIES and found.cycles is not None:
        supply = SUPPLIES[device]
        result["estimated_joules"] = inference_joules(found.cycles, supply)
        result["estimated_cell_days"] = cell_days(found.cycles, supply, _INFERENCES_A_DAY)
        result["supply"] = supply.source
    return result


def _write(output: Path, exported: Any, content: bytes | None, results: Any, name: str) -> None:
    output.mkdir(parents=True)
    if exported is not None:
        write_files(exported.program, output)
    if content is not None:
        (output / f"{name}.onnx").write_bytes(content)
    (output / _RESULTS).write_text(json.dumps(results, indent=1) + "\n")


def _print(output: Path, results: Mapping[str, Any], accepted: bool, as_json: bool) -> None:
    if as_json:
        print_json({"output": str(output) if accepted else None, **results})
        return
    console = make_console()
    for kind in ("c99", "onnx"):
        if kind in results:
            console.print(f"{kind:<12} {_agreement_words(results[kind]['agreement'])}", soft_wrap=True)
    if "c99" in results:
        found = results["c99"]
        console.print(f"weights      {found['nonzero']} of {found['weights']} are not zero; "
                      f"{found['nonzero_after_folding']} are in the program")  # fmt: skip
        console.print(f"memory       {found['arena_bytes']} bytes beside {found['inputs']} inputs ({found['input']}) "
                      f"and {found['outputs']} outputs ({found['output']})")  # fmt: skip
    if "device" in results:
        console.print(f"device       {_device_words(results['device'])}", soft_wrap=True)
    console.print(f"written      {output}" if accepted else "nothing was written: the program is not the model")


def _agreement_words(found: Mapping[str, Any]) -> str:
    same = found["decisions"] - found["other_decisions"]
    words = [f"{'all ' if found['is_every_input'] else ''}{found['inputs']:,} inputs compared with PyTorch",
             f"{same:,} of {found['decisions']:,} decisions the same"]  # fmt: skip
    if found["largest_difference"] is not None:
        bound = f" (rounding explains {found['bound']:.2g})" if found["bound"] is not None else ""
        words.append(f"largest difference {found['largest_difference']:.2g}{bound}")
    if found["wrong_bits"] is not None:
        words.append(f"{found['wrong_bits']} outputs differ from the integer reference")
    if found["right"] is not None:
        words.append(f"{found['right']} right, {found['right_before']} by PyTorch")
    return "; ".join(words)


def _device_words(found: Mapping[str, Any]) -> str:
    words = [f"{found['device']}: {found['flash_bytes']:,} bytes of flash, {found['ram_bytes']:,} of RAM "
             f"({found['stack_bytes']} of them stack)"]  # fmt: skip
    if found["instructions"] is not None:
        words.append(f"{found['instructions']:,.0f} instructions an inference")
    if found["cycles"] is not None:
        words.append(f"{found['cycles']:,.0f} cycles")
    if found["estimated_joules"] is not None:
        words.append(f"an estimated {found['estimated_joules'] * 1e6:.3g} µJ ({found['supply']})")
    if found["estimated_cell_days"] is not None:
        years = found["estimated_cell_days"] / 365.25
        words.append(f"with one inference a minute a CR2032 lasts an estimated {years:.1f} years")
    return "; ".join(words)
