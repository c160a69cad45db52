"""Data sets of Debian's packages: found where they are installed or cached, and a clear error where they are not."""

import gzip
import struct

import pytest
import torch

from assay.datasets import packages
from assay.datasets.fashion_mnist import PACKAGE, fashion_mnist, read_idx
from assay.datasets.packages import file_of_package
from assay.errors import InputError, MachineError


def idx(path, values, kind=8, shape=None):
    shape = shape or values.shape
    header = struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape)
    path.write_bytes(gzip.compress(header + values.numpy().tobytes()))
    return path


def test_without_a_network_or_apt_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="cannot be fetched") as caught:
        file_of_package("no-such-package", "usr/share/nothing", ", or give --text FILE")
    assert "apt-get install no-such-package" in caught.value.next_step
    assert "--text FILE" in caught.value.next_step


def test_a_package_in_the_cache_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    monkeypatch.setattr(packages, "_fetch", lambda *_: pytest.fail("fetched"))
    kept = tmp_path / "cache" / "packages" / "some-package" / "file.gz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"here")
    assert file_of_package("some-package", "usr/share/file.gz").read_bytes() == b"here"


def test_a_fetched_file_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))

    def fetch(_package, folder, _otherwise):
        (folder / "usr").mkdir()
        (folder / "usr" / "file").write_bytes(b"content")
        return folder

    monkeypatch.setattr(packages, "_fetch", fetch)
    path = file_of_package("some-package", "usr/file")
    assert path.read_bytes() == b"content"
    assert path.is_relative_to(tmp_path / "home")


def test_an_idx_file_is_read_with_its_shape(tmp_path):
    values = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    assert read_idx(idx(tmp_path / "x.gz", values)).equal(values)


@pytest.mark.parametrize("spoil", ["not gzip", "cut", "other type", "other shape"])
def test_a_damaged_idx_file_names_the_package(tmp_path, spoil):
    values = torch.arange(24, dtype=torch.uint8)
    path = idx(tmp_path / "x.gz", values, 9 if spoil == "other type" else 8, (25,) if spoil == "other shape" else None)
    if spoil == "not gzip":
        path.write_bytes(b"plain")
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(InputError) as caught:
        read_idx(path)
    assert PACKAGE in caught.value.next_step


def test_there_are_two_parts_of_fashion_mnist():
    with pytest.raises(InputError, match="no such part"):
        fashion_mnist("validation")
