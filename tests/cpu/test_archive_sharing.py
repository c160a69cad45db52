"""Shared files: whole there and back, damaged and hostile ones told entry by entry, nothing of them run."""

import json
import os
import pickle
import random
import resource
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from synthetic_certificates import CREATED, certified, changed, of_kind

from assay.archive import importing
from assay.archive.archive import Outcome
from assay.archive.exporting import export_file
from assay.archive.importing import import_path
from assay.archive.opening import open_archive
from assay.archive.operators import OperatorSignature
from assay.errors import InputError, MachineError
from assay.report.certificate import certificate_bytes
from assay.report.store import save_run

SOFTMAX = OperatorSignature(("aten.softmax.int",), ("float32",), (2,))


@pytest.fixture
def archive(tmp_path):
    return open_archive(str(tmp_path / "archive.db"))


@pytest.fixture
def other(tmp_path):
    return open_archive(str(tmp_path / "other.db"))


def three():
    return [certified(f"k{day}", f"// {day}", created=CREATED + timedelta(days=day)) for day in range(3)]


@pytest.fixture
def shared(archive, tmp_path):
    """A shared file of three kernels, the first with operators."""
    for number, each in enumerate(three()):
        archive.admit(each, SOFTMAX if number == 0 else None)
    path = tmp_path / "kernels.jsonl"
    assert export_file(archive, path) == 3
    return path


def outcomes(report):
    return [each.outcome.value for each in report.entries]


def entry_line(certificate, operators=None):
    return json.dumps({"certificate": certificate, "operators": operators}).encode() + b"\n"


def with_lines(path, *lines, entries=None):
    """A shared file of these lines."""
    heading = json.dumps({"schema": "assay-archive-export", "version": 1}).encode() + b"\n"
    footer = json.dumps({"entries": len(lines) if entries is None else entries}).encode() + b"\n"
    path.write_bytes(heading + b"".join(lines) + footer)
    return path


