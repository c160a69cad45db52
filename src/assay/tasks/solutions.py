"""Solution JSON (SOL-ExecBench, FlashInfer-Bench): PyTorch solutions become candidates, all others say why not.

A solution in destination-passing style writes into outputs that somebody else allocates. Such a one gets a generated
function around it that allocates them, which needs their shapes: they are read from the Definition beside the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from assay.core.sources import Candidate, Language, SourceFile
from assay.errors import CandidateError
from assay.tasks.definition_schema import Definition, expression_code, parse_definition, read_json
from assay.tasks.source_reading import parse_python, read_text

_PYTHON_LANGUAGES = frozenset({"python", "pytorch"})
_ADAPTER_STEM = "assay_entry"

_ADAPTER = '''"""Added by Assay: allocates the outputs that {symbol} in {file} writes into."""

import importlib

import torch

_fill = getattr(importlib.import_module({module!r}), {symbol!r})


def run({arguments}):
    axes = dict({constants!r})
{bindings}
    outputs = [
{outputs}
    ]
    _fill({call}*outputs)
    return outputs[0] if len(outputs) == 1 else tuple(outputs)
'''


def solution_candidate(text: str, where: str) -> Candidate:
    """A candidate from the text of a Solution JSON; `where` is its path, beside which the Definition is looked for.

    Raises CandidateError for other languages, a missing entry, or a missing Definition where one is needed.
    """
    data = read_json(text, where, CandidateError)
    spec, sources = data.get("spec"), data.get("sources")
    if not isinstance(spec, dict) or not isinstance(sources, list) or not sources:
        raise CandidateError(
            f"{where} is not a Solution", value=", ".join(map(str, data))[:100], rule="it has name, spec and sources"
        )
    _check_languages(spec, where)
    files = [_source(item, where) for item in sources]
    file, separator, symbol = str(spec.get("entry_point", "")).partition("::")
    entry_file = next((source for source in files if source.path == file), None)
    if not separator or entry_file is None:
        raise CandidateError(
            f"{where} names an entry that it does not contain",
            value=repr(spec.get("entry_point")),
            rule='entry_point is "file.py::function", and the file is one of the sources',
        )
    facts = parse_python(entry_file.text, file, CandidateError)
    if symbol not in facts.functions and symbol not in facts.values:
        raise CandidateError(f"{file} defines no function {symbol}", value=where)
    entry = f"{file}:{symbol}"
    if spec.get("destination_passing_style", True):
        adapter = _adapter(_find_definition(Path(where), str(data.get("definition", ""))), file, symbol, files)
        files.append(adapter)
        entry = f"{adapter.path}:run"
    author = data.get("author")
    name = str(data.get("name") or Path(where).stem)
    return Candidate(name, Language.PYTHON, tuple(files), entry, proposer=str(author) if author else None)


def _check_languages(spec: Mapping[str, Any], where: str) -> None:
    named = spec.get("languages", spec.get("language"))
    languages = [named] if isinstance(named, str) else list(named or ())
    others = [str(item) for item in languages if item not in _PYTHON_LANGUAGES]
    if others or not languages:
        raise CandidateError(
            f"{where} is written in a language that cannot be judged here",
            value=", ".join(others) or "none named",
            rule="solutions in python or pytorch; the others need a GPU and its compilers",
            next_step="give the C++ or Python form of the kernel",
        )


def _source(item: Any, where: str) -> SourceFile:
    try:
        return SourceFile(str(item["path"]), str(item["content"]))
    except (TypeError, KeyError):
        raise CandidateError(f"{where} has a source without path or content", value=repr(item)[:80]) from None
    except ValueError as error:
        raise CandidateError(f"{where} has a source outside its folder", value=str(error)) from None


def _find_definition(path: Path, name: str) -> Definition:
    """The Definition beside a solution, or in the `definitions` folder of the data set around it."""
    beside = [path.parent / "definition.json", path.parent / f"{name}.json"]
    roots = [parent / "definitions" for parent in list(path.resolve().parents)[:6]]
    around = [found for root in roots if root.is_dir() for found in sorted(root.rglob(f"{name}.json"))] if name else []
    for place in (*beside, *around):
        if place.is_file() and place != path:
            data = read_json(read_text(place, "definition"), str(place), CandidateError)
            if data.get("name") == name:
                return parse_definition(data, str(place))
    raise CandidateError(
        "the solution writes into outputs whose shapes are not known",
        value=name or "no definition named",
        rule="a destination-passing solution needs its Definition to allocate outputs",
        next_step=f"put definition.json beside {path.name}, or return the outputs and set destination_passing_style "
        "to false",
    )


def _adapter(definition: Definition, file: str, symbol: str, files: list[SourceFile]) -> SourceFile:
    names = [field.name for field in definition.inputs]
    text = _ADAPTER.format(
        file=file,
        symbol=symbol,
        module=_module_name(file, files),
        arguments=", ".join(names),
        constants=dict(definition.constants),
        bindings="\n".join(f"    {line}" for line in _bindings(definition)) or "    # no other axes",
        outputs="\n".join(
            f"        torch.empty([{', '.join(f'axes[{axis!r}]' for axis in field.shape or ())}], "
            f"dtype=torch.{field.dtype.value}),"
            for field in definition.outputs
        ),
        call="".join(f"{name}, " for name in names),
    )
    return SourceFile((PurePosixPath(file).parent / f"{_ADAPTER_STEM}.py").as_posix(), text)


def _bindings(definition: Definition) -> list[str]:
    """Statements that find the size of every axis from the inputs' shapes."""
    places = {
        axis: f"{field.name}.shape[{position}]"
        for field in definition.inputs
        for position, axis in enumerate(field.shape or ())
    }
    used = {axis for field in definition.outputs for axis in field.shape or ()}
    lines = [f"axes[{axis!r}] = {places[axis]}" for axis in definition.variables if axis in places]
    known = [*definition.constants, *(axis for axis in definition.variables if axis in places)]
    for axis, expression in definition.expressions.items():
        if axis in places:
            lines.append(f"axes[{axis!r}] = {places[axis]}")
        elif axis in used:
            lines.append(f"axes[{axis!r}] = int({expression_code(expression, known, 'axes', definition.name)})")
        known.append(axis)
    unknown = [axis for axis in definition.variables if axis in used and axis not in places]
    if unknown:
        raise CandidateError(
            "an output's size does not follow from the inputs' shapes",
            value=f"{unknown[0]} in {definition.name}",
            rule="a destination-passing solution is wrapped only where shapes give every axis",
        )
    return lines


def _module_name(file: str, files: list[SourceFile]) -> str:
    """The name under which the solution's module is imported: dotted where its folder is a package."""
    path = PurePosixPath(file)
    package = (path.parent / "__init__.py").as_posix()
    stem = path.with_suffix("")
    return ".".join(stem.parts) if any(source.path == package for source in files) else stem.name
