"""Who may enter, where the archive lies, and whose fault a database's error is."""

import sqlite3
import subprocess
import sys

import pytest
from sqlalchemy.exc import OperationalError
from synthetic_certificates import certified, changed, of_kind

from assay.archive.admission import check_admissible
from assay.archive.database import describe, locate
from assay.archive.faults import explain
from assay.errors import Fault, InputError
from assay.report.certificate import certificate_bytes, parse_certificate


def test_a_signed_accept_may_enter_and_reads_back_as_it_was():
    certificate = certified()
    checked = check_admissible(certificate, "here")
    assert checked.certificate == parse_certificate(certificate_bytes(certificate), "here") == certificate
    assert checked.signed_by.startswith("SHA256:")


def refusal(certificate):
    with pytest.raises(InputError) as caught:
        check_admissible(certificate, "line 7")
    error = caught.value
    assert all((error.what, error.rule, error.next_step)), error
    assert error.value.startswith("line 7")
    return str(error)


@pytest.mark.parametrize("kind", ["wrong", "slow", "unbuilt", "undecided"])
def test_a_verdict_other_than_accept_may_not_enter(kind):
    certificate = of_kind(kind)
    assert f"says {certificate['verdict']}" in refusal(certificate)


def test_an_unsigned_or_altered_certificate_may_not_enter():
    certificate = certified()
    assert "it is not signed" in refusal({k: v for k, v in certificate.items() if k != "signature"})
    faster = {**certificate["speedup"], "ratio": 9.0, "upper": 10.0}
    assert "changed after it was written" in refusal(certificate | {"speedup": faster})
    other = changed(certificate, speedup=faster)
    assert "not what was signed" in refusal(other | {"signature": certificate["signature"]})


def test_a_forged_accept_that_contradicts_itself_may_not_enter():
    wrong, good = of_kind("wrong"), certified()
    assert "'wrong-result' forbids" in refusal(changed(wrong, verdict="ACCEPT"))
    assert "outputs were right" in refusal(changed(good, right=None))
    assert "screening" in refusal(changed(good, config={**good["config"], "depth": "screen"}))
    assert "above 1" in refusal(changed(good, speedup={**good["speedup"], "lower": 0.99}))
    assert "above 1" in refusal(changed(good, speedup=None))
    assert "no evidence" in refusal(changed(good, timing=None))


@pytest.mark.parametrize("junk", [{}, {"verdict": "ACCEPT"}, {"x": float("nan")}, {"x": object()}, {"x": "\ud800"}])
def test_what_is_no_certificate_may_not_enter(junk):
    assert "not a certificate" in refusal(junk)


def test_the_archive_is_where_one_says_else_where_the_environment_says_else_among_the_data(tmp_path):
    environ = {"ASSAY_HOME": str(tmp_path), "ASSAY_ARCHIVE": str(tmp_path / "team.db")}
    assert describe(locate("kernels.db", environ)).endswith("/kernels.db")
    assert describe(locate(None, environ)) == str(tmp_path / "team.db")
    assert describe(locate(None, {"ASSAY_HOME": str(tmp_path)})) == str(tmp_path / "data" / "archive.db")
    assert describe(locate(f"sqlite:///{tmp_path}/a.db", {})).startswith(str(tmp_path))
    for scheme in ("postgres", "postgresql", "postgresql+psycopg2"):
        assert locate(f"{scheme}://me@here/kernels", {}).drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    "location",
    ["mysql://me:hush@here/x", "http://me:hush@here", "sqlite://", "sqlite:///:memory:", "://", "sqlite:///file:x?uri=true",
     "postgresql://me:hush@here:port/x", "nonsense://me:hush@"],
)  # fmt: skip
def test_another_place_is_refused_and_no_password_is_shown(location):
    with pytest.raises(InputError) as caught:
        locate(location, {})
    assert "postgresql://" in caught.value.rule
    assert "hush" not in str(caught.value)


def test_what_is_shown_of_a_url_holds_no_password():
    shown = describe(locate("postgresql://me:hush@here:5433/kernels?password=hush&sslmode=require", {}))
    assert "here:5433/kernels" in shown
    assert "hush" not in shown


class ServerError(Exception):
    """As psycopg's errors look: a SQLSTATE, and words."""

    def __init__(self, state, words="x"):
        super().__init__(words)
        self.sqlstate = state


@pytest.mark.parametrize(
    ("state", "words", "fault"),
    [
        ("53100", "disk is full", Fault.MACHINE), ("55P03", "did not finish in time", Fault.MACHINE),
        ("57P01", "went away", Fault.MACHINE), ("53300", "went away", Fault.MACHINE),
        ("08006", "went away", Fault.MACHINE),
        ("28P01", "refuses this user", Fault.USER), ("42501", "refuses this user", Fault.USER),
        ("3D000", "refuses this user", Fault.USER), ("XX001", "damaged", Fault.USER),
        ("42601", "does not know", Fault.ASSAY),
    ],
)  # fmt: skip
def test_a_servers_states_are_told_in_clear_words(state, words, fault):
    error = explain(OperationalError("SELECT 1", {}, ServerError(state)), "here")
    assert words in error.what
    assert error.fault is fault
    assert all((error.value.startswith("here"), error.rule, error.next_step))


def test_the_primary_code_of_a_sqlite_error_decides():
    original = sqlite3.OperationalError("disk I/O error")
    original.sqlite_errorcode = 10 | (3 << 8)  # SQLITE_IOERR_WRITE
    assert "disk" in explain(OperationalError("INSERT", {}, original), "here").what


def test_the_command_line_loads_no_database_before_it_needs_one():
    code = "import sys, assay, assay.archive, assay.cli.main; assert not {'sqlalchemy', 'psycopg'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
