"""What all lanes share: a home of their own for caches and keys, and one referee that many tests use."""

import os

import pytest

from assay.core.config import Depth, JudgeConfig


@pytest.fixture(scope="session", autouse=True)
def assay_home(tmp_path_factory):
    """Caches and keys in a folder that goes with the session, so that no test meets another run's."""
    folder = tmp_path_factory.mktemp("assay-home")
    os.environ["ASSAY_HOME"] = str(folder)
    yield folder
    del os.environ["ASSAY_HOME"]


@pytest.fixture(scope="session")
def screening(assay_home):
    """A referee that screens: every check of correctness, too few processes for a claim about speed."""
    from assay.referee.judge import Referee

    with Referee(JudgeConfig(depth=Depth.SCREEN, baseline="eager", call_timeout_s=5.0)) as referee:
        yield referee
