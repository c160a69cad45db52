"""What goes wrong with databases: told in clear words with whose fault it is, and nothing that was there is lost."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from sqlalchemy import text
from synthetic_certificates import certified

from assay.archive.archive import Outcome
from assay.archive.database import Database, locate
from assay.archive.opening import open_archive
from assay.errors import AssayError, Fault, InputError, MachineError

BIG = "// " + "x" * 300_000


def told(action, words, fault):
    """The error of an action, complete; returns it."""
    with pytest.raises(AssayError) as caught:
        action()
    error = caught.value
    assert words in str(error), error
    assert error.fault is fault, error
    assert all((error.what, error.value, error.rule, error.next_step)), error
    return error


def identities(archive):
    return [certificate["identity"] for certificate, _ in archive.certificates()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archive.db"


def test_a_locked_archive_is_told_after_the_wait_and_works_again(path):
    archive = open_archive(str(path), busy_s=0.2)
    archive.admit(certified("first", "// 1"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    told(lambda: archive.admit(certified("second", "// 2")), "Another process is writing", Fault.MACHINE)
    assert time.monotonic() - started < 5
    told(archive.search, "Another process is writing", Fault.MACHINE)
    holder.execute("ROLLBACK")
    assert archive.admit(certified("second", "// 2")).outcome is Outcome.ADMITTED
    assert len(archive.search()) == 2


def test_who_may_write_says_so_at_the_start(path):
    """Two that read first and then both want to write would wait for each other until both give up."""
    one, two = (Database(locate(str(path)), busy_s=0.1) for _ in range(2))
    with one.writing():
        told(lambda: two.writing().__enter__(), "Another process is writing", Fault.MACHINE)


def test_a_reader_sees_one_state_throughout(postgresql):
    url = postgresql.fresh_database()
    archive = open_archive(url)
    with Database(locate(url)).reading() as connection:
        counts = [connection.execute(text("SELECT count(*) FROM assay_kernels")).scalar_one()]
        archive.admit(certified())
        counts.append(connection.execute(text("SELECT count(*) FROM assay_kernels")).scalar_one())
    assert counts == [0, 0]
    assert len(archive.search()) == 1


def test_readers_do_not_wait_for_a_writer_that_has_not_committed(path):
    archive = open_archive(str(path), busy_s=0.2)
    archive.admit(certified())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert len(archive.search()) == 1
    holder.close()


def test_a_full_disk_is_told_and_what_was_there_stays(path):
    """Once as a file system without room reports it, once as SQLite itself does."""
    archive = open_archive(str(path))
    first = certified("first", "// 1")
    archive.admit(first)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        told(lambda: archive.admit(certified("big", BIG)), "full", Fault.MACHINE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert identities(archive) == [first["identity"]]
    assert archive.admit(certified("big", BIG)).outcome is Outcome.ADMITTED


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full_is_told(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small]
    if subprocess.run(options, capture_output=True).returncode:
        pytest.skip("this container may not mount")
    try:
        archive = open_archive(str(small / "archive.db"))
        first = certified("first", "// 1")
        archive.admit(first)
        told(lambda: archive.admit(certified("big", BIG)), "disk is full", Fault.MACHINE)
        assert identities(archive) == [first["identity"]]
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize("place", ["/proc/1/archive.db", "/dev/null/archive.db", "/sys/archive.db"])
def test_a_folder_that_cannot_be_written_is_told(place):
    error = told(lambda: open_archive(place), "", Fault.MACHINE)
    assert place.rpartition("/")[0] in error.value


def test_a_file_that_may_only_be_read_is_searched_and_not_written(path):
    open_archive(str(path)).admit(certified())
    script = """
import os, sys
from assay.archive import open_archive
from assay.errors import MachineError
archive = open_archive(sys.argv[1], create=False)
archive.search()  # loads what lies where only root may read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
assert len(archive.search()) == 1
(certificate, _), = archive.certificates()
try:
    archive.admit(certificate)
except MachineError as error:
    print(error)
