"""Reads the facts of this machine from /proc, /sys and a few tools, in 8-15 ms, without importing torch.

Every reading may fail on its own: what cannot be read becomes None and its reason, and the rest is still told.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from assay.machine import procfs
from assay.machine.facts import Cache, MachineFacts

ISA_FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx_vnni_int8"),
    *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx512vbmi"),
    *("amx_tile", "amx_bf16", "amx_int8", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)
"""Flags of /proc/cpuinfo (x86, then ARM) that change which kernel is fastest."""

_COMPILER_SECONDS = 2.0
"""`g++ -dumpfullversion` takes 5 ms here."""

_CLOCK_SOURCES = {"kvm-clock": "kvm", "hyperv_clocksource_tsc_page": "hyper-v", "xen": "xen"}
"""Clock sources that only a guest of that hypervisor lists (found on Firecracker, which has no DMI tables)."""

_DMI_VENDORS = {"QEMU": "kvm", "Amazon EC2": "kvm", "Google": "kvm", "VMware": "vmware", "Xen": "xen"} | {
    "Microsoft Corporation": "hyper-v",
    "innotek GmbH": "virtualbox",
    "Parallels": "parallels",
}
"""/sys/class/dmi/id/sys_vendor of virtual machines (systemd, src/basic/virt.c)."""

_CONTAINER_MARKS = {"kubepods": "kubernetes", "docker": "docker", "libpod": "podman", "lxc": "lxc"}
"""Words in the cgroup path of a container's processes, most telling first."""

T = TypeVar("T")


class _UnknownError(Exception):
    """A reading that this machine does not give; the message is the reason."""


