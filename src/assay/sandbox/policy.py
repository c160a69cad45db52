"""What a confined child may do and use, as data that travels to the zygote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

FIRST_UID = 61_184
"""systemd's range for dynamic users, 61184-65519, which no distribution gives to people (systemd.io/UIDS-GIDS)."""
LAST_UID = 65_519


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of one confined child. Memory in bytes, times in seconds."""

    uid: int
    may_create_processes: bool = False
    memory_bytes: int = 4 << 30
    """Address space beyond what the zygote already had."""
    tmp_bytes: int = 256 << 20
    """Size of the private scratch folder, which is memory too."""
    cpu_seconds: int = 600
    """A last resort behind the referee's own deadlines."""
    max_threads: int = 256
    max_open_files: int = 256
    devices: tuple[str, ...] = ()
    """Device files that it may use. A GPU's driver reserves address space by the terabyte, so where there are any,
    address space is not limited."""

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for the wire and the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Policy:
        """The inverse of `to_json`."""
        return cls(**({f.name: data[f.name] for f in fields(cls)} | {"devices": tuple(data["devices"])}))
