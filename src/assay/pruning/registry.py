"""The methods by name, in one explicit list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.errors import InputError
from assay.pruning.methods.dynamic import Dynamic
from assay.pruning.methods.grasp import Grasp, grasp
from assay.pruning.methods.magnitude import magnitude
from assay.pruning.methods.movement import Movement, movement
from assay.pruning.methods.random import random
from assay.pruning.methods.rigl import rigl
from assay.pruning.methods.set import set_
from assay.pruning.methods.snip import Snip, snip
from assay.pruning.methods.sparsegpt import Sparsegpt, sparsegpt
from assay.pruning.methods.synflow import Synflow, synflow
from assay.pruning.methods.wanda import Calibrated, wanda
from assay.pruning.protocol import Hparams, Method, Ranked


@dataclass(frozen=True, slots=True)
class Entry:
    """A method, its hyperparameters, and whether it learns from batches."""

    method: Method
    hparams: type[Hparams]
    needs_data: bool


METHODS: dict[str, Entry] = {
    "magnitude": Entry(magnitude, Ranked, needs_data=False),
    "random": Entry(random, Ranked, needs_data=False),
    "snip": Entry(snip, Snip, needs_data=True),
    "grasp": Entry(grasp, Grasp, needs_data=True),
    "synflow": Entry(synflow, Synflow, needs_data=False),
    "set": Entry(set_, Dynamic, needs_data=True),
    "rigl": Entry(rigl, Dynamic, needs_data=True),
    "movement": Entry(movement, Movement, needs_data=True),
    "wanda": Entry(wanda, Calibrated, needs_data=True),
    "sparsegpt": Entry(sparsegpt, Sparsegpt, needs_data=True),
}
"""A new one is a file in methods/ and a line here."""


def find_method(name: str) -> Entry:
    """The method of a name. Raises InputError, with the choices, where there is none."""
    entry = METHODS.get(name)
    if entry is None:
        raise InputError("no such method", value=name[:100], rule=f"one of: {', '.join(METHODS)}")
    return entry


def make_hparams(name: str, options: Mapping[str, Any]) -> Hparams:
    """A method's hyperparameters. Raises InputError for options that it does not have, and for bad values."""
    kind = find_method(name).hparams
    known = kind.__dataclass_fields__
    for option in options:
        if option not in known:
            raise InputError(f"{name} has no such option", value=option[:100], rule=f"one of: {', '.join(known)}")
    return kind(**options)
