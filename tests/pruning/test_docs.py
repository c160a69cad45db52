"""The examples of docs/pruning.md run as they stand, one after another."""

import re
from pathlib import Path

import torch

from tests.pruning.models import chain, vectors

DOCS = Path(__file__).parents[2] / "docs" / "pruning.md"


def test_every_example_of_the_documentation_runs():
    torch.manual_seed(0)
    batches, model = vectors(64), chain(64, 64, 64, 3)

    def accuracy(model):
        x, targets = batches.get_batch(1000)
        return float((model(x).argmax(1) == targets).float().mean())

    def make_optimizer(model):
        return torch.optim.Adam(model.parameters(), 0.01)

    names = {"model": model, "loss": batches.loss, "steps": 60,
             "get_batch": batches.get_batch, "make_optimizer": make_optimizer, "accuracy": accuracy,
             "example": torch.randn(2, 64)}  # fmt: skip
    examples = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert len(examples) >= 6
    optimizer = make_optimizer(model)
    for number in range(100):  # pruning in rounds begins with a model that holds
        batches.loss_of(model, number).backward()
        optimizer.step()
        optimizer.zero_grad()
    for example in examples:
        exec(compile(example, str(DOCS), "exec"), names)
