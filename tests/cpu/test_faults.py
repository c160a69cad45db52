"""Bad input and faults: whose fault it is, nothing left running, no file left behind, other results untouched."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.core.config import JudgeConfig
from assay.core.verdicts import Verdict
from assay.errors import Fault, TaskError

sys.path.insert(0, str(Path(__file__).parent))
from sources import SCALE, SCALE_KERNEL, codes, native, python, task


def descendants(root):
    """Live processes that descend from `root`, as (pid, start time): a recycled number is another process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] not in "ZX":
                parents[int(entry.name)] = (int(fields[1]), fields[19])
    found = set()
    for pid, (parent, start) in parents.items():
        while parent in parents and parent != root:
            parent = parents[parent][0]
        if parent == root:
            found.add((pid, start))
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("import torch\n", "import torch\nimport no_such_module\n"), "no_such_module"),
        (("def get_inputs", "def other"), "get_inputs"),
        (("torch.tanh(x) * 2", "'words'"), "tensors"),
        (("torch.randn(64, 65)", "torch.randn(64, 65, device='cuda')"), "CUDA"),
        (("torch.tanh(x) * 2", "x.add_(1)"), "changes its own inputs"),
        (("torch.randn(64, 65)", "torch.randn(200000, 200000)"), "too large"),
        (("torch.tanh(x) * 2", "exit(3)"), "SystemExit"),
        (("torch.tanh(x) * 2", "__import__('os')._exit(3)"), "ended its process"),
        (("torch.randn(64, 65)", "torch.randn(int(torch.randint(2, 99, ())), 65)"), "same shapes"),
    ],
)
def test_a_task_that_cannot_be_a_reference_is_the_tasks_fault_and_says_what_to_do(screening, change, words):
    with pytest.raises(TaskError) as caught:
        screening.judge(task(SCALE.replace(*change)), native(SCALE_KERNEL))
    assert words.lower() in str(caught.value).lower()
    assert caught.value.fault is Fault.TASK
    assert caught.value.next_step or caught.value.rule


LOOPS = {
    "forks without end": "for (;;) fork();",
    "allocates without end": "for (;;) std::memset(std::malloc(1 << 26), 1, 1 << 26);",
    "fills the disk": 'FILE* f = fopen("/tmp/full", "w"); std::vector<char> b(1 << 20, 1);'
    " while (f && fwrite(b.data(), 1, b.size(), f) == b.size()) {} for (;;) {}",
    "loops for ever": "for (;;) {}",
    "is killed": "kill(getpid(), SIGKILL); *(volatile int*)0 = 1;",
}


@pytest.mark.parametrize("story", LOOPS)
def test_a_candidate_out_of_control_is_rejected_and_leaves_nothing_running(screening, story):
    kernel = "#include <csignal>\n#include <cstdio>\n#include <unistd.h>\n" + SCALE_KERNEL
    screening.judge(task(SCALE), native(SCALE_KERNEL))  # the task's oracle is running from here on
    before = descendants(os.getpid())
    judgement = screening.judge(task(SCALE), native(kernel.replace("return 0;", LOOPS[story] + " return 0;")))
    assert judgement.verdict is Verdict.REJECT
    assert all(f.fault is Fault.CANDIDATE for f in judgement.findings if f.weight.value == "fatal")
    assert descendants(os.getpid()) <= before
    assert screening.judge(task(SCALE), native(SCALE_KERNEL)).right is True, "other results are untouched"


def test_gigabytes_of_output_are_swallowed_and_do_not_change_the_verdict(screening):
    text = "import torch\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n"
    text += "        print('x' * 20_000_000)\n        return torch.tanh(x) * 2\n"
    judgement = screening.judge(task(SCALE), python(text))
    assert judgement.right is True


def test_a_candidate_that_does_not_compile_gets_the_compilers_own_words(screening):
    judgement = screening.judge(task(SCALE), native(SCALE_KERNEL.replace("float* y", "flaot* y")))
    assert codes(judgement) == {"does-not-build"}
    assert "flaot" in judgement.findings[0].message
    assert "/scratch" not in judgement.findings[0].message


@pytest.mark.parametrize("flag", ["-fplugin=evil.so", "-Wl,--wrap=malloc", "@file", "-include/etc/passwd", "-B/tmp"])
def test_a_flag_that_is_not_on_the_list_is_refused_by_name(screening, flag):
    judgement = screening.judge(task(SCALE), native(SCALE_KERNEL, flags=[flag]))
    assert codes(judgement) == {"does-not-build"}
    assert flag in judgement.findings[0].message


SCRIPT = """
import os, sys, time
from assay.core.config import JudgeConfig
from assay.referee.judge import Referee
sys.path.insert(0, {here!r})
from sources import SCALE, SCALE_KERNEL, native, task
with Referee(JudgeConfig(baseline="eager", budget_s=60)) as referee:
    print("ready", flush=True)
    slow = SCALE_KERNEL.replace("return 0;", "for (volatile int i = 0; i < 99999; i++) {{}} return 0;")
    referee.judge(task(SCALE), native(slow), lambda what, share: print(what, flush=True))
"""


def interruptible():
    """Shells start what they put in the background with interrupts ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_referee_that_ends_at_any_moment_leaves_no_process(how):
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(here=here)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        preexec_fn=interruptible,
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("measuring"):
            break
    time.sleep(0.3)
    started = descendants(process.pid)
    assert len(started) >= 3, "it was measuring, with a zygote, an oracle and parties"
    process.send_signal(how)
    process.wait(timeout=30)
    deadline = time.monotonic() + 10
    while still_there(started) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not still_there(started)


def still_there(processes):
    """Those of the processes that have not ended."""
    alive = set()
    for pid, start in processes:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[19] == start and fields[0] not in "ZX":
            alive.add(pid)
    return alive


def test_settings_that_no_run_can_honour_are_refused():
    with pytest.raises(ValueError, match="seconds"):
        JudgeConfig(budget_s=0)
    with pytest.raises(ValueError, match="negative"):
        JudgeConfig(threads=-1)


@pytest.mark.skipif(os.geteuid() != 0, reason="dropping privileges needs them")
def test_without_privileges_the_tier_is_lower_and_names_what_is_missing(tmp_path):
    code = "from assay.referee.judge import Referee\nwith Referee() as referee: print(referee.isolation().to_json())"
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", sys.executable, "-c", code]
    env = {**os.environ, "ASSAY_HOME": str(tmp_path)}
    found = subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout
    assert "'tier': 'open'" in found
    assert "minimal-root" in found.partition("missing")[2]
