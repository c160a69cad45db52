"""A training in a folder of its own, and PyTorch on one thread, so that results repeat."""

import pytest
import torch

from tests.compress.trainings import TRAINING, write


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def training(tmp_path):
    return write(tmp_path, TRAINING)
