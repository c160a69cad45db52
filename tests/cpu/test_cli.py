"""The command line as people and programs meet it: exit codes, JSON, files, clear errors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "examples" / "softmax.cpp"


def assay(*arguments, cwd=None, timeout=240):
    command = [sys.executable, "-m", "assay.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=timeout, stdin=subprocess.DEVNULL)


def test_a_screening_writes_a_signed_run_that_can_be_read_again(tmp_path):
    done = assay("judge", "softmax", KERNEL, "--screen", "--baseline", "eager", "--json", cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    certificate = json.loads(done.stdout)
    assert certificate["verdict"] == "INCONCLUSIVE"
    assert certificate["right"] is True
    (run,) = (tmp_path / "runs").iterdir()
    assert sorted(p.name for p in run.iterdir()) == ["certificate.json", "page.html"]
    assert json.loads((run / "certificate.json").read_text()) == certificate
    assert "INCONCLUSIVE" in (run / "page.html").read_text()


def test_a_changed_certificate_does_not_verify_and_nothing_of_it_is_run(tmp_path):
    assay("judge", "softmax", KERNEL, "--screen", "--baseline", "eager", cwd=tmp_path)
    (path,) = tmp_path.glob("runs/*/certificate.json")
    path.write_text(path.read_text().replace('"INCONCLUSIVE"', '"ACCEPT"', 1))
    done = assay("verify", path)
    assert done.returncode in (1, 2)
    assert "changed" in done.stderr + done.stdout


def test_a_wrong_candidates_witness_is_repeated_from_its_certificate(tmp_path):
    """With live weights that change between calls, so that the witness needs the very weights it was found with."""
    text = (ROOT / "tests" / "kernels" / "layer_norm.cpp").read_text()
    wrong = text.replace("assay_weight<float>(call, 0)", "assay_weight<float>(call, 1)", 1)
    assert wrong != text
    (tmp_path / "wrong.cpp").write_text(wrong)
    done = assay("judge", "layer_norm", "wrong.cpp", "--screen", "--baseline", "eager", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    (path,) = tmp_path.glob("runs/*/certificate.json")
    (finding,) = [f for f in json.loads(path.read_text())["findings"] if f["code"] == "wrong-result"]
    shown = json.loads(assay("verify", path, "--json").stdout)
    assert shown["holds"] == "holds"
    assert shown["verdict_here"] is None, "the witness alone decides"
    got = finding["message"].partition("got ")[2].partition(",")[0]
    assert f"got {got}," in shown["witness"], (finding["message"], shown["witness"])


def test_a_candidate_that_does_not_build_is_rejected_on_the_terminal(tmp_path):
    bad = tmp_path / "bad.cpp"
    bad.write_text('extern "C" int assay_kernel(const assay_call* c) { return nonsense; }\n')
    done = assay("judge", "softmax", bad, "--screen", cwd=tmp_path)
    assert done.returncode == 1
    assert "REJECT" in done.stdout
    assert "nonsense" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["judge", "softmx", KERNEL], "softmax"),
        (["judge", "softmax", "no-such.cpp"], "no-such.cpp"),
        (["judge", "softmax", KERNEL, "--budget", "-1"], "3600"),
        (["judge", "softmax", KERNEL, "--threads", "1000"], "threads"),
        (["judge", "softmax", KERNEL, "--baseline", "magic", "--screen"], "magic"),
        (["judge"], "task"),
        (["judge", "softmax", KERNEL, "--nonsense"], "--nonsense"),
        (["verify", "no-such.json"], "no-such.json"),
        (["audit", "no/such/file.py"], "no/such/file.py"),
    ],
)
def test_bad_arguments_exit_2_and_name_the_value(arguments, words, tmp_path):
    done = assay(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_errors_are_json_where_json_was_asked_for(tmp_path):
    done = assay("judge", "softmx", KERNEL, "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["fault"] == "user"


def test_every_verb_shows_an_example():
    for verb in ("judge", "audit", "verify", "tasks", "doctor", "archive"):
        done = assay(verb, "--help")
        assert done.returncode == 0
        assert f"Example: assay {verb}" in done.stdout


def test_the_built_in_tasks_are_listed():
    done = assay("tasks", "--json")
    names = [task["name"] for task in json.loads(done.stdout)["tasks"]]
    assert len(names) >= 30
    assert "softmax" in names


def test_an_audit_of_a_sound_task_exits_0(tmp_path):
    done = assay("audit", "softmax", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Sound" in done.stdout or "Tightened" in done.stdout


def test_the_doctor_names_the_layers_and_the_tier():
    done = assay("doctor", "--quick", "--json")
    found = json.loads(done.stdout)
    assert found["isolation"]["tier"] in ("sealed", "confined", "open")
    assert found["machine"]["cores"] >= 1
