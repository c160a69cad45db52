"""`python -m benchmarks.devices run [--quick] [--resume]`, or `... report` for docs/devices-results.md.

`run` trains the networks, exports them, and emulates every program with all held-out inputs; it needs the cross
compilers and emulators (Debian: gcc-arm-none-eabi qemu-system-arm gcc-avr avr-libc simavr) and scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from pathlib import Path

import torch

from assay.errors import AssayError
from assay.export.device.toolchain import PACKAGES, require
from benchmarks.devices.measuring import all_devices, measure_network
from benchmarks.devices.networks import NETWORKS, UNSEEDED
from benchmarks.devices.report import render
from benchmarks.referee.results import ROOT, Record, Results, this_processor

DATA = ROOT / "docs" / "data" / "devices"
"""A file for each processor that emulated; only the tools' versions matter to what is in it."""
TABLE = ROOT / "docs" / "devices-results.md"
SEEDS = (0, 1, 2)
ONE_SEED_DEVICES = ("cortex-m3", "cortex-m4")
"""Of which seed 0 is enough: they add nothing but instruction counts and sizes."""


def main() -> int:
    """Run one command. Returns the exit status."""
    arguments = _parse()
    if arguments.command == "report":
        files = sorted(DATA.glob("*.json")) if arguments.json is None else [arguments.json]
        TABLE.write_text(render({file.stem: json.loads(file.read_text()) for file in files}))
        print(f"{TABLE} from {', '.join(file.name for file in files)}")
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    torch.set_num_threads(1)
    try:
        require(*PACKAGES)
        path = arguments.json or DATA / f"{this_processor()}.json"
        with Results(path) as results:
            settings = {"seeds": SEEDS[:1] if arguments.quick else SEEDS, "tools": _versions()}
            with results.begin("devices", settings, arguments.quick, arguments.resume) as record:
                _run(record, arguments.quick)
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the results are kept and --resume goes on", file=sys.stderr)
        return 130
    return 0


def _run(record: Record, quick: bool) -> None:
    names = [name for name in NETWORKS if not quick or name == "life, by hand"]
    jobs = [(name, seed) for name in names for seed in ((0,) if quick or name in UNSEEDED else SEEDS)]
    devices = {seed: [d for d in all_devices() if seed == 0 or d not in ONE_SEED_DEVICES] for seed in SEEDS}
    record.total = 2 * sum(len(devices[seed]) for _, seed in jobs)
    for name, seed in jobs:
        left = tuple(d for d in devices[seed] if not record.has(_row_name(name, seed, 8, d)))
        for row in measure_network(name, seed, left) if left else ():
            title = _row_name(name, seed, row["bits"], row["device"])
            if not record.has(title):
                words = row.get("failed") or f"{row['right']} of {row['decisions']}, {row['flash_bytes']} bytes"
                record.add({"name": title, **row}, words)


def _row_name(network: str, seed: int, bits: int, device: str) -> str:
    return f"{network}, seed {seed}, {bits} bits, {device}"


def _versions() -> dict[str, str]:
    """First lines of what each tool says of itself; simavr has no version to say."""
    found = {}
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm", "avr-gcc"):
        found[tool] = subprocess.run(
            [tool, "--version"], capture_output=True, text=True, check=True
        ).stdout.splitlines()[0]
    return found


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.devices", description=__doc__)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--json", type=Path, help="the file of results (default: this machine's in docs/data/devices)")
    parser.add_argument("--quick", action="store_true", help="the network that needs no training, one seed")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut short")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
