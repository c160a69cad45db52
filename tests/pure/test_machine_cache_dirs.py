"""Where files go, and that they go there whole."""

from __future__ import annotations

import resource
import stat
from pathlib import Path

import pytest

from assay.errors import InputError, MachineError
from assay.machine.cache_dirs import atomic_write, find_dirs


def test_one_variable_moves_everything():
    dirs = find_dirs({"ASSAY_HOME": "/srv/assay", "XDG_CACHE_HOME": "/ignored"})
    assert (dirs.cache, dirs.data) == (Path("/srv/assay/cache"), Path("/srv/assay/data"))
    assert dirs.keys == Path("/srv/assay/data/keys")


def test_xdg_variables_come_next_and_then_the_home_folder():
    assert find_dirs({"XDG_CACHE_HOME": "/c", "HOME": "/h"}).cache == Path("/c/assay")
    dirs = find_dirs({"HOME": "/h", "XDG_DATA_HOME": "relative is to be ignored"})
    assert (dirs.cache, dirs.data) == (Path("/h/.cache/assay"), Path("/h/.local/share/assay"))


def test_a_relative_home_is_refused():
    with pytest.raises(InputError, match="relative"):
        find_dirs({"ASSAY_HOME": "here"})


def test_a_written_file_is_whole_private_and_alone(tmp_path):
    path = tmp_path / "deep" / "file.json"
    atomic_write(path, b"first")
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    atomic_write(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(MachineError) as caught:
            atomic_write(path, b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert str(path) in str(caught.value)
    assert "ASSAY_HOME" in caught.value.next_step


def test_a_place_where_no_folder_can_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MachineError, match="cannot make the folder") as caught:
        atomic_write(tmp_path / "file" / "below", b"x")
    assert str(tmp_path / "file") in caught.value.value
    assert "ASSAY_HOME" in caught.value.next_step


def test_a_folder_in_the_place_of_the_file_is_an_error_and_stays(tmp_path):
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(MachineError, match="cannot write"):
        atomic_write(tmp_path / "taken", b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]
