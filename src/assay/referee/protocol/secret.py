"""Where every secret number of a run comes from: one key of the operating system, committed to before it is used.

Each number is an HMAC of a counter, so that no number of them gives away another (624 outputs of a Mersenne twister
give away all later ones). The certificate carries the commitment and, once nothing is at stake any more, the key.
"""

from __future__ import annotations

import hashlib
import hmac
import os


class Secret:
    """A stream of secret numbers under one key; the same key gives the same stream, which is how a run is replayed."""

    def __init__(self, key: bytes | None = None) -> None:
        self.key = key if key is not None else os.urandom(32)
        self._counter = 0

    def renew(self) -> None:
        """A new key, for the next run: the old one may be published."""
        self.key = os.urandom(32)
        self._counter = 0

    @property
    def commitment(self) -> str:
        """sha256 of the key: shown before, checked after."""
        return hashlib.sha256(self.key).hexdigest()

    def seed(self) -> int:
        """The next number, 1 to 2**63 - 1: a generator's seed; 0 means "leave the generator alone"."""
        self._counter += 1
        digest = hmac.digest(self.key, self._counter.to_bytes(8, "big"), "sha256")
        return int.from_bytes(digest[:8], "big") % (2**63 - 1) + 1

    def below(self, bound: int) -> int:
        """The next number, 0 to bound - 1."""
        return self.seed() % bound

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.seed() < probability * 2**63

    def shuffled(self, count: int) -> list[int]:
        """0 to count - 1 in secret order (Fisher-Yates)."""
        order = list(range(count))
        for last in range(count - 1, 0, -1):
            swap = self.below(last + 1)
            order[last], order[swap] = order[swap], order[last]
        return order
