"""What language models may cost in one search, the question in flight included."""

from __future__ import annotations

from dataclasses import dataclass

from assay.engineer.language.endpoint import Answer, Model

_LEAST_ANSWER_TOKENS = 64
"""A shorter answer holds nothing."""


@dataclass(slots=True)
class Meter:
    """Tokens and money spent by all models of a search, against limits; None is no limit."""

    most_tokens: int | None = None
    most_money: float | None = None
    tokens: int = 0
    money: float = 0.0

    def longest(self, model: Model, asked: int, wanted: int) -> int:
        """How long an answer may be to a question of `asked` tokens: 0 where it could pass a limit."""
        rooms = [wanted]
        if self.most_tokens is not None:
            rooms.append(self.most_tokens - self.tokens - asked)
        if self.most_money is not None:
            left = self.most_money - self.money - model.price(asked, 0)
            rooms.append(int(left / model.price(0, 1)) if model.price_out > 0 else wanted if left >= 0 else 0)
        room = min(rooms)
        return room if room >= min(_LEAST_ANSWER_TOKENS, wanted) else 0

    def book(self, model: Model, answer: Answer) -> None:
        """An answer that came."""
        self.tokens += answer.tokens_in + answer.tokens_out
        self.money += model.price(answer.tokens_in, answer.tokens_out)
