"""The timed window on plain child processes: it starts, waits for the reply, stops, and leaves nothing changed."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys

import pytest

from assay.native.library import Window, library

ECHO = """
import socket, sys, time
channel = socket.socket(fileno=int(sys.argv[1]))
while packet := channel.recv(100):
    exec(packet.decode())
"""
REPLIED, SILENT, ENDED, _INTERRUPTED, LOG_READY = range(5)


@contextlib.contextmanager
def stopped_child():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    log_read, log_write = os.pipe()
    with ours, theirs:
        command = [sys.executable, "-c", ECHO, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stdout=log_write)
        try:
            ours.send(b"channel.send(b'ready')")
            assert ours.recv(100) == b"ready"
            os.kill(process.pid, signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            yield process, ours, log_read
        finally:
            process.kill()
            process.wait()
            os.close(log_read)
            os.close(log_write)


def window_for(process, channel, log, timeout_s=20.0, threads=()):
    window = Window(process.pid, channel.fileno(), log, len(threads))
    window.threads[: len(threads)] = list(threads)
    window.timeout_ns = int(timeout_s * 1e9)
    return window


def run(window):
    return library().assay_native_window(ctypes.byref(window))


def test_a_reply_ends_the_window_with_the_child_stopped():
    with stopped_child() as (process, channel, log):
        channel.send(b"time.sleep(0.05); channel.send(b'done')")
        window = window_for(process, channel, log)
        assert run(window) == REPLIED
        assert os.WIFSTOPPED(window.status)
        assert channel.recv(100) == b"done"
        assert window.start_ns < window.reply_ns <= window.stop_ns
        assert window.stop_ns - window.start_ns > 0.05e9


def test_silence_ends_at_the_deadline_with_the_child_stopped():
    with stopped_child() as (process, channel, log):
        channel.send(b"time.sleep(30)")
        window = window_for(process, channel, log, timeout_s=0.2)
        assert run(window) == SILENT
        assert os.WIFSTOPPED(window.status)


def test_a_child_that_ends_is_told_from_one_that_answers():
    with stopped_child() as (process, channel, log):
        channel.send(b"sys.exit(3)")
        window = window_for(process, channel, log, timeout_s=1.0)
        assert run(window) == ENDED
        assert os.waitstatus_to_exitcode(window.status) == 3


def test_words_in_the_log_are_handed_over_and_the_window_goes_on():
    with stopped_child() as (process, channel, log):
        channel.send(b"import os; os.write(1, b'words'); time.sleep(1.5); channel.send(b'done')")
        window = window_for(process, channel, log)
        assert run(window) == LOG_READY
        assert os.read(log, 100) == b"words"
        assert run(window) == REPLIED


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has nothing to place")
def test_priority_and_placement_are_what_they_were_once_it_is_over():
    before = os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, os.sched_getaffinity(0)
    with stopped_child() as (process, channel, log):
        channel.send(b"channel.send(b'done')")
        assert run(window_for(process, channel, log, threads=[process.pid])) == REPLIED
        assert os.sched_getaffinity(process.pid) == before[2]
    assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, os.sched_getaffinity(0)) == before
