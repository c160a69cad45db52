"""Test-time compute: spend a budget on better answers, know when to stop, and never believe a win that noise explains.

    result = think(problem, proposers, verifier, make("evolution"), Budget(seconds=3600), Plateau(60), ledger, seed=0)

`thinking` is the same as a stream of events. The verifier is handed in: search judges nothing and confirms nothing.
"""

from assay.search.attempt import Evaluation, Fidelity, Idea
from assay.search.budget import Budget, Spent
from assay.search.engine import think, thinking
from assay.search.events import Event, EventKind, Result, StopCause
from assay.search.halving import CASCADE, Rung
from assay.search.ledger import FileLedger, MemoryLedger, Record
from assay.search.protocols import Ask, Kind, Known, Proposer, Request, Strategy, Verifier
from assay.search.race import FalseWins
from assay.search.state import Settings
from assay.search.stopping import AnyOf, ExpectedGain, NearFloor, Plateau, TargetReached
from assay.search.strategies.registry import make

__all__ = [
    "CASCADE",
    "AnyOf",
    "Ask",
    "Budget",
    "Evaluation",
    "Event",
    "EventKind",
    "ExpectedGain",
    "FalseWins",
    "Fidelity",
    "FileLedger",
    "Idea",
    "Kind",
    "Known",
    "MemoryLedger",
    "NearFloor",
    "Plateau",
    "Proposer",
    "Record",
    "Request",
    "Result",
    "Rung",
    "Settings",
    "Spent",
    "StopCause",
    "Strategy",
    "TargetReached",
    "Verifier",
    "make",
    "think",
    "thinking",
]
