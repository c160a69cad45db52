"""The user's own Python file, loaded into this process: it is their code, not a stranger's."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from assay.errors import InputError


def import_own_file(path: Path) -> ModuleType:
    """The file as a Python module, with its own folder to import from. Raises InputError where that fails."""
    if not path.is_file():
        raise InputError("no such file", value=str(path), next_step="name a Python file of yours")
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None:
        raise InputError("not a Python file", value=str(path))
    loaded = importlib.util.module_from_spec(found)
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[path.stem] = loaded
    try:
        found.loader.exec_module(loaded)
    except Exception as error:
        raise InputError("the file fails when it is loaded", value=words_of(error), rule=str(path)) from error
    finally:
        sys.path.pop(0)
    return loaded


def words_of(error: Exception) -> str:
    """An error of somebody's code, in one short line."""
    return f"{type(error).__name__}: {error}"[:300]
