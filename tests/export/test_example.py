"""The example in the checkout: a network of 19 parameters that computes the Game of Life, in any form."""

from pathlib import Path

import pytest
import torch

from assay.core.own_file import import_own_file
from assay.export.exporting import Data, ExportSettings, export_c99

EXAMPLE = import_own_file(Path(__file__).parents[2] / "examples" / "life.py")


def test_it_is_right_on_all_neighbourhoods():
    cells = EXAMPLE.example_inputs()
    around, alive = cells.sum((1, 2, 3)) - cells[:, 0, 1, 1], cells[:, 0, 1, 1] == 1
    expected = (around == 3) | ((around == 2) & alive)
    assert torch.equal((EXAMPLE.make_model()(cells) > 0.5).flatten(), expected)


@pytest.mark.parametrize("bits", [8, 32])
def test_its_programs_decide_as_it_does(bits):
    cells = EXAMPLE.example_inputs()
    found = export_c99(EXAMPLE.make_model(), Data(cells, cells), ExportSettings("life", bits, True, True))
    assert (found.agreement.inputs, found.agreement.other_decisions) == (512, 0)
