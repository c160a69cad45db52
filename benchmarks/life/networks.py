"""The networks that were found, by name, as files of weights."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save

from assay.errors import InputError
from assay.machine.cache_dirs import atomic_write
from benchmarks.life.network import LifeNetwork
from benchmarks.life.record import DATA

NETWORKS = DATA / "networks"
_SUFFIX = ".safetensors"


def names(folder: Path = NETWORKS) -> list[str]:
    """All that are kept."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in folder.glob(f"*{_SUFFIX}"))


def load(name: str, folder: Path = NETWORKS) -> LifeNetwork:
    """A network by name. Raises InputError for an unknown one."""
    path = folder / f"{name}{_SUFFIX}"
    if not path.exists():
        raise InputError("there is no such network", value=name, rule=f"one of {', '.join(names(folder)) or 'none'}")
    state = load_file(path)
    n = (len(state) - 2) // 4
    network = LifeNetwork(n, state[f"layers.{4 * n}.weight"].shape[1])
    network.load_state_dict(state)
    return network.eval()


def keep(name: str, network: LifeNetwork, folder: Path = NETWORKS) -> None:
    """Write a network under a name, readable by everyone; the same network gives the same bytes."""
    path = folder / f"{name}{_SUFFIX}"
    atomic_write(path, save(dict(network.state_dict())))
    path.chmod(0o644)
