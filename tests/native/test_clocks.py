"""The clocks on live processes: exact once stopped, whoever owns the process, exited threads included."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.machine import clocks

SPIN = """
import os, sys, threading, time
if sys.argv[1] == "nobody":
    os.setresuid(65534, 65534, 65534)
def spin(seconds):
    begin = time.thread_time()
    while time.thread_time() - begin < seconds:
        pass
past = threading.Thread(target=spin, args=(0.1,))
past.start()
past.join()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print(time.process_time_ns(), flush=True)
sys.stdin.readline()
spin(0.15)
print(time.process_time_ns(), flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def spinning(user="same"):
    command = [sys.executable, "-c", SPIN, user]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
    for tid in os.listdir(f"/proc/{pid}/task"):  # the stop is reported just before the last thread leaves its core
        while Path(f"/proc/{pid}/task/{tid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.0005)


def ask_as_user(user, question):
    """The answer, a number, that a forked child gets after it has become another user."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresuid(user, user, user)
        os.write(writer, str(question()).encode())
        os._exit(0)
    os.close(writer)
    answer = os.read(reader, 100)
    os.close(reader)
    os.waitpid(child, 0)
    return int(answer)


def test_a_childs_cpu_clock_agrees_with_its_own_and_is_never_above_wall():
    with spinning() as child, clocks.ProcessReader(child.pid) as reader:
        own_before = int(child.stdout.readline())
        before = reader.sample()
        child.stdin.write("\n")
        child.stdin.flush()
        own_after = int(child.stdout.readline())
        stop(child.pid)
        passed = reader.sample().since(before)
        assert passed.cpu_ns == pytest.approx(own_after - own_before, rel=0.05)
        assert passed.cpu_ns <= passed.wall_ns
        assert passed.cpu_ns + passed.run_delay_ns == pytest.approx(passed.wall_ns, rel=0.25)
        assert own_before > 100_000_000, "the exited thread counts"


def test_a_stopped_process_uses_no_time():
    with spinning() as child, clocks.ProcessReader(child.pid) as reader:
        child.stdout.readline()
        child.stdin.write("\n")
        child.stdin.flush()
        stop(child.pid)
        before = reader.sample()
        time.sleep(0.05)
        passed = reader.sample().since(before)
        assert (passed.cpu_ns, passed.run_delay_ns, passed.slices) == (0, 0, 0)
        assert before.threads == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user's process")
def test_another_users_process_can_be_read_by_a_user_without_rights():
    with spinning("nobody") as child:
        child.stdout.readline()
        assert ask_as_user(12345, lambda: clocks.process_cpu_ns(child.pid)) > 100_000_000
        assert ask_as_user(12345, lambda: clocks.run_delay_ns(child.pid)) >= 0


def test_threads_that_come_and_go_are_noticed():
    with spinning() as child, clocks.ProcessReader(child.pid) as reader:
        child.stdout.readline()
        assert reader.sample().threads == 2
    code = (
        "import threading, time\n"
        "print(flush=True); input()\n"
        "end = threading.Event(); thread = threading.Thread(target=end.wait); thread.start()\n"
        "print(flush=True); input()\n"
        "end.set(); thread.join()\n"
        "print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        child.stdout.readline()
        with clocks.ProcessReader(child.pid) as reader:
            seen = [reader.sample()]
            for _ in range(2):
                child.stdin.write("\n")
                child.stdin.flush()
                child.stdout.readline()
                seen.append(reader.sample())
            child.kill()
    assert [sample.threads for sample in seen[:2]] == [1, 2]
    # join() returns just before the kernel has taken the thread off its list
    assert seen[2].threads + seen[2].lost_threads == 2


def test_a_process_that_has_gone_is_an_error_everywhere():
    with spinning() as child:
        child.stdout.readline()
        reader = clocks.ProcessReader(child.pid)
    for read in (reader.sample, lambda: clocks.process_cpu_ns(child.pid), lambda: clocks.run_delay_ns(child.pid)):
        with pytest.raises(ProcessLookupError):
            read()
    reader.close()
    reader.close()


def test_readers_leave_no_open_files():
    before = len(os.listdir("/proc/self/fd"))
    with spinning() as child:
        child.stdout.readline()
        for _ in range(10):
            clocks.run_delay_ns(child.pid)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_referees_clock_goes_forward():
    assert clocks.monotonic_raw_ns() < clocks.monotonic_raw_ns()
