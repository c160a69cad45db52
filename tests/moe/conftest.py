"""What the tests of mixtures of experts share."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _same_numbers_on_one_thread_and_no_compiled_code_kept():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.compiler.reset()
