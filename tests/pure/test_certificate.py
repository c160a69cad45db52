"""Certificates say everything, survive a round trip, and show every change; runs are there whole or not at all."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from synthetic_judgement import EVERY_KIND, accepted, rejected_as_wrong, undecided

from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.core.verdicts import Finding
from assay.errors import InputError, MachineError
from assay.machine.facts import MachineFacts
from assay.referee.protocol.secret import Secret
from assay.referee.timing.decision import decide
from assay.referee.timing.samples import Triples
from assay.report.absence import null_paths
from assay.report.certificate import certificate_bytes, certificate_identity, make_certificate, read_certificate
from assay.report.evidence import read_overhead, read_samples
from assay.report.schema import LAYOUT
from assay.report.signing import check_signature, key_path, sign
from assay.report.store import list_runs, load_run, remove_leftovers, save_run

CREATED = datetime(2026, 11, 22, 6, 47, 19, tzinfo=UTC)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def certificate(kind="accepted"):
    return make_certificate(EVERY_KIND[kind](), created=CREATED)


def written(tmp_path, data):
    path = tmp_path / "certificate.json"
    path.write_bytes(certificate_bytes(data))
    return path


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_certificate_survives_its_file(tmp_path, kind):
    made = sign(certificate(kind))
    assert read_certificate(written(tmp_path, made)) == made
    assert set(made) == {*LAYOUT, "signature"}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_null_has_a_reason(kind):
    made = certificate(kind)
    assert set(null_paths(made)) == set(made["missing"])
    assert all(reason and reason != "it is not known" for reason in made["missing"].values())


def test_a_judgement_can_be_had_back_from_its_certificate():
    judgement = accepted()
    made = json.loads(certificate_bytes(make_certificate(judgement, created=CREATED)))
    assert Task.from_json(made["task"]) == judgement.task
    assert Candidate.from_json(made["candidate"]) == judgement.candidate
    assert JudgeConfig.from_json(made["config"]) == judgement.config
    facts = {key: value for key, value in made["machine"].items() if key != "identity"}
    assert MachineFacts.from_json(facts) == judgement.machine
    assert Secret(bytes.fromhex(made["secret"]["key"])).commitment == made["secret"]["commitment"]


def test_the_claim_follows_again_from_the_raw_samples():
    judgement = accepted()
    made = json.loads(certificate_bytes(make_certificate(judgement, created=CREATED)))
    raw = read_samples(made)
    assert np.array_equal(raw.wall_ns, Triples.from_samples(judgement.timing.samples).wall_ns)
    assert decide(raw, read_overhead(made)).to_json() == made["claim"]


def test_identity_is_over_everything_else():
    made = certificate()
    assert sign(made)["identity"] == made["identity"] == certificate_identity(made)
    for part in LAYOUT:
        if part != "identity":
            assert certificate_identity({**made, part: "changed"}) != made["identity"]


def test_a_certificate_without_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        make_certificate(accepted(), created=datetime(2026, 1, 1))


def test_what_candidates_say_cannot_break_the_json(tmp_path):
    judgement = rejected_as_wrong("\ud800 lone surrogate \x00 \x1b[31m")
    made = make_certificate(judgement, created=CREATED)
    assert made["findings"][0]["data"]["error_units"] is None
    assert made["missing"]["findings[0].data.error_units"] == "the value was not a finite number"
    assert read_certificate(written(tmp_path, made))["candidate"]["name"].startswith("? lone")
    assert Finding.from_json(made["findings"][0]).code == "wrong-result"


def test_covered_says_only_what_was_done():
    full, wrong, none = (certificate(kind) for kind in ("accepted", "wrong", "unbuilt"))
    assert any("All 331 outputs" in sentence for sentence in full["covered"])
    assert any("240 turns in 10 rounds" in sentence for sentence in full["covered"])
    assert any("up to the failure" in sentence for sentence in wrong["covered"])
    assert "Speed: it was not measured to the end." in wrong["not_covered"]
    assert any("a user of its own" in sentence for sentence in wrong["not_covered"])
    assert none["covered"] == []
    assert any("hypervisor" in sentence for sentence in none["not_covered"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not an object"),
        (b'{"schema": "assay-certificate", "schema": 1}', "a key occurs twice"),
        (b'{"x": NaN}', "not JSON"),
        (b'{"x": 1e999}', "out of range"),
        (b'{"x": 1' + b"0" * 50 + b"}", "out of range"),
        (b'{"schema": "another"}', "This is not a certificate"),
        (b'{"schema": "assay-certificate", "version": "one"}', "no version"),
        (b'{"schema": "assay-certificate", "version": 99}', "newer Assay"),
        (b'{"schema": "assay-certificate", "version": 1}', "is missing"),
        (b'{"schema": "assay-certificate", "version": 1, "x": ' + b"[" * 90 + b"]" * 90 + b"}", "nested"),
    ],
)
def test_a_file_that_is_no_certificate_is_refused_in_clear_words(tmp_path, content, message):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_certificate(path)
    assert message in str(caught.value)
    assert all((caught.value.what, str(path) in caught.value.value, caught.value.rule, caught.value.next_step))


@pytest.mark.parametrize("part", LAYOUT)
def test_a_missing_part_is_named(tmp_path, part):
    made = certificate()
    del made[part]
    with pytest.raises(InputError):
        read_certificate(written(tmp_path, made))


def test_parts_of_another_type_are_refused(tmp_path):
    for part, value in (
        ("right", 1),
        ("seconds", "long"),
        ("findings", {}),
        ("axes", {"rows": 1.5}),
        ("verdict", "OK"),
    ):
        with pytest.raises(InputError, match="damaged"):
            read_certificate(written(tmp_path, {**certificate(), part: value}))


def test_sources_and_samples_must_make_sense(tmp_path):
    made = certificate()
    cut = {name: column[:-1] for name, column in made["timing"]["samples"].items()}
    escaping = {**made["candidate"], "files": [{"path": "../../etc/passwd", "text": ""}]}
    changes = ({"timing": {**made["timing"], "samples": cut}}, {"candidate": escaping}, {"created": "yesterday"})
    for change in changes:
        changed = made | change
        changed["identity"] = certificate_identity(changed)
        with pytest.raises(InputError, match="damaged"):
            read_certificate(written(tmp_path, changed))


def test_half_a_surrogate_pair_is_refused_and_breaks_nothing(tmp_path):
    made = certificate()
    made["task"]["notes"] = ["\ud800"]
    with pytest.raises(InputError, match="damaged"):
        read_certificate(written(tmp_path, made))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        read_certificate(tmp_path / "nowhere.json")
    assert "nowhere.json" in caught.value.value


def test_a_signature_is_known_as_ones_own():
    check = check_signature(sign(certificate()))
    assert (check.valid, check.by_this_machine_user) == (True, True)
    assert check.fingerprint.startswith("SHA256:")
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    assert [path.name for path in key_path().parent.iterdir()] == ["ed25519.pem"]


def test_another_key_signs_validly_but_is_not_ones_own(monkeypatch, tmp_path):
    made = sign(certificate())
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "other"))
    check = check_signature(made)
    assert (check.valid, check.by_this_machine_user) == (True, False)
    assert not key_path().exists(), "checking must not make a key"


def test_an_unsigned_certificate_says_so():
    assert check_signature(certificate()).reason == "it is not signed"


def test_every_changed_part_breaks_the_signature():
    made = sign(certificate())
    for part in LAYOUT:
        assert not check_signature({**made, part: [made[part]]}).valid, part
    signature = made["signature"]
    for name, value in signature.items():
        for other in (value[:-1] + ("0" if value[-1] != "0" else "1"), value.upper(), value + " ", "", None, 7):
            if other != value:
                assert not check_signature({**made, "signature": {**signature, name: other}}).valid, (name, other)
    assert not check_signature({**made, "signature": {**signature, "more": ""}}).valid
    assert not check_signature({**made, "seconds": float("nan")}).valid


def test_a_changed_byte_anywhere_shows_or_means_the_same(tmp_path):
    made = sign(certificate("wrong"))
    content = certificate_bytes(made)
    path = tmp_path / "changed.json"
    rng = np.random.default_rng(1)
    for position in rng.choice(len(content), 400, replace=False):
        changed = bytearray(content)
        changed[position] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(changed))
        try:
            read = read_certificate(path)
        except InputError:
            continue
        assert read == made or not check_signature(read).valid


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_damaged_key_is_told_and_does_not_stop_checking(content):
    made = sign(certificate())
    key_path().write_bytes(content)
    with pytest.raises(MachineError) as caught:
        sign(made)
    assert str(key_path()) in caught.value.value
    assert "move it away" in caught.value.next_step
    assert check_signature(made).valid


def test_a_key_that_others_can_read_is_refused():
    sign(certificate())
    key_path().chmod(0o644)
    with pytest.raises(MachineError, match="read by other users"):
        sign(certificate())


def test_a_saved_run_is_found_and_reads_back(tmp_path):
    folder = tmp_path / "runs"
    made = sign(certificate())
    run = save_run(folder, made, "<!doctype html>")
    assert run.id == f"20261122T064719Z-{made['identity'][:12]}"
    assert save_run(folder, made, "<!doctype html>") == run
    assert list_runs(folder) == (run,)
    assert [path.name for path in folder.iterdir()] == [run.id]
    for name in (run.id, run.id[-6:], "latest"):
        assert load_run(folder, name) == (run, made)


def test_an_unknown_run_lists_the_choices(tmp_path):
    runs = [save_run(tmp_path, certificate(kind), "") for kind in ("accepted", "slow")]
    for wanted in ("nothing", "20261122", "../etc", ""):
        with pytest.raises(InputError) as caught:
            load_run(tmp_path, wanted)
        assert runs[0].id in caught.value.next_step
    assert list_runs(tmp_path / "none") == ()


def test_leftovers_of_the_dead_are_removed_and_the_living_are_left_alone(tmp_path):
    dead, young = tmp_path / ".writing-dead", tmp_path / ".writing-young"
    for path in (dead, young):
        path.mkdir()
        (path / "certificate.json").write_text("{")
    old = time.time() - 3600
    os.utime(dead, (old, old))
    held = tmp_path / ".writing-held"
    held.mkdir()
    code = "import fcntl,os,sys,time;fcntl.flock(os.open(sys.argv[1],0),2);print(1,flush=True);time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(held)], stdout=subprocess.PIPE) as holder:
        holder.stdout.read(1)
        os.utime(held, (old, old))
        assert list_runs(tmp_path) == ()
        assert remove_leftovers(tmp_path) == 1
        assert (dead.exists(), young.exists(), held.exists()) == (False, True, True)
        holder.kill()
    assert remove_leftovers(tmp_path) == 1


def test_a_writer_killed_at_any_moment_leaves_a_store_that_opens(tmp_path):
    made = [make_certificate(rejected_as_wrong(f"candidate {index}"), created=CREATED) for index in range(40)]
    for delay_ms in (1, 3, 6, 10, 20):
        child = os.fork()
        if child == 0:
            try:
                for each in made:
                    save_run(tmp_path, each, "page" * 50_000)
            finally:
                os._exit(0)
        time.sleep(delay_ms / 1000)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for run in list_runs(tmp_path):
            assert load_run(tmp_path, run.id)[1]["identity"].startswith(run.id[-12:])
            assert run.page.stat().st_size == 200_000
    assert save_run(tmp_path, made[0], "page").id in {run.id for run in list_runs(tmp_path)}


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    folder = tmp_path / "runs"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(MachineError) as caught:
            save_run(folder, certificate(), "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(folder) in caught.value.value
    assert "Free some space" in caught.value.next_step
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told():
    for folder in (Path("/proc/1/runs"), Path("/dev/null/runs")):
        with pytest.raises(MachineError, match="cannot be saved"):
            save_run(folder, certificate(), "")


def test_certificates_are_small():
    assert len(certificate_bytes(sign(certificate()))) < 200_000
    assert undecided().timing is not None