class _Tree:
    """The files below a root, and the reasons of those readings that failed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.unknown: dict[str, str] = {}

    def text(self, path: str | PurePosixPath) -> str:
        return (self.root / str(path).lstrip("/")).read_text(errors="replace")

    def text_or_none(self, path: str | PurePosixPath) -> str | None:
        try:
            return self.text(path)
        except OSError:
            return None  # absent on this kind of machine; the caller goes on to the next source

    def exists(self, path: str) -> bool:
        return (self.root / path.lstrip("/")).exists()

    def known(self, name: str, read: Callable[[], T]) -> T | None:
        """The result of a reading, or None and its reason."""
        try:
            return read()
        except _UnknownError as error:
            self.unknown[name] = str(error)
        except OSError as error:
            self.unknown[name] = f"{error.filename}: {error.strerror}"
        except (ValueError, KeyError, IndexError) as error:
            self.unknown[name] = f"unreadable: {type(error).__name__}: {error}"
        return None


def read_facts(root: Path = Path("/"), affinity: Iterable[int] | None = None) -> MachineFacts:
    """The facts of this machine; it raises nothing.

    `root` stands in for / and `affinity` for the processors that this process may use, so that recorded /proc and /sys
    trees can be read; tools and Python are always this machine's.
    """
    tree = _Tree(root)
    usable = frozenset(os.sched_getaffinity(0) if affinity is None else affinity)
    cpu = tree.known("cpu_model", lambda: procfs.parse_cpuinfo(tree.text("/proc/cpuinfo")))
    if cpu is not None and cpu.model is None:
        tree.unknown["cpu_model"] = "/proc/cpuinfo names no model"
    flags = cpu.flags if cpu else frozenset()
    folders = tree.known("cgroups", lambda: _cgroups(tree)) or ()
    return MachineFacts(
        machine=platform.machine(),
        cpu_model=cpu.model if cpu else None,
        isa=tuple(flag for flag in ISA_FLAGS if flag in flags),
        cores=len(usable),
        cpu_quota=tree.known("cpu_quota", lambda: _cpu_quota(tree, folders)),
        memory_total_bytes=tree.known("memory_total_bytes", lambda: _memory_total(tree, folders)),
        memory_available_bytes=tree.known("memory_available_bytes", lambda: _memory_available(tree, folders)),
        caches=tree.known("caches", lambda: _caches(tree, usable)),
        kernel=platform.release(),
        hypervisor=tree.known("hypervisor", lambda: _hypervisor(tree, flags)),
        container=tree.known("container", lambda: _container(tree)),
        huge_pages=tree.known("huge_pages", lambda: _huge_pages(tree)),
        glibc=tree.known("glibc", _glibc),
        python=platform.python_version(),
        torch=tree.known("torch", _torch),
        gxx=tree.known("gxx", _gxx),
        load_average=tree.known("load_average", lambda: float(tree.text("/proc/loadavg").split()[0])),
        cpu_pressure=tree.known("cpu_pressure", lambda: _cpu_pressure(tree)),
        unknown=tree.unknown,
    )


def _cgroups(tree: _Tree) -> tuple[procfs.CgroupFolder, ...]:
    return procfs.parse_cgroup_folders(tree.text("/proc/self/cgroup"), tree.text("/proc/self/mountinfo"))


def _cpu_quota(tree: _Tree, folders: tuple[procfs.CgroupFolder, ...]) -> float:
    quotas: list[float] = []
    for folder in folders:
        for path in folder.up_to_root():
            text = tree.text_or_none(path / "cpu.max")
            quota, period = tree.text_or_none(path / "cpu.cfs_quota_us"), tree.text_or_none(path / "cpu.cfs_period_us")
            if text is None and quota is not None and period is not None:
                text = f"{quota.strip()} {period.strip()}"
            cores = procfs.parse_quota_cores(text) if text else None
            if cores is not None:
                quotas.append(cores)
    if not quotas:
        raise _UnknownError("no quota: no cgroup of this process bounds its processor time")
    return min(quotas)


def _memory_total(tree: _Tree, folders: tuple[procfs.CgroupFolder, ...]) -> int:
    total = procfs.parse_meminfo(tree.text("/proc/meminfo"))["MemTotal"]
    return min([total, *(limit for limit, _ in _memory_limits(tree, folders))])


def _memory_available(tree: _Tree, folders: tuple[procfs.CgroupFolder, ...]) -> int:
    """The least of what the kernel can give and what each limit leaves; file pages not in use can be dropped."""
    free = procfs.parse_meminfo(tree.text("/proc/meminfo"))["MemAvailable"]
    return max(0, min([free, *(limit - used for limit, used in _memory_limits(tree, folders))]))


def _memory_limits(tree: _Tree, folders: tuple[procfs.CgroupFolder, ...]) -> list[tuple[int, int]]:
    """Limit and memory in use of every cgroup above this process that has a limit."""
    limits: list[tuple[int, int]] = []
    for folder in folders:
        names = ("memory.max", "memory.current", "inactive_file")
        if folder.version == 1:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        for path in folder.up_to_root():
            text = tree.text_or_none(path / names[0])
            limit = procfs.parse_limit(text) if text else None
            if limit is None:
                continue
            stat = dict(line.split(" ", 1) for line in (tree.text_or_none(path / "memory.stat") or "").splitlines())
            limits.append((limit, int(tree.text(path / names[1])) - int(stat.get(names[2], 0))))
    return limits


def _caches(tree: _Tree, usable: frozenset[int]) -> tuple[Cache, ...]:
    folder = f"/sys/devices/system/cpu/cpu{min(usable)}/cache"
    caches: list[Cache] = []
    index = 0
    while tree.exists(f"{folder}/index{index}/size"):
        at = f"{folder}/index{index}"
        kind = tree.text(f"{at}/type").strip().lower()
        sharing = procfs.parse_cpu_list(tree.text(f"{at}/shared_cpu_list")) & usable
        if kind != "instruction":
            level, size = int(tree.text(f"{at}/level")), procfs.parse_size_bytes(tree.text(f"{at}/size"))
            caches.append(Cache(level, kind, size, max(1, len(sharing))))
        index += 1
    if not caches:
        raise _UnknownError(f"{folder} lists no data cache with its size")
    return tuple(sorted(caches, key=lambda cache: cache.level))


def _hypervisor(tree: _Tree, flags: frozenset[str]) -> str:
    """`none` only where the processor itself would show one (the x86 flag)."""
    vendor = (tree.text_or_none("/sys/class/dmi/id/sys_vendor") or "").strip()
    sources = (tree.text_or_none("/sys/devices/system/clocksource/clocksource0/available_clocksource") or "").split()
    named = [_DMI_VENDORS[vendor]] if vendor in _DMI_VENDORS else []
    named += [_CLOCK_SOURCES[source] for source in sources if source in _CLOCK_SOURCES]
    named += (tree.text_or_none("/sys/hypervisor/type") or "").split()
    if named:
        return named[0]
    if "hypervisor" in flags:
        return "unnamed"
    if "sse2" in flags:
        return "none"
    raise _UnknownError("no DMI vendor or clock source names one, and this processor has no flag for it")


def _container(tree: _Tree) -> str:
    """The engine's name, `unnamed`, or `none` when nothing speaks of one (an engine can hide itself)."""
    text = tree.text("/proc/self/cgroup")
    for word, name in _CONTAINER_MARKS.items():
        if word in text:
            return name
    told = (tree.text_or_none("/run/systemd/container") or "").strip()
    if told:
        return told
    marks = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
    return next((name for path, name in marks.items() if tree.exists(path)), "none")


def _huge_pages(tree: _Tree) -> str:
    chosen = procfs.parse_chosen(tree.text("/sys/kernel/mm/transparent_hugepage/enabled"))
    if chosen is None:
        raise _UnknownError("transparent_hugepage/enabled marks no choice")
    return chosen


def _cpu_pressure(tree: _Tree) -> float:
    try:
        share = procfs.parse_psi_some(tree.text("/proc/pressure/cpu"))
    except OSError as error:
        raise _UnknownError(f"/proc/pressure/cpu: {error.strerror}; the kernel lacks CONFIG_PSI or psi=1") from error
    if share is None:
        raise _UnknownError("/proc/pressure/cpu has no line for `some`")
    return share


def _glibc() -> str:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError) as error:
        raise _UnknownError("the C library is not glibc") from error
    if not name:
        raise _UnknownError("the C library does not tell its version")
    return name.removeprefix("glibc ")


def _torch() -> str:
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError as error:
        raise _UnknownError("torch is not installed for this Python") from error


def _gxx() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise _UnknownError("no g++ on PATH")
    try:
        command = [compiler, "-dumpfullversion", "-dumpversion"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILER_SECONDS, check=True)
    except subprocess.SubprocessError as error:
        raise _UnknownError(f"{compiler} does not tell its version: {error}") from error
    return done.stdout.strip()
