"""Answers kept in a folder and given again: a search that is repeated asks nobody twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from assay.core.identity import identity
from assay.engineer.language.endpoint import Answer, Endpoint, Message
from assay.errors import InputError
from assay.machine.cache_dirs import atomic_write, ensure_folder


class Recorded:
    """An endpoint in front of another. The same question asked again has an answer of its own, by its number.

    Without an endpoint behind it, it only replays; a question that was never answered raises InputError then.
    """

    def __init__(self, folder: Path, model: str, behind: Endpoint | None = None) -> None:
        self._folder, self._model, self._behind = folder, model, behind
        self._asked: Counter[str] = Counter()

    def ask(self, messages: Sequence[Message], most_tokens: int, schema: Mapping[str, Any] | None = None) -> Answer:
        """See `Endpoint`."""
        question = identity({"model": self._model, "messages": [dict(m) for m in messages], "schema": schema or {}})
        path = self._folder / f"{question[:32]}-{self._asked[question]}.json"
        self._asked[question] += 1
        if path.is_file():
            return _read(path)
        if self._behind is None:
            raise InputError("this question has no recorded answer", value=str(path), next_step="ask a real endpoint")
        answer = self._behind.ask(messages, most_tokens, schema)
        ensure_folder(self._folder)
        atomic_write(path, json.dumps(asdict(answer)).encode())
        return answer


def _read(path: Path) -> Answer:
    try:
        data = json.loads(path.read_bytes())
        return Answer(str(data["text"]), int(data["tokens_in"]), int(data["tokens_out"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError("a recorded answer is damaged", value=str(path), next_step="remove it") from error