def test_an_archive_goes_there_and_back_whole(shared, archive, location, monkeypatch, tmp_path):
    """To somebody with another key, onto either database."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "somebody else"))
    target = open_archive(location.replace("archive.db", "target.db"))
    report = import_path(target, shared)
    assert report.whole
    assert outcomes(report) == ["admitted"] * 3
    assert list(target.certificates()) == list(archive.certificates())
    assert [each.signed_by for each in report.entries] == [archive.show(c["identity"]).entry.signed_by for c in three()]
    assert outcomes(import_path(target, shared)) == ["known"] * 3
    again = tmp_path / "again.jsonl"
    export_file(target, again)
    assert again.read_bytes() == shared.read_bytes()


def test_an_empty_archive_is_shared_too(archive, other, tmp_path):
    assert export_file(archive, tmp_path / "empty.jsonl") == 0
    report = import_path(other, tmp_path / "empty.jsonl")
    assert (report.whole, report.entries) == (True, ())


def test_each_entry_is_told_and_a_bad_one_stops_nothing(other, tmp_path):
    good, late = three()[0], three()[1]
    forged = changed(good, seconds=1.0) | {"signature": good["signature"]}
    lines = (
        entry_line(good), entry_line(of_kind("wrong")), entry_line(forged), b"\n", b"{}\n", b"[1, 2]\n", b"null\n",
        b'{"certificate": {}, "certificate": {}, "operators": null}\n',
        b'{"certificate": {"x": NaN}, "operators": null}\n',
        b"[" * 100_000 + b"\n", b"\xff\xfe\n", entry_line(good, {"operators": ["rm -rf"], "dtypes": [], "ranks": []}),
        entry_line([good]), entry_line(good) + b"", pickle.dumps(good).replace(b"\n", b"") + b"\n", entry_line(late),
    )  # fmt: skip
    report = import_path(other, with_lines(tmp_path / "mixed.jsonl", *lines))
    assert outcomes(report) == ["admitted", *["refused"] * 12, "known", "refused", "admitted"]
    assert not report.whole
    assert report.problem == ""
    reasons = [each.reason for each in report.entries]
    assert "says REJECT" in reasons[1]
    assert "does not verify" in reasons[2]
    assert "twice" in reasons[7]
    assert "no operator" in reasons[11]
    assert report.entries[2].place == "line 4"
    assert all(reason for reason, how in zip(reasons, outcomes(report), strict=True) if how == "refused")
    assert len(other.search()) == 2


def test_a_file_that_was_cut_off_is_told_and_its_whole_entries_are_kept(shared, other):
    content = shared.read_bytes()
    for length in (len(content) - 3, content.index(b"\n", len(content) // 2) + 1, len(content) // 2):
        shared.write_bytes(content[:length])
        report = import_path(other, shared)
        assert not report.whole
        assert "cut off" in report.problem
        assert report.entries[0].outcome is not Outcome.REFUSED


def test_a_line_taken_out_or_added_at_the_end_is_told(shared, other):
    lines = shared.read_bytes().splitlines(keepends=True)
    shared.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert "says 3 entries and has 2" in import_path(other, shared).problem
    shared.write_bytes(b"".join([*lines, lines[1]]))
    assert "goes on" in import_path(other, shared).problem


def test_a_changed_byte_anywhere_is_refused_or_means_the_same(shared, other, archive):
    content = shared.read_bytes()
    known = {certificate["identity"]: certificate for certificate, _ in archive.certificates()}
    random.seed(1)
    for position in random.sample(range(60, len(content)), 40):
        altered = bytearray(content)
        altered[position] ^= random.randrange(1, 256)
        shared.write_bytes(bytes(altered))
        import_path(other, shared)
    for certificate, _ in other.certificates():
        assert certificate == known[certificate["identity"]]


def test_a_line_without_end_is_refused_in_bounded_memory(other, tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "MAX_BYTES", 1 << 20)
    good = three()[0]
    path = with_lines(tmp_path / "long.jsonl", b'{"certificate": "' + b"x" * (5 << 20) + b'"}\n', entry_line(good))
    report = import_path(other, path)
    assert outcomes(report) == ["refused", "admitted"]
    assert "longer than 1 MiB" in report.entries[0].reason
    monkeypatch.setattr(importing, "MAX_LINES", 3)
    many = with_lines(tmp_path / "many.jsonl", *[b"{}\n"] * 50)
    assert "more than 3 lines" in import_path(other, many).problem


def test_nothing_in_a_shared_file_is_run(other, tmp_path):
    """What a pickle would do when it is read, and names that an evaluator would follow."""
    witness = tmp_path / "witness"

    class Gadget:
        def __reduce__(self):
            return (os.system, (f"touch {witness}",))

    bomb = pickle.dumps(Gadget(), protocol=0)
    (tmp_path / "bomb.jsonl").write_bytes(bomb)
    assert outcomes(import_path(other, tmp_path / "bomb.jsonl")) == ["refused"]
    line = (
        json.dumps({"certificate": {"__reduce__": f"os.system('touch {witness}')"}, "operators": None}).encode() + b"\n"
    )
    import_path(other, with_lines(tmp_path / "lines.jsonl", line, bomb.replace(b"\n", b" ") + b"\n"))
    assert not witness.exists()
    assert pickle.loads(bomb) == 0, "the gadget works where it is let"
    assert witness.exists()


def test_a_certificate_and_a_folder_of_runs_can_be_imported(other, tmp_path):
    good, wrong = certified(), of_kind("wrong")
    for each in (good, wrong):
        save_run(tmp_path / "runs", each, "page")
    report = import_path(other, tmp_path / "runs")
    assert sorted(outcomes(report)) == ["admitted", "refused"]
    path = tmp_path / "certificate.json"
    path.write_bytes(certificate_bytes(good))
    assert outcomes(import_path(other, path)) == ["known"]


@pytest.mark.parametrize("place", ["nowhere", ".", "/dev/zero", "/proc/self/mem"])
def test_a_place_without_kernels_is_told(other, tmp_path, place, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises((InputError, MachineError)) as caught:
        import_path(other, Path("empty" if place == "." else place))
    assert all((caught.value.what, caught.value.value, caught.value.rule, caught.value.next_step))


def test_junk_is_refused_as_no_certificate(other, tmp_path):
    (tmp_path / "junk").write_bytes(b"\x00" * 5000)
    report = import_path(other, tmp_path / "junk")
    assert "not a certificate" in report.entries[0].reason


def test_a_shared_file_of_a_newer_version_is_refused(other, tmp_path):
    path = tmp_path / "newer.jsonl"
    path.write_text('{"schema": "assay-archive-export", "version": 2}\n{"entries": 0}\n')
    with pytest.raises(InputError, match="newer Assay"):
        import_path(other, path)


def test_an_export_replaces_nothing_and_a_full_disk_leaves_nothing(shared, archive, tmp_path):
    before = shared.read_bytes()
    with pytest.raises(InputError, match="already"):
        export_file(archive, shared)
    assert shared.read_bytes() == before
    target = tmp_path / "small" / "kernels.jsonl"
    with pytest.raises(MachineError, match="cannot be exported"):
        export_file(archive, target)
    target.parent.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(MachineError, match="cannot be exported"):
            export_file(archive, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(target.parent.iterdir()) == []
    assert len(archive.search()) == 3


def test_a_fault_of_the_database_ends_an_import_and_is_no_entrys_fault(shared, tmp_path):
    target = open_archive(str(tmp_path / "locked.db"), busy_s=0.1)
    holder = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(MachineError, match="Another process is writing"):
        import_path(target, shared)
    holder.close()
    assert import_path(target, shared).whole
