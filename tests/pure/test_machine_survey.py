"""Facts read from recorded /proc and /sys trees: a cloud VM, containers of both cgroup versions, an ARM server."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from assay.machine.facts import Cache, MachineFacts
from assay.machine.survey import read_facts

MEMINFO = "MemTotal:       24684092 kB\nMemAvailable:   20000000 kB\n"
CACHES = (
    ("1", "Data", "48K", "0"),
    ("1", "Instruction", "32K", "0"),
    ("2", "Unified", "2048K", "0"),
    ("3", "Unified", "32768K", "0-3"),
)
V1_MOUNT = "35 31 0:32 /docker/80f1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
V1_MOUNT += "36 31 0:33 /docker/80f1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
V2_MOUNT = "29 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def plant(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def plant_machine(root, extra=()):
    files = {
        "proc/cpuinfo": "model name : Xeon\nflags : sse2 avx2 avx512f hypervisor\n",
        "proc/meminfo": MEMINFO,
        "proc/loadavg": "0.58 1.72 0.72 1/100 999\n",
        "proc/pressure/cpu": "some avg10=12.50 avg60=0.92 avg300=0.67 total=17050551\n",
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc kvm-clock\n",
    }
    for index, values in enumerate(CACHES):
        for name, value in zip(("level", "type", "size", "shared_cpu_list"), values, strict=True):
            files[f"sys/devices/system/cpu/cpu0/cache/index{index}/{name}"] = value + "\n"
    plant(root, files | dict(extra))


def test_a_virtual_machine_is_read_whole(tmp_path):
    plant_machine(tmp_path)
    facts = read_facts(tmp_path, affinity={0, 1})
    assert (facts.cpu_model, facts.isa, facts.cores) == ("Xeon", ("avx2", "avx512f"), 2)
    assert facts.caches == (
        Cache(1, "data", 49152, 1),
        Cache(2, "unified", 2 << 20, 1),
        Cache(3, "unified", 32 << 20, 2),
    )
    assert (facts.hypervisor, facts.container, facts.huge_pages) == ("kvm", "none", "madvise")
    assert (facts.load_average, facts.cpu_pressure) == (0.58, 0.125)
    assert facts.memory_total_bytes == 24684092 * 1024
    assert facts.cpu_quota is None
    assert facts.unknown["cpu_quota"].startswith("no quota")


def test_caches_of_all_usable_cores_add_up(tmp_path):
    plant_machine(tmp_path)
    facts = read_facts(tmp_path, affinity={0, 1, 2, 3, 4, 5})
    assert [facts.cache_bytes(level) for level in (1, 2, 3, 4)] == [6 * 49152, 12 << 20, 2 * 32 << 20, None]


def test_a_version_1_container_bounds_memory_and_processors(tmp_path):
    own = "4:memory:/docker/80f1\n2:cpu:/docker/80f1\n"
    limits = {
        "proc/self/cgroup": own,
        "proc/self/mountinfo": V1_MOUNT,
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000\n",
        "sys/fs/cgroup/memory/memory.stat": "cache 1\ntotal_inactive_file 100000000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    plant_machine(tmp_path, limits)
    facts = read_facts(tmp_path, affinity={0})
    assert facts.memory_total_bytes == 1 << 30
    assert facts.memory_available_bytes == (1 << 30) - 400_000_000
    assert (facts.cpu_quota, facts.container) == (1.5, "docker")


def test_in_version_2_the_tightest_limit_on_the_way_up_holds(tmp_path):
    limits = {
        "proc/self/cgroup": "0::/kubepods.slice/pod1\n",
        "proc/self/mountinfo": V2_MOUNT,
        "sys/fs/cgroup/kubepods.slice/pod1/memory.max": "max\n",
        "sys/fs/cgroup/kubepods.slice/pod1/cpu.max": "400000 100000\n",
        "sys/fs/cgroup/kubepods.slice/memory.max": "2147483648\n",
        "sys/fs/cgroup/kubepods.slice/memory.current": "2147483648\n",
        "sys/fs/cgroup/kubepods.slice/cpu.max": "200000 100000\n",
    }
    plant_machine(tmp_path, limits)
    facts = read_facts(tmp_path, affinity={0})
    assert (facts.memory_total_bytes, facts.memory_available_bytes) == (2 << 30, 0)
    assert (facts.cpu_quota, facts.container) == (2.0, "kubernetes")


def test_an_arm_server_without_caches_or_a_hypervisor_flag_says_so(tmp_path):
    features = "Features : asimd asimddp sve bf16\nCPU implementer : 0x41\nCPU part : 0xd40\n"
    plant(tmp_path, {"proc/cpuinfo": features, "proc/meminfo": MEMINFO})
    facts = read_facts(tmp_path, affinity={3})
    assert facts.isa == ("asimd", "asimddp", "bf16", "sve")
    assert facts.caches is None
    assert facts.hypervisor is None
    assert "lists no data cache" in facts.unknown["caches"]
    assert "CONFIG_PSI" in facts.unknown["cpu_pressure"]


def test_an_empty_machine_gives_reasons_and_no_error(tmp_path):
    facts = read_facts(tmp_path, affinity={0})
    assert facts.cpu_model is None
    assert {"cpu_model", "memory_total_bytes", "caches", "load_average", "cpu_pressure"} <= set(facts.unknown)
    assert all(facts.unknown.values())


def test_facts_survive_json(tmp_path):
    plant_machine(tmp_path)
    facts = read_facts(tmp_path, affinity={0, 1})
    assert MachineFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_identity_ignores_load_and_the_last_kilobytes_but_not_cores(tmp_path):
    plant_machine(tmp_path)
    before = read_facts(tmp_path, affinity={0, 1})
    busy = {"proc/loadavg": "8.00 1 1 1/1 1\n", "proc/meminfo": "MemTotal: 24684000 kB\nMemAvailable: 1000 kB\n"}
    plant(tmp_path, busy)
    assert read_facts(tmp_path, affinity={0, 1}).identity == before.identity
    assert read_facts(tmp_path, affinity={0}).identity != before.identity


def test_a_fact_without_a_reason_cannot_be_built(tmp_path):
    data = read_facts(tmp_path, affinity={0}).to_json()
    with pytest.raises(ValueError, match="without a reason"):
        MachineFacts.from_json(data | {"unknown": {}})


def test_reading_facts_does_not_import_torch():
    code = "import sys; from assay.machine.survey import read_facts; read_facts(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
