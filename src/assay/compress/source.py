"""A training file as the source of its models: model.py of both folders is this file, and has to stand alone."""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from pathlib import Path

from assay.engineer.training.recipe import Recipe, load_recipe
from assay.errors import InputError


@dataclass(frozen=True, slots=True)
class Source:
    """The file, its text, and its functions."""

    path: Path
    text: str
    recipe: Recipe

    @property
    def sha256(self) -> str:
        """Of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load_source(path: Path) -> Source:
    """Load a training file. Raises InputError as `load_recipe` does, and for one that imports files beside it."""
    recipe = load_recipe(path)
    text = path.read_text(encoding="utf-8")
    beside = sorted(name for name in _imported(text) if _is_beside(path, name))
    if beside:
        raise InputError(
            "the training file imports what lies beside it", value=f"{path}: {', '.join(beside)}",
            rule="it is written into the model folders, where it has to load alone",
            next_step="put what it needs into the file itself, or into an installed package",
        )  # fmt: skip
    return Source(path, text, recipe)


def _imported(text: str) -> set[str]:
    """Top-level packages of all imports; a relative one is `.`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0] if not node.level else ".")
    return found


def _is_beside(path: Path, name: str) -> bool:
    folder = path.resolve().parent
    return name == "." or (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()
