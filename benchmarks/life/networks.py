"""The networks that were found, by name, as files of weights."""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

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
    with safe_open(path, "pt") as file:
        about = file.metadata()
        network = LifeNetwork(int(about["n"]), int(about["m"]))
        network.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118 - it is no mapping
    return network.eval()


def keep(name: str, network: LifeNetwork, folder: Path = NETWORKS) -> None:
    """Write a network under a name."""
    about = {"n": str(network.n), "m": str(network.m)}
    atomic_write(folder / f"{name}{_SUFFIX}", save({k: v.contiguous() for k, v in network.state_dict().items()}, about))
