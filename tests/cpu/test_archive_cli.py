"""The archive on the command line: exit codes, JSON, tables that people can read, clear errors."""

import json
import os
import subprocess
import sys

import pytest
from synthetic_certificates import certified, of_kind

from assay.archive.opening import open_archive
from assay.archive.operators import OperatorSignature
from assay.report.certificate import certificate_bytes
from assay.report.store import save_run


def assay(*arguments, cwd, **environ):
    command = [sys.executable, "-m", "assay.cli.main", "archive", *map(str, arguments)]
    env = {**os.environ, "COLUMNS": "120", **environ}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, timeout=120, stdin=subprocess.DEVNULL, env=env
    )


@pytest.fixture
def home(tmp_path):
    """A folder with an archive in which two kernels are."""
    archive = open_archive(str(tmp_path / "archive.db"))
    softmax = OperatorSignature(("aten.softmax.int",), ("float32",), (2,))
    archive.admit(certified("rows at once", "// \x1b[31m red"), softmax)
    archive.admit(certified("tiles", "// tiles", speedup=2.0), OperatorSignature(("aten.softmax.int", "aten.mm")))
    return tmp_path


def test_a_search_prints_the_best_first_with_its_likeness(home):
    shelf = ("--archive", "archive.db")
    done = assay("search", "--operator", "aten::softmax.int", "--dtype", "float32", "--rank", 2, *shelf, cwd=home)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "Alike" in lines[0]
    assert "1.00" in lines[1]
    assert "rows at once (cpp)" in lines[1]
    assert "tiles" in lines[2]
    assert lines[-1].startswith("2 kernels")
    found = json.loads(assay("search", "TILES", "--json", *shelf, cwd=home).stdout)["kernels"]
    assert [(each["candidate_name"], each["similarity"]) for each in found] == [("tiles", None)]
    assert found[0]["operators"]["operators"] == ["aten.softmax.int", "aten.mm"]
    none = assay("search", "nothing", *shelf, cwd=home)
    assert (none.returncode, none.stdout.splitlines()[-1][:9]) == (0, "0 kernels")


def test_a_kernel_is_shown_with_its_sources_and_its_certificate_can_be_had(home):
    wanted = certified("rows at once", "// \x1b[31m red")
    done = assay("show", wanted["identity"][:9], cwd=home, ASSAY_ARCHIVE=str(home / "archive.db"))
    assert done.returncode == 0, done.stderr
    assert wanted["identity"] in done.stdout
    assert "SHA256:" in done.stdout
    assert "kernel.cpp" in done.stdout
    assert "<U+001B>[31m red" in done.stdout, "what a candidate says cannot move the terminal's cursor"
    as_json = assay("show", wanted["identity"], "--json", "--archive", "archive.db", cwd=home)
    assert json.loads(as_json.stdout) == wanted


def test_kernels_go_from_runs_to_a_file_to_somebody_else(home):
    save_run(home / "runs", certified("of a run", "// run"), "page")
    save_run(home / "runs", of_kind("wrong"), "page")
    done = assay("import", "runs", "--archive", "mine.db", cwd=home)
    assert done.returncode == 1, "one of two was refused"
    assert "admitted" in done.stdout
    assert "says REJECT" in " ".join(done.stdout.split())
    assert "1 admitted, 0 known, 1 refused" in done.stdout
    done = assay("export", "kernels.jsonl", "--archive", "mine.db", cwd=home)
    assert (done.returncode, done.stdout) == (0, "kernels.jsonl: 1 certified kernel\n")
    done = assay("import", "kernels.jsonl", "--archive", "theirs.db", "--json", cwd=home)
    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert (report["admitted"], report["refused"], report["problem"]) == (1, 0, "")
    content = (home / "kernels.jsonl").read_bytes()
    (home / "kernels.jsonl").write_bytes(content[:-5])
    done = assay("import", "kernels.jsonl", "--archive", "theirs.db", cwd=home)
    assert done.returncode == 1
    assert "1 known" in done.stdout
    assert "not whole" in done.stdout


def test_the_archive_without_a_name_is_among_this_users_data(tmp_path):
    (tmp_path / "certificate.json").write_bytes(certificate_bytes(certified()))
    own = {"ASSAY_HOME": str(tmp_path / "home")}
    assert assay("import", "certificate.json", cwd=tmp_path, **own).returncode == 0
    assert (tmp_path / "home" / "data" / "archive.db").is_file()
    assert "1 kernel" in assay("search", cwd=tmp_path, **own).stdout


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["search", "--archive", "nowhere.db"], "no archive here yet", 2),
        (["search", "--archive", "mysql://me:hush@here/x"], "no place for an archive", 2),
        (["search", "--archive", "archive.db", "--operator", "rm -rf"], "no operator", 2),
        (["search", "--archive", "archive.db", "--exact"], "--operator", 2),
        (["search", "--archive", "archive.db", "--limit", "0"], "limit", 2),
        (["show", "zzz", "--archive", "archive.db"], "no identity", 2),
        (["export", "archive.db", "--archive", "archive.db"], "already", 2),
        (["import", "nowhere", "--archive", "archive.db"], "nowhere", 2),
        (["import", "archive.db", "--archive", "/proc/1/x.db"], "/proc/1", 4),
        (["nonsense"], "nonsense", 2),
    ],
)
def test_bad_arguments_are_told_without_a_traceback(home, arguments, words, code):
    done = assay(*arguments, cwd=home)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr


def test_an_error_is_json_where_json_was_asked_for(home):
    done = assay("show", "ffffffffffff", "--archive", "archive.db", "--json", cwd=home)
    assert json.loads(done.stdout)["error"]["what"] == "The archive has no such kernel."


@pytest.mark.parametrize("verb", ["search", "show", "export", "import"])
def test_every_verb_shows_an_example(verb, tmp_path):
    done = assay(verb, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"Example: assay archive {verb}" in done.stdout
    assert "--archive" in done.stdout
