"""A freshly forked child gives up everything that it will not need, before it touches what it was made for.

Layers are named, tried in order, and reported: a machine that lacks one still works at a lower tier, and says so.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterable

from assay.sandbox import filesystem, landlock, seccomp
from assay.sandbox.policy import Policy
from assay.sandbox.syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUTS,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    drop_capabilities,
    empty_bounding_set,
    prctl,
    unshare,
)

CHILD_NAMESPACES = {"pid": CLONE_NEWPID, "mount": CLONE_NEWNS, "net": CLONE_NEWNET, "ipc": CLONE_NEWIPC,
                    "uts": CLONE_NEWUTS}  # fmt: skip

ALL_LAYERS = (*(f"namespace:{name}" for name in CHILD_NAMESPACES), "minimal-root", "private-scratch", "private-proc",
              "distinct-uid", "no-capabilities", "no-new-privileges", "landlock", "dies-with-referee",
              "limits", "seccomp")  # fmt: skip
"""Every layer, in the order in which it is put on."""


def leave_namespaces() -> list[str]:
    """Unshare what this machine allows; the process namespace takes effect for children. Returns the layers' names."""
    layers = []
    for name, flag in CHILD_NAMESPACES.items():
        try:
            unshare(flag)
        except OSError:
            continue
        layers.append(f"namespace:{name}")
    return layers


def confine(policy: Policy, layers: list[str], base_address_space_bytes: int) -> list[str]:
    """Put every remaining layer on this process, for good. Returns the names of all layers that hold.

    Args:
        policy: what this child may still do.
        layers: those that hold already.
        base_address_space_bytes: what the zygote had mapped; the memory limit is on top of it.
    """
    held = list(layers)
    root = os.geteuid() == 0
    mapped_root = root and _is_mapped()

    def attempt(name: str, step: Callable[[], object]) -> None:
        try:
            ok = step() is not False
        except OSError:
            ok = False
        if ok:
            held.append(name)

    if "namespace:mount" in held:
        attempt("private-scratch", lambda: filesystem.mount_scratch(policy.tmp_bytes))
        attempt("private-proc", filesystem.mount_private_proc)
    empty_bounding_set()
    attempt("distinct-uid", lambda: _become(policy.uid) if root and not mapped_root else False)
    attempt("no-capabilities", drop_capabilities)
    attempt("no-new-privileges", lambda: prctl(PR_SET_NO_NEW_PRIVS, 1))
    attempt("landlock", lambda: _landlock(policy.devices))
    attempt("dies-with-referee", lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
    attempt("limits", lambda: _limits(policy, base_address_space_bytes, own_uid="distinct-uid" in held))
    attempt("seccomp", lambda: _seccomp(policy) if seccomp.supported() else False)
    return held


def _is_mapped() -> bool:
    """Whether uid 0 is root in a user namespace that has no other users."""
    with open("/proc/self/uid_map") as file:
        return file.read().split()[2] == "1"


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Changing uid makes a process undumpable, and /proc/self root's: torch and OpenMP read their own maps.
    prctl(PR_SET_DUMPABLE, 1)


def _landlock(devices: Iterable[str]) -> bool:
    if landlock.abi_version() == 0:
        return False
    landlock.restrict(readable=["/"], writable=[filesystem.SCRATCH, "/dev/null", "/dev/full", "/dev/zero", *devices])
    return True


def _limits(policy: Policy, base_bytes: int, own_uid: bool) -> None:
    bounds = {
        resource.RLIMIT_AS: base_bytes + policy.memory_bytes,
        resource.RLIMIT_CPU: policy.cpu_seconds,
        resource.RLIMIT_NOFILE: policy.max_open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: policy.tmp_bytes,  # shared memory that is passed in counts as a file, too
        resource.RLIMIT_MEMLOCK: 64 << 10,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_NICE: 0,
    }
    if policy.devices:
        del bounds[resource.RLIMIT_AS]
    if own_uid:  # counted per user: for a shared uid it would count the person's own processes
        bounds[resource.RLIMIT_NPROC] = policy.max_threads
    for which, bound in bounds.items():
        resource.setrlimit(which, (bound, bound))


def _seccomp(policy: Policy) -> None:
    seccomp.install(may_create_processes=policy.may_create_processes)
