"""`assay`: the verbs, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import json
import signal
import sys
import traceback
from types import FrameType

import typer
from rich.console import Console
from typer.exceptions import TyperException

from assay.cli import archive, audit, build, compress, doctor, export, judge, judge_model, optimize, runs, tasks, verify
from assay.cli.exits import BY_FAULT, Exit
from assay.errors import AssayError, InputError

app = typer.Typer(
    name="assay",
    help="Makes AI models cheaper to run and to train, and proves it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("optimize", help=optimize.HELP)(optimize.optimize)
app.command("compress", help=compress.HELP)(compress.compress)
app.command("judge", help=judge.HELP)(judge.judge)
app.command("judge-model", help=judge_model.HELP)(judge_model.judge_model)
app.command("audit", help=audit.HELP)(audit.audit)
app.command("build", help=build.HELP)(build.build)
app.command("verify", help=verify.HELP)(verify.verify)
app.command("runs", help=runs.RUNS_HELP)(runs.runs)
app.command("show", help=runs.SHOW_HELP)(runs.show)
app.command("compare", help=runs.COMPARE_HELP)(runs.compare)
app.command("export", help=export.HELP)(export.export)
app.command("tasks", help=tasks.HELP)(tasks.tasks)
app.command("doctor", help=doctor.HELP)(doctor.doctor)
app.add_typer(archive.app, name="archive", help=archive.HELP)


def main() -> None:
    """Run a verb and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = app(prog_name="assay", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else Exit.ACCEPTED)
    except TyperException as error:
        _report(InputError(str(error) or type(error).__name__, next_step="assay --help, assay VERB --help"))
        sys.exit(Exit.BAD_INPUT)
    except AssayError as error:
        _report(error)
        sys.exit(BY_FAULT[error.fault])
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted; nothing was left running", file=sys.stderr)
        sys.exit(Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the edge of the program: what no one expected is a defect of ours
        traceback.print_exc()
        print(f"\nThis is a defect of Assay, not of your task or candidate: {error}", file=sys.stderr)
        sys.exit(Exit.OWN_FAULT)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    """A polite end asked for from outside takes the same way as the keyboard's, so that everything is closed."""
    raise KeyboardInterrupt


def _report(error: AssayError) -> None:
    if "--json" in sys.argv:
        fields = {"what": error.what, "value": error.value, "rule": error.rule, "next": error.next_step}
        print(json.dumps({"error": fields | {"fault": error.fault.value}}))
        return
    console = Console(stderr=True)
    console.print(f"error ({error.fault.value}): ", style="bold red", end="", markup=False)
    console.print(str(error), markup=False, highlight=False)


if __name__ == "__main__":
    main()
