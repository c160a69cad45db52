"""A PostgreSQL server of the tests' own: on loopback, in a temporary folder, as an unprivileged user, no service."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

NOBODY = 65534
"""PostgreSQL refuses to run as root."""


def find_binaries():
    """The newest installed server's folder of programs; None where none is installed."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


class Server:
    """`start`, `stop`, `drop_off` (as if the power went) and fresh databases."""

    def __init__(self, binaries):
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="assay-postgres-"))
        self._as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as_user:
            os.chown(self._folder, NOBODY, NOBODY)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process = None
        self._count = 0
        options = ("--auth=trust", "--username=assay", "--no-sync", "--encoding=UTF8", "--locale=C")
        self._run("initdb", "-D", self._folder / "data", *options)

    def _run(self, program, *arguments):
        command = [self._binaries / program, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, timeout=120, **self._as_user)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        options = (f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        command = [self._binaries / "postgres", "-D", self._folder / "data"]
        command += [part for option in options for part in ("-c", option)]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder, **self._as_user)
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.05)

    def stop(self, how=signal.SIGINT):
        """SIGINT ends every session and leaves the files in order, SIGQUIT is as if the power went."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None

    def close(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def url(self, database):
        return f"postgresql://assay@127.0.0.1:{self.port}/{database}"

    def run_sql(self, statement, database="postgres"):
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def fresh_database(self):
        """The URL of a database of its own."""
        self._count += 1
        self.run_sql(f"CREATE DATABASE archive{self._count}")
        return self.url(f"archive{self._count}")
