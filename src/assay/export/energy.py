"""What an inference takes from a battery: an estimate, from cycles and from figures in data sheets.

Not measured: the wake-up before an inference, whatever senses the inputs and sends the outputs, how the cell ages. The
current of a data sheet is that of its own test program; another program may take a third more or less.
"""

from __future__ import annotations

from dataclasses import dataclass

SECONDS_A_DAY = 86_400
CELL_COULOMBS = 0.225 * 3600
"""Of a CR2032: a nominal capacity of 225 mAh at 3 V, down to 2.0 V (Panasonic, data sheet of the CR2032)."""


@dataclass(frozen=True, slots=True)
class Supply:
    """A processor's currents, in amperes, at a voltage and a frequency; `source` says where they stand."""

    name: str
    volts: float
    hertz: float
    active_amperes: float
    sleep_amperes: float
    source: str


SUPPLIES = {
    "cortex-m0plus": Supply(
        # STM32L051x6/x8, data sheet of March 2016, first page: 88 uA/MHz in Run mode, 0.8 uA in Stop mode with the
        # real-time clock and 8 KB of RAM kept; VDD 3.0 V. It is the maker's best figure, of Range 3, which ends at
        # 4.2 MHz; at 4 MHz the flash has no wait states.
        "STM32L051", 3.0, 4e6, 4 * 88e-6, 0.8e-6, "88 µA/MHz (the data sheet's best figure), asleep 0.8 µA, 3 V, 4 MHz",
    ),
    "atmega328p": Supply(
        # Atmel-8271H, table 29-12, typical at 25 degrees: active 4 MHz, VCC = 3 V: 1.7 mA; power-down, watchdog timer
        # enabled (it is what wakes the processor), VCC = 3 V: 4.2 uA.
        "ATmega328P", 3.0, 4e6, 1.7e-3, 4.2e-6, "1.7 mA at 4 MHz and 3 V, asleep 4.2 µA (typical)",
    ),
}  # fmt: skip
"""Of the devices whose cycles are known."""


def inference_joules(cycles: float, supply: Supply) -> float:
    """Estimated energy of one inference: its time x voltage x active current."""
    return cycles / supply.hertz * supply.volts * supply.active_amperes


def cell_days(cycles: float, supply: Supply, inferences_a_day: float) -> float | None:
    """Estimated life of a CR2032 in days, asleep between inferences; None where a day is too short for them.

    Without the cell's self-discharge, which ends any life beyond about ten years.
    """
    busy = inferences_a_day * cycles / supply.hertz
    if busy > SECONDS_A_DAY:
        return None
    return CELL_COULOMBS / (busy * supply.active_amperes + (SECONDS_A_DAY - busy) * supply.sleep_amperes)
