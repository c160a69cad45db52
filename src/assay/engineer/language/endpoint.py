"""One model behind one endpoint: a question in, an answer with what it cost out.

The `openai` client sends, retries with growing pauses and times out. The key comes from the environment when a question
is asked; it is in no record, no message and no worker. Limits: an answer is at most as long as was asked for; where an
endpoint does not count tokens, four characters are taken for one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.errors import InputError, MachineError

Message = Mapping[str, str]
"""`role` and `content`."""

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Model:
    """A model and where it is asked.

    Args:
        name: as the endpoint knows it.
        url: base URL of an OpenAI-compatible endpoint, such as http://127.0.0.1:8080/v1.
        key_variable: the environment variable that holds the key; endpoints on this machine often need none.
        timeout_s: for one answer.
        temperature: of the sampling.
        retries: after the first try, with pauses of 0.5 s and then twice as long each time, up to 8 s.
        answer_tokens: the longest answer.
        price_in, price_out: money for a million tokens of questions and of answers.

    Raises ValueError for a URL that is none and for numbers below zero.
    """

    name: str
    url: str
    key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 180.0
    retries: int = 4
    temperature: float = 0.7
    answer_tokens: int = 6000
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.name:
            raise ValueError(f"a model needs a name and an http(s) URL, not {self.name!r} at {self.url!r}")
        if min(self.timeout_s, self.retries, self.answer_tokens, self.temperature, self.price_in, self.price_out) < 0:
            raise ValueError(f"numbers below zero: {self}")

    def price(self, tokens_in: int, tokens_out: int) -> float:
        """Of one question and its answer."""
        return (tokens_in * self.price_in + tokens_out * self.price_out) / 1e6


@dataclass(frozen=True, slots=True)
class Answer:
    """A text, and the tokens of question and answer."""

    text: str
    tokens_in: int
    tokens_out: int


class Endpoint(Protocol):
    """Who answers."""

    def ask(self, messages: Sequence[Message], most_tokens: int, schema: Mapping[str, Any] | None = None) -> Answer:
        """One answer; `schema` is a JSON schema that it has to fit, where the endpoint can see to that.

        Raises MachineError where the endpoint cannot be reached or refuses, InputError for an answer that is none.
        """
        ...


@dataclass(slots=True)
class OpenAIEndpoint:
    """A real one; the client is made at the first question."""

    model: Model
    _client: Any = field(default=None, repr=False)

    def ask(self, messages: Sequence[Message], most_tokens: int, schema: Mapping[str, Any] | None = None) -> Answer:
        """See `Endpoint`."""
        openai = _openai()
        if self._client is None:
            key = os.environ.get(self.model.key_variable) or "none"
            self._client = openai.OpenAI(
                base_url=self.model.url, api_key=key, timeout=self.model.timeout_s, max_retries=self.model.retries
            )
        options: dict[str, Any] = {}
        if schema is not None:
            format_ = {"name": "answer", "schema": dict(schema), "strict": True}
            options["response_format"] = {"type": "json_schema", "json_schema": format_}
        try:
            reply = self._client.chat.completions.create(
                model=self.model.name, messages=[dict(each) for each in messages], max_tokens=most_tokens,
                temperature=self.model.temperature, **options,
            )  # fmt: skip
        except (openai.OpenAIError, ValueError) as error:  # ValueError: an answer that is no JSON
            raise self._trouble(error) from None  # its request holds the key
        return _answer(reply, messages)

    def _trouble(self, error: Any) -> MachineError:
        status = getattr(error, "status_code", None)
        words = f"{type(error).__name__}" + (f", status {status}" if status else "")
        return MachineError(
            "the language model's endpoint gave no answer", value=f"{self.model.name} at {self.model.url}: {words}",
            rule=f"it is asked {self.model.retries + 1} times, {self.model.timeout_s:.0f} s each at most",
            next_step=f"check the URL, the model's name and the key in {self.model.key_variable}",
        )  # fmt: skip


def _answer(reply: Any, messages: Sequence[Message]) -> Answer:
    """The text of a reply; raises InputError for a refusal, and for a reply without text."""
    choices = getattr(reply, "choices", None)
    message = getattr(choices[0], "message", None) if choices else None
    refusal = getattr(message, "refusal", None)
    text = getattr(message, "content", None)
    if refusal or not isinstance(text, str) or not text.strip():
        raise InputError("the language model did not answer", value=str(refusal or "an empty answer")[:300])
    usage = getattr(reply, "usage", None)
    asked = sum(len(each["content"]) for each in messages) // _CHARACTERS_PER_TOKEN
    counted = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    tokens_in, tokens_out = (
        value if isinstance(value, int) and value >= 0 else guess
        for value, guess in zip(counted, (asked, len(text) // _CHARACTERS_PER_TOKEN), strict=True)
    )
    return Answer(text, tokens_in, tokens_out)


def _openai() -> Any:
    try:
        import openai
    except ImportError:
        raise MachineError(
            "the client for language models is not installed", value="openai", next_step="pip install 'assay[llm]'"
        ) from None
    return openai
