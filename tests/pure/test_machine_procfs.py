"""The kernel's text files, as recorded on four kinds of machine."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from assay.machine import procfs

XEON = """processor	: 0
vendor_id	: GenuineIntel
cpu family	: 6
model		: 143
model name	: Intel(R) Xeon(R) Processor
stepping	: 8
flags		: fpu sse2 hypervisor avx2 fma avx512f avx512_vnni
bugs		: spectre_v1

processor	: 1
model name	: another
flags		: none
"""
GRAVITON = """processor	: 0
BogoMIPS	: 243.75
Features	: fp asimd evtstrm aes asimdhp asimddp sve i8mm bf16
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x1
CPU part	: 0xd40
CPU revision	: 1
"""
V1_CGROUP = """9:name=systemd:/
8:pids:/
4:memory:/docker/80f1
2:cpu,cpuacct:/docker/80f1
0::/
"""
V1_MOUNTS = """31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 /docker/80f1 /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:11 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/80f1 /sys/fs/cgroup/memory ro,nosuid master:15 - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
"""
V2_MOUNTS = "29 22 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_an_x86_model_and_flags_come_from_the_first_processor():
    cpu = procfs.parse_cpuinfo(XEON)
    assert cpu.model == "Intel(R) Xeon(R) Processor (family 6, model 143, stepping 8)"
    assert {"avx512_vnni", "hypervisor"} <= cpu.flags
    assert "none" not in cpu.flags


def test_an_arm_processor_without_a_name_is_told_by_its_part():
    cpu = procfs.parse_cpuinfo(GRAVITON)
    assert cpu.model == "Arm part 0xd40 r0x1p1"
    assert {"asimd", "sve", "bf16"} <= cpu.flags


def test_an_empty_cpuinfo_is_unknown_and_not_an_empty_name():
    assert procfs.parse_cpuinfo("") == procfs.CpuInfo(None, frozenset())


def test_memory_sizes_are_bytes():
    sizes = procfs.parse_meminfo("MemTotal:       24684092 kB\nMemAvailable:   24114220 kB\nHugePages_Total:       0\n")
    assert sizes == {"MemTotal": 24684092 * 1024, "MemAvailable": 24114220 * 1024}


@pytest.mark.parametrize(("text", "size"), [("48K\n", 49152), ("2M", 2097152), ("266240K", 272629760), ("512", 512)])
def test_cache_sizes_are_bytes(text, size):
    assert procfs.parse_size_bytes(text) == size


@pytest.mark.parametrize(("text", "cpus"), [("0-1\n", {0, 1}), ("0,4-6", {0, 4, 5, 6}), ("7", {7}), ("\n", set())])
def test_processor_lists_are_expanded(text, cpus):
    assert procfs.parse_cpu_list(text) == cpus


def test_the_chosen_word_is_the_one_in_brackets():
    assert procfs.parse_chosen("always [madvise] never\n") == "madvise"
    assert procfs.parse_chosen("always madvise never") is None


@pytest.mark.parametrize(
    ("text", "limit"), [("max\n", None), ("9223372036854771712\n", None), ("-1", None), ("1073741824\n", 1 << 30)]
)
def test_all_ways_to_write_no_limit_are_none(text, limit):
    assert procfs.parse_limit(text) == limit


@pytest.mark.parametrize(("text", "cores"), [("max 100000\n", None), ("150000 100000\n", 1.5), ("-1 100000", None)])
def test_a_processor_quota_is_in_cores(text, cores):
    assert procfs.parse_quota_cores(text) == cores


def test_pressure_is_a_share():
    text = "some avg10=80.39 avg60=47.36 avg300=15.21 total=71252110\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    assert procfs.parse_psi_some(text) == pytest.approx(0.8039)
    assert procfs.parse_psi_some("full avg10=0.00\n") is None


def test_a_version_1_container_finds_its_folders_where_they_are_mounted():
    folders = procfs.parse_cgroup_folders(V1_CGROUP, V1_MOUNTS)
    by_controller = {name: folder for folder in folders for name in folder.controllers}
    assert by_controller["memory"].path == PurePosixPath("/sys/fs/cgroup/memory")
    assert by_controller["cpu"].path == PurePosixPath("/sys/fs/cgroup/cpu,cpuacct")
    assert all(folder.version == 1 for folder in folders)


def test_a_version_2_scope_is_below_its_mount_and_limits_above_it_count():
    (folder,) = procfs.parse_cgroup_folders("0::/user.slice/app.scope\n", V2_MOUNTS)
    assert folder.version == 2
    assert folder.up_to_root() == (
        PurePosixPath("/sys/fs/cgroup/user.slice/app.scope"),
        PurePosixPath("/sys/fs/cgroup/user.slice"),
        PurePosixPath("/sys/fs/cgroup"),
    )


def test_a_path_outside_the_cgroup_namespace_becomes_the_mount_point():
    (folder,) = procfs.parse_cgroup_folders("0::/../../outside\n", V2_MOUNTS)
    assert folder.path == PurePosixPath("/sys/fs/cgroup")
    (bound,) = procfs.parse_cgroup_folders("0::/elsewhere\n", V2_MOUNTS.replace("0:26 / ", "0:26 /kubepods/pod1 "))
    assert bound.path == PurePosixPath("/sys/fs/cgroup")
