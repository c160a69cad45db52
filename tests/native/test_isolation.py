"""Probing this machine's isolation layers changes nothing here and leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from assay.errors import InternalError
from assay.machine import isolation, probes
from assay.machine.isolation import IsolationReport, Layer, LayerState, probe_isolation


def namespaces():
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}


def children():
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_every_layer_has_an_answer_with_a_reason_and_nothing_here_changes():
    before = (namespaces(), socket.gethostname(), os.getuid(), children(), len(os.listdir("/proc/self/fd")))
    report = probe_isolation()
    assert [state.layer for state in report.layers] == list(Layer)
    assert all(state.reason for state in report.layers)
    assert (namespaces(), socket.gethostname(), os.getuid(), children(), len(os.listdir("/proc/self/fd"))) == before
    assert "NoNewPrivs:\t0" in Path("/proc/self/status").read_text()
    assert not list(Path("/sys/fs/cgroup").glob("**/assay-probe-*"))


def test_a_report_survives_json():
    report = probe_isolation()
    assert IsolationReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    assert {state.layer for state in report.missing} == {layer for layer in Layer if not report.has(layer)}


def test_a_report_without_every_layer_cannot_be_built():
    with pytest.raises(InternalError):
        IsolationReport((LayerState(Layer.ROOT, True, "alone", {}),))


def test_a_probe_that_hangs_is_killed_and_counts_as_missing(monkeypatch):
    before = children()
    monkeypatch.setitem(isolation._PROBES, Layer.PSI, lambda: time.sleep(60))
    begin = time.monotonic()
    state = probe_isolation(seconds=0.5)[Layer.PSI]
    assert not state.available
    assert "did not answer" in state.reason
    assert time.monotonic() - begin < 10
    assert children() == before


def test_a_probe_that_crashes_counts_as_missing(monkeypatch):
    monkeypatch.setitem(isolation._PROBES, Layer.PSI, lambda: os._exit(1))
    assert not probe_isolation()[Layer.PSI].available


def test_a_refusal_is_reported_with_the_kernels_words(monkeypatch):
    def refuse() -> probes.Found:
        raise PermissionError(1, "unshare(NET): Operation not permitted")

    monkeypatch.setitem(isolation._PROBES, Layer.NET_NAMESPACE, refuse)
    assert probe_isolation()[Layer.NET_NAMESPACE].reason == "unshare(NET): Operation not permitted"
