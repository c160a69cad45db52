"""`python -m benchmarks.referee [SUITE...] [--json FILE] [--quick] [--resume]`, or `... report` for the scoreboard."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks.referee.report import render
from benchmarks.referee.results import ROOT, Results
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.suites import a_a, conventional, costs, exploits, honest, known_ratio, mutants, resolution

SUITES: tuple[Suite, ...] = (
    exploits.SUITE, mutants.SUITE, honest.SUITE, a_a.SUITE, known_ratio.SUITE, resolution.SUITE, costs.SUITE,
    conventional.SUITE,
)  # fmt: skip
REPORT = "report"
DATA = ROOT / "docs" / "data" / "referee.json"
SCOREBOARD = ROOT / "docs" / "scoreboard.md"


def main() -> int:
    """Run the suites asked for, all of them by default, or write the report. Returns the exit status."""
    arguments = _parse()
    if REPORT in arguments.suites:
        text = render(Results(arguments.json, writing=False).data)
        arguments.output.write_text(text)
        print(f"{arguments.output}: {len(text.splitlines())} lines from {arguments.json}")
        return 0
    # A shell's background jobs ignore interrupts, and the default end by SIGTERM would leave processes behind.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [suite for suite in SUITES if not arguments.suites or suite.name in arguments.suites]
    try:
        with Results(arguments.json) as results:
            print(f"{', '.join(s.name for s in chosen)} into {arguments.json}", flush=True)
            return _run(chosen, results, Context(quick=arguments.quick), arguments.resume)
    except BlockingIOError:
        print(f"another run is writing {arguments.json}; wait for it or name another file", file=sys.stderr)
        return 1


def _run(chosen: Sequence[Suite], results: Results, context: Context, resume: bool) -> int:
    failed = False
    for suite in chosen:
        try:
            with results.begin(suite.name, dict(suite.settings), context.quick, resume) as record:
                suite.run(context, record)
        except KeyboardInterrupt:
            print(f"\ninterrupted in {suite.name}; its results are kept and --resume goes on", file=sys.stderr)
            return 130
        except Exception:  # noqa: BLE001 - a suite that breaks is incomplete and says so; the others still run
            failed = True
            results.data["suites"][suite.name]["broken"] = traceback.format_exc()[-2000:]
            results.save()
            traceback.print_exc()
    return int(failed)


def _parse() -> argparse.Namespace:
    names = [suite.name for suite in SUITES]
    minutes = ", ".join(f"{suite.name} {suite.minutes:.0f}" for suite in SUITES)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.referee", description=__doc__, epilog=f"Minutes on two quiet cores: {minutes}."
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(names)} (default: all), or {REPORT}")
    parser.add_argument("--json", type=Path, help="where the results go (default: docs/data/referee.json)")
    parser.add_argument("--output", type=Path, default=SCOREBOARD, help="where the report goes")
    parser.add_argument("--quick", action="store_true", help="a few cases each, into a temporary file by default")
    parser.add_argument("--resume", action="store_true", help="go on with suites that were cut short")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - {*names, REPORT}
    if unknown:
        parser.error(f"unknown suite {', '.join(sorted(unknown))}; choose from {', '.join([*names, REPORT])}")
    if arguments.json is None:
        arguments.json = Path(tempfile.gettempdir()) / "assay-referee-quick.json" if arguments.quick else DATA
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