"""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp(prefix="assay-read-only-"))
    try:
        shutil.copy(path, folder / "archive.db")
        folder.chmod(0o755)
        (folder / "archive.db").chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-c", script, folder / "archive.db"], capture_output=True, text=True,
            env={**os.environ, "ASSAY_HOME": str(folder / "home")},
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)
    assert "cannot be opened or written" in done.stdout, done.stderr


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be looked at" * 20, b"\x7fELF" * 600])
def test_a_file_that_is_no_database_is_told_and_left_alone(path, content):
    path.write_bytes(content)
    told(lambda: open_archive(str(path)), "not a database", Fault.USER)
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_told_and_left_alone(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (address TEXT)")
    before = path.read_bytes()
    told(lambda: open_archive(str(path)), "bookmarks", Fault.USER)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "table",
    ["CREATE TABLE assay_archive (version INTEGER)", "CREATE TABLE assay_archive (address TEXT)",
     "CREATE TABLE assay_archive AS SELECT 'new' AS version", "CREATE TABLE assay_archive AS SELECT 0 AS version"],
)  # fmt: skip
def test_a_version_that_is_none_is_told(path, table):
    with sqlite3.connect(path) as other:
        other.execute(table)
    told(lambda: open_archive(str(path)), "not an archive of Assay", Fault.USER)


def test_a_damaged_file_is_told_and_never_crashes(path):
    archive = open_archive(str(path))
    for number in range(3):
        archive.admit(certified(f"{number}", f"// {number}"))
    whole = path.read_bytes()
    seen = set()
    for start in range(100, len(whole), len(whole) // 40):
        path.write_bytes(whole[:start] + b"\xff" * 600 + whole[start + 600 :])
        try:
            found = open_archive(str(path), create=False)
            for match in found.search(text="softmax"):
                found.show(match.entry.identity)
        except InputError as error:
            seen.add(error.what)
    assert "The archive is damaged." in seen
    path.write_bytes(whole[: len(whole) // 2])
    told(lambda: [open_archive(str(path), create=False).certificates().__next__()] * 3, "damaged", Fault.USER)


def test_reading_makes_no_archive(path):
    told(lambda: open_archive(str(path), create=False), "no archive here yet", Fault.USER)
    assert not path.exists()
    path.touch()
    told(lambda: open_archive(str(path), create=False), "no archive here yet", Fault.USER)


def test_a_writer_killed_at_any_moment_leaves_an_archive_that_opens(path):
    made = [certified(f"kernel {number}", f"// {number}") for number in range(30)]
    open_archive(str(path))
    for delay_ms in (5, 15, 30, 60):
        child = os.fork()
        if child == 0:
            try:
                archive = open_archive(str(path))
                for each in made:
                    archive.admit(each)
            finally:
                os._exit(0)
        time.sleep(delay_ms / 1000)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        archive = open_archive(str(path))
        for identity in identities(archive):
            archive.show(identity)
    assert {archive.admit(each).outcome for each in made} <= {Outcome.ADMITTED, Outcome.KNOWN}
    assert len(identities(archive)) == len(made)


def test_the_missing_driver_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MachineError, match="not installed") as caught:
        open_archive("postgresql://me@127.0.0.1/x")
    assert "assay[postgres]" in caught.value.next_step


def test_a_server_that_is_not_there_is_told():
    error = told(lambda: open_archive("postgresql://me:hush@127.0.0.1:1/x"), "cannot be reached", Fault.MACHINE)
    assert "hush" not in str(error)


def test_a_database_and_a_user_that_the_server_does_not_have_are_told(postgresql):
    told(lambda: open_archive(postgresql.url("nowhere")), "refuses this user", Fault.USER)
    url = postgresql.url("postgres").replace("assay@", "nobody:hush@")
    assert "hush" not in str(told(lambda: open_archive(url), "refuses this user", Fault.USER))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_goes_away_is_told_and_what_was_committed_is_there_when_it_comes_back(postgresql, how):
    archive = open_archive(postgresql.fresh_database())
    first, second = certified("first", "// 1"), certified("second", "// 2")
    archive.admit(first)
    postgresql.stop(how)
    try:
        told(lambda: archive.admit(second), "went away", Fault.MACHINE)
        told(archive.search, "went away", Fault.MACHINE)
    finally:
        postgresql.start()
    assert identities(archive) == [first["identity"]]
    assert archive.admit(second).outcome is Outcome.ADMITTED


def test_a_session_that_is_cut_in_the_middle_loses_only_what_was_not_committed(postgresql):
    url = postgresql.fresh_database()
    archive = open_archive(url)
    for number in range(30):
        archive.admit(certified(f"{number}", f"// {number}"))
    stream = archive.certificates()
    next(stream)
    postgresql.run_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                       "AND pid <> pg_backend_pid()", url.rpartition("/")[2])  # fmt: skip
    told(lambda: list(stream), "went away", Fault.MACHINE)
    assert len(identities(archive)) == 30


def test_another_writers_lock_on_a_server_is_told_after_the_wait(postgresql):
    import psycopg

    url = postgresql.fresh_database()
    archive = open_archive(url, busy_s=0.2)
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE assay_kernels IN ACCESS EXCLUSIVE MODE")
        told(lambda: archive.admit(certified()), "Another process is writing", Fault.MACHINE)
        told(archive.search, "Another process is writing", Fault.MACHINE)
        holder.rollback()
    assert archive.admit(certified()).outcome is Outcome.ADMITTED


def test_a_user_who_may_not_write_is_told(postgresql):
    url = postgresql.fresh_database()
    open_archive(url).admit(certified())
    database = url.rpartition("/")[2]
    postgresql.run_sql("DROP ROLE IF EXISTS reader")
    postgresql.run_sql("CREATE ROLE reader LOGIN")
    postgresql.run_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database)
    archive = open_archive(url.replace("assay@", "reader@"), create=False)
    assert len(archive.search()) == 1
    told(lambda: archive.admit(certified("second", "// 2")), "refuses this user", Fault.USER)
    postgresql.run_sql("DROP OWNED BY reader", database)
