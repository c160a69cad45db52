"""An exported package: its own test passes without Assay, and what cannot be exported is said."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_certificates import CREATED, accepted, of_kind

from assay.applied.export import export_package
from assay.core.sources import Language
from assay.errors import InputError
from assay.report.certificate import make_certificate
from assay.report.signing import sign
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task

ROOT = Path(__file__).parents[2]


def softmax_certificate():
    judgement = replace(
        accepted(1.6), task=load_task("softmax"), candidate=load_candidate(ROOT / "examples/softmax.cpp")
    )
    return sign(make_certificate(judgement, created=CREATED))


def test_the_packages_own_test_passes_without_assay(tmp_path):
    made = export_package(softmax_certificate(), tmp_path / "made", "fast_softmax")
    assert sorted(path.name for path in made.iterdir()) == ["README.md", "fast_softmax", "pyproject.toml", "tests"]
    sources = "".join(path.read_text() for path in made.rglob("*.py"))
    assert "import assay" not in sources
    assert "from assay" not in sources
    environment = os.environ | {"PYTHONPATH": str(made), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(made / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 1


def test_what_cannot_be_exported_is_said(tmp_path):
    good = softmax_certificate()
    (tmp_path / "there").mkdir()
    python = replace(accepted(1.6).candidate, language=Language.PYTHON)
    in_python = sign(make_certificate(replace(accepted(1.6), candidate=python), created=CREATED))
    for certificate, folder, name, words in (
        (of_kind("wrong"), "made", "", "accept"),
        (in_python, "made", "", "C++"),
        (good, "there", "", "exists"),
        (good, "made", "2 fast", "package name"),
    ):
        with pytest.raises(InputError) as raised:
            export_package(certificate, tmp_path / folder, name)
        assert words in f"{raised.value.what} {raised.value.rule}", raised.value
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]
