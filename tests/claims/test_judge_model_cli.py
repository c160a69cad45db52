"""`assay judge-model` and `assay verify` as people and programs meet them, from folders to a claim that holds."""

import json

import pytest
from typer.testing import CliRunner

from assay.cli.main import app
from assay.errors import InputError
from assay.report.certificate import certificate_bytes
from tests.claims.models import data_file, folder_of, regression
from tests.claims.synthetic_claims import claimed

SUBJECTS = ("dense", "cheap", "--data", "data.py")


@pytest.fixture
def assay(tmp_path, monkeypatch):
    """The command line in a folder with two models and their data."""
    folder_of(tmp_path / "dense", regression(1024))
    folder_of(tmp_path / "cheap", regression(32))
    data_file(tmp_path / "data.py")
    monkeypatch.chdir(tmp_path)

    def assay(*arguments):
        done = CliRunner().invoke(app, [str(each) for each in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return assay


def test_a_cheaper_model_gets_a_certificate_that_holds_when_it_is_judged_again(assay, tmp_path):
    quick = ("--rounds", 3, "--turns", 2, "--margin", "0.5", "--cost", "size")
    done = assay("judge-model", *SUBJECTS, *quick, "-o", "kept", "--json")
    assert (done.exit_code, json.loads(done.stdout)["verdict"]) == (0, "ACCEPT")
    (run,) = (tmp_path / "kept").iterdir()
    assert sorted(path.name for path in run.iterdir()) == ["certificate.json", "page.html"]
    named = ("--dense", "dense", "--cheap", "cheap", "--data", "data.py")
    again = assay("verify", run / "certificate.json", *named)
    assert (again.exit_code, "ACCEPT again" in again.stdout) == (0, True)
    with pytest.raises(InputError, match="not the dense model"):
        assay("verify", run / "certificate.json", "--dense", "cheap", "--cheap", "dense", "--data", "data.py")
    data_file(tmp_path / "other.py").open("a").write("\n")
    with pytest.raises(InputError, match="not the data"):
        assay("verify", run / "certificate.json", "--dense", "dense", "--cheap", "cheap", "--data", "other.py")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("dense", "nowhere", "--data", "data.py"), "nowhere"),
        (("dense", "cheap", "--data", "nothing.py"), "no such file"),
        ((*SUBJECTS, "--margin", "0"), "margin"),
        ((*SUBJECTS, "--cost", "money"), "no such cost"),
        ((*SUBJECTS, "--seeds", "3"), "fewer seeds"),
    ],
)
def test_bad_input_is_named(assay, arguments, words):
    with pytest.raises(InputError, match=words):
        assay("judge-model", *arguments)


def test_a_forged_claim_is_refused(assay, tmp_path):
    (tmp_path / "forged.json").write_bytes(certificate_bytes(claimed()).replace(b'"ACCEPT"', b'"REJECT"'))
    with pytest.raises(InputError, match="changed after"):
        assay("verify", "forged.json")
