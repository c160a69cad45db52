"""Databases for the archive's tests: a file for each, and one PostgreSQL server for all that need one."""

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "pure"))


@pytest.fixture(scope="session")
def postgresql():
    """A running server of the tests' own."""
    module = importlib.import_module("postgres_server")
    binaries = module.find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    server = module.Server(binaries)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request, tmp_path):
    """Where an archive can be made, on each kind of database."""
    if request.param == "sqlite":
        return str(tmp_path / "archive.db")
    return request.getfixturevalue("postgresql").fresh_database()
