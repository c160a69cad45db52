"""Readers for the kernel's text files: functions of the text, so that recorded samples of other machines test them.

Formats: proc(5), cgroups(7), the kernel's Documentation/accounting/psi.rst and ABI/testing/sysfs-devices-system-cpu.
What a text does not tell is None; a text of another shape raises ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

_NO_LIMIT_BYTES = 1 << 60
"""cgroup v1 writes "no limit" as the largest page-aligned 63-bit number; nobody has an exbibyte."""

_ARM_IMPLEMENTERS = {"0x41": "Arm", "0x42": "Broadcom", "0x43": "Cavium", "0x46": "Fujitsu", "0x48": "HiSilicon"} | {
    "0x4e": "NVIDIA",
    "0x50": "Ampere",
    "0x51": "Qualcomm",
    "0x61": "Apple",
    "0xc0": "Ampere",
}
"""MIDR_EL1 implementer codes (Arm ARM DDI 0487, D19.2.122)."""

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """What /proc/cpuinfo says of its first processor."""

    model: str | None
    flags: frozenset[str]


@dataclass(frozen=True, slots=True)
class CgroupFolder:
    """A folder of a mounted cgroup hierarchy. `controllers` is empty for version 2, whose folders list their own."""

    version: int
    path: PurePosixPath
    root: PurePosixPath
    controllers: frozenset[str]

    def up_to_root(self) -> tuple[PurePosixPath, ...]:
        """This folder and those above it, up to the mount point: a limit on any of them holds."""
        above = [self.path]
        while above[-1] != self.root:
            above.append(above[-1].parent)
        return tuple(above)


_X86_NUMBERS = (("family", "cpu family"), ("model", "model"), ("stepping", "stepping"))


def parse_cpuinfo(text: str) -> CpuInfo:
    """Model name and flags; for ARM, which has no name, implementer, part and revision.

    Family, model and stepping stand beside the name: a cloud's "AMD EPYC" was Zen 4 on one day and Zen 5 on another,
    with half the speed and other winners.
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    model = fields.get("model name") or fields.get("cpu")
    if model and "cpu family" in fields:
        numbers = (f"{word} {fields.get(key, '?')}" for word, key in _X86_NUMBERS)
        model += f" ({', '.join(numbers)})"
    if not model and "CPU implementer" in fields:
        maker = _ARM_IMPLEMENTERS.get(fields["CPU implementer"].lower(), fields["CPU implementer"])
        model = f"{maker} part {fields.get('CPU part', '?')}"
        model += f" r{fields.get('CPU variant', '?')}p{fields.get('CPU revision', '?')}"
    flags = fields.get("flags") or fields.get("Features") or ""
    return CpuInfo(model or None, frozenset(flags.split()))


def parse_meminfo(text: str) -> Mapping[str, int]:
    """Every size of /proc/meminfo in bytes."""
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        words = value.split()
        if len(words) == 2 and words[1] == "kB":
            sizes[key] = int(words[0]) << 10
    return sizes


def parse_size_bytes(text: str) -> int:
    """A cache size such as 48K or 2M."""
    text = text.strip()
    unit = _UNITS.get(text[-1:])
    return int(text[:-1]) * unit if unit else int(text)


def parse_cpu_list(text: str) -> frozenset[int]:
    """Processor numbers from a list such as 0-3,8."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def parse_chosen(text: str) -> str | None:
    """The word in brackets of a choice such as `always [madvise] never`."""
    return next((word[1:-1] for word in text.split() if word.startswith("[") and word.endswith("]")), None)


def parse_limit(text: str) -> int | None:
    """A cgroup limit in its own unit; None when there is none (`max`, -1, or v1's huge number)."""
    word = text.split()[0]
    if word == "max":
        return None
    number = int(word)
    return number if 0 <= number < _NO_LIMIT_BYTES else None


def parse_quota_cores(text: str) -> float | None:
    """Cores from v2's cpu.max (`quota period`) or the same two numbers of v1; None without a quota."""
    quota, period = text.split()[:2]
    limit = parse_limit(quota)
    return None if limit is None else limit / int(period)


def parse_psi_some(text: str) -> float | None:
    """Share of the last 10 s, 0 to 1, in which some task waited; None when the text has no such line."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == "some":
            values = dict(word.split("=", 1) for word in words[1:])
            return float(values["avg10"]) / 100.0
    return None


def parse_cgroup_folders(own_text: str, mountinfo_text: str) -> tuple[CgroupFolder, ...]:
    """Where /proc/self/cgroup and /proc/self/mountinfo say that this process's cgroups lie, version 1 first.

    A path that lies outside what is mounted, as in a container without a cgroup namespace, becomes the mount point.
    """
    own: dict[str, str] = {}
    for line in own_text.splitlines():
        _, controllers_text, own_path = line.split(":", 2)
        own.update(dict.fromkeys(controllers_text.split(","), own_path))
    folders: list[CgroupFolder] = []
    for line in mountinfo_text.splitlines():
        left, _, right = line.partition(" - ")
        kind, options = right.split(" ")[0], frozenset(right.split(" ")[-1].split(","))
        if kind not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kind == "cgroup2" else 1
        controllers = options & own.keys() if version == 1 else frozenset()
        if version == 1 and not controllers:
            continue
        mounted, point = left.split(" ")[3:5]
        path = _below(own.get(min(controllers, default=""), "/"), mounted, PurePosixPath(point))
        folders.append(CgroupFolder(version, path, PurePosixPath(point), controllers))
    return tuple(sorted(folders, key=lambda folder: folder.version))


def _below(path: str, mounted: str, point: PurePosixPath) -> PurePosixPath:
    """The place of cgroup `path` when the hierarchy's folder `mounted` appears at `point`."""
    try:
        relative = PurePosixPath(path).relative_to(mounted)
    except ValueError:
        return point
    return point if ".." in relative.parts else point / relative
