"""Estimates of energy and battery life, by hand."""

import pytest

from assay.export.device import DEVICES
from assay.export.energy import CELL_COULOMBS, SUPPLIES, Supply, cell_days, inference_joules

PLAIN = Supply("plain", 3.0, 1e6, 1e-3, 1e-6, "made up")


def test_energy_is_time_by_voltage_by_current():
    assert inference_joules(2e6, PLAIN) == pytest.approx(2 * 3.0 * 1e-3)


def test_a_cell_lasts_as_its_charge_does():
    asleep = cell_days(1e6, PLAIN, 0)
    assert asleep == pytest.approx(CELL_COULOMBS / (86_400 * 1e-6))
    assert cell_days(1e6, PLAIN, 86_400) == pytest.approx(CELL_COULOMBS / (86_400 * 1e-3))
    assert cell_days(1e6, PLAIN, 100) == pytest.approx(CELL_COULOMBS / (100 * 1e-3 + 86_300 * 1e-6))


def test_more_work_than_a_day_has_has_no_life():
    assert cell_days(2e6, PLAIN, 86_400) is None


def test_every_supply_is_of_a_device_that_is_measured():
    assert set(SUPPLIES) <= set(DEVICES)
