"""A model folder on disk, and what is checked before anything in it is used.

    model.py                    make_model() returns the nn.Module, as in a training (docs/training.md)
    model.json                  schema and version, conversions in order, the sha256 of every other file
    weights.safetensors         or seed-0/weights.safetensors, seed-1/..., one for each seed of one architecture

Guaranteed: what is read is what was written. Not guaranteed: that model.py is harmless; loading a model runs it.
Version history of model.json:
  1  the first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.checkpoints.conversions.registry import Conversion
from assay.core.identity import identity
from assay.core.strict_json import parse_object
from assay.errors import InputError

SCHEMA, VERSION = "assay-model", 1
SOURCE, DESCRIPTION, WEIGHTS = "model.py", "model.json", "weights.safetensors"
_SEED_FILE = re.compile(rf"seed-(0|[1-9]\d{{0,8}})/{re.escape(WEIGHTS)}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_BYTES = 1 << 20
"""Of model.json: a layout is in the weights, so that a description is a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder whose description makes sense. `files` maps names to sha256; `seeds` is empty for a single model."""

    path: Path
    conversions: tuple[Conversion, ...]
    files: Mapping[str, str]
    seeds: tuple[int, ...]
    assay: str

    @property
    def identity(self) -> str:
        """The sha256 over all files' hashes and the conversions."""
        return identity({"files": dict(self.files), "conversions": [one.to_json() for one in self.conversions]})

    @property
    def source(self) -> Path:
        """Where `make_model` is."""
        return self.path / SOURCE

    def weights(self, seed: int | None = None) -> Path:
        """A seed's weights, the first seed's without one. Raises InputError for a seed that is not there."""
        return self.path / self.weights_name(seed)

    def weights_name(self, seed: int | None = None) -> str:
        """The same, relative to the folder."""
        if not self.seeds and seed is None:
            return WEIGHTS
        if self.seeds and (seed is None or seed in self.seeds):
            return seed_file(self.seeds[0] if seed is None else seed)
        raise InputError(
            "the model folder has no weights of this seed", value=f"{self.path}: seed {seed}",
            rule=f"seeds {', '.join(map(str, self.seeds))}" if self.seeds else "it holds one model, without a seed",
        )  # fmt: skip

    def check(self, name: str) -> Path:
        """The path of one of its files. Raises InputError where it is missing or was changed."""
        path = self.path / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise damaged(path, error.strerror or str(error), "every file that model.json names is there") from error
        if found != self.files[name]:
            raise damaged(path, f"sha256 {found}", f"model.json says {self.files[name]}")
        return path


def seed_file(seed: int) -> str:
    """The weights of one seed of several."""
    return f"seed-{seed}/{WEIGHTS}"


def read_folder(path: str | Path) -> ModelFolder:
    """The folder, with every file checked against its sha256; runs nothing of it.

    Raises InputError for what is no model folder, is of another version, is damaged, or was changed.
    """
    folder = read_description(Path(path))
    for name in folder.files:
        folder.check(name)
    return folder


def read_description(path: Path) -> ModelFolder:
    """The same without a look at the other files."""
    data = _description(path)
    try:
        conversions = tuple(_conversion(one) for one in data["conversions"])
        files, assay = dict(data["files"]), data["assay"]
        seeds = _seeds(files)
        if not isinstance(assay, str) or not all(isinstance(h, str) and _SHA256.fullmatch(h) for h in files.values()):
            raise ValueError("a sha256 or Assay's version is no text of its form")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        said = f"{type(error).__name__}: {error}"[:200]
        raise damaged(path / DESCRIPTION, said, f"the layout of {SCHEMA}, version {VERSION}") from error
    return ModelFolder(path, conversions, files, seeds, assay)


def damaged(path: Path, value: str, rule: str) -> InputError:
    """The error for a folder that is not as it was written."""
    return InputError("the model folder is damaged", value=f"{path}: {value}", rule=rule,
                      next_step="write it again, or get it again from where it was written")  # fmt: skip


def _description(path: Path) -> dict[str, Any]:
    file = path / DESCRIPTION
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(
            "not a model folder", value=f"{file}: {error.strerror or error}",
            rule=f"a folder with {SOURCE}, {DESCRIPTION} and {WEIGHTS}, as assay compress writes it",
        ) from error  # fmt: skip
    try:
        data = parse_object(content)
    except ValueError as error:
        raise damaged(file, str(error), "a JSON object") from error
    schema, version = data.get("schema"), data.get("version")
    if schema != SCHEMA:
        raise InputError("not a model folder", value=f"{file}: schema {schema!r}"[:300], rule=f'"schema": "{SCHEMA}"')
    if version != VERSION or isinstance(version, bool):
        raise InputError(
            "the model folder is of another version", value=f"{file}: version {version!r}"[:300],
            rule=f"this Assay reads version {VERSION}", next_step="use the Assay that wrote it",
        )  # fmt: skip
    return data


def _conversion(data: Mapping[str, Any]) -> Conversion:
    name, settings = data["name"], data["settings"]
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise ValueError("a conversion is a name and its settings")
    return Conversion(name, settings)


def _seeds(files: Mapping[str, Any]) -> tuple[int, ...]:
    """In ascending order; raises ValueError unless the names are those of a model folder."""
    matches = [_SEED_FILE.fullmatch(name) for name in files if name not in (SOURCE, WEIGHTS)]
    seeds = sorted(int(match[1]) for match in matches if match)
    if SOURCE not in files or len(seeds) != len(matches) or (WEIGHTS in files) == bool(seeds):
        raise ValueError(f"files are {', '.join(map(str, files))}"[:200])
    return tuple(seeds)
