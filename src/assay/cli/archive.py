"""`assay archive search | show | export | import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import assay.archive
from assay.cli.archive_text import render_import, render_kernel, render_matches
from assay.cli.exits import Exit
from assay.cli.output import JsonFlag, print_json
from assay.errors import InputError
from assay.report.progress import ProgressLine

HELP = """Certified kernels: find, read and share them.

The archive is a file among this user's data, or what --archive or ASSAY_ARCHIVE names: a path, or
postgresql://USER@HOST/DATABASE for a team. Only certificates enter that accept and whose signature verifies.

Example: assay archive import runs

Example: assay archive search softmax
"""
SEARCH = """Find kernels, best first.

By words that occur in names or sources, by the operators of a task (likeness 1.0: made of the same), or by both.

Example: assay archive search softmax

Example: assay archive search --operator aten.mm --operator aten.gelu --dtype float32 --rank 2
"""
SHOW = """Show one kernel: what it was certified for, by whom, and its sources.

Its certificate is read and its signature checked again. --json prints the certificate, which assay verify takes.

Example: assay archive show 3f9a
"""
EXPORT = """Write the whole archive to one new file, for others to import.

Example: assay archive export kernels.jsonl
"""
IMPORT = """Bring kernels in: from a shared file, a certificate.json or a folder of runs.

Every signature is verified; nothing in the file is executed. Exit code: 0 all are in, 1 some were refused or the file
is cut off; what was in order is in the archive.

Example: assay archive import kernels.jsonl
"""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
ArchiveOption = Annotated[
    str | None, typer.Option("--archive", metavar="URL", help="Path, sqlite:///PATH or postgresql://...")
]


@app.command("search", help=SEARCH)
def search(
    words: Annotated[list[str] | None, typer.Argument(help="Words; all of them occur.")] = None,
    operator: Annotated[list[str] | None, typer.Option(help="An operator of the task, in order; repeat.")] = None,
    dtype: Annotated[list[str] | None, typer.Option(help="Element type of an argument; repeat.")] = None,
    rank: Annotated[list[int] | None, typer.Option(help="Dimensions of an argument; repeat.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Only this very signature.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 20,
    archive: ArchiveOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Search and print."""
    if not operator and (dtype or rank or exact):
        raise InputError("--dtype, --rank and --exact go with --operator.", next_step="assay archive search --help")
    signature = None
    if operator:
        try:
            signature = assay.archive.OperatorSignature(tuple(operator), tuple(dtype or ()), tuple(rank or ()))
        except ValueError as error:
            raise InputError("This is no operator signature.", value=str(error)) from error
    shelf = assay.archive.open_archive(archive, create=False)
    matches = shelf.search(signature, " ".join(words or ()), exact=exact, limit=limit)
    if as_json:
        print_json({"kernels": [each.entry.to_json() | {"similarity": each.similarity} for each in matches]})
    else:
        render_matches(matches)


@app.command("show", help=SHOW)
def show(
    identity: Annotated[str, typer.Argument(help="The first digits of a certificate's or candidate's identity.")],
    archive: ArchiveOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Find one and print it."""
    found = assay.archive.open_archive(archive, create=False).show(identity)
    if as_json:
        print_json(found.certificate)
    else:
        render_kernel(found.entry, found.candidate)


@app.command("export", help=EXPORT)
def export_(
    path: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
    archive: ArchiveOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Write and say how many."""
    shelf = assay.archive.open_archive(archive, create=False)
    with ProgressLine() as progress:
        count = assay.archive.export_file(shelf, path, progress)
    if as_json:
        print_json({"kernels": count, "path": str(path)})
    else:
        print(f"{path}: {count} certified kernel{'' if count == 1 else 's'}")


@app.command("import", help=IMPORT)
def import_(
    path: Annotated[Path, typer.Argument(help="A shared file, a certificate.json or a folder of runs.")],
    archive: ArchiveOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Admit what may enter, and say of each what became of it."""
    shelf = assay.archive.open_archive(archive)
    with ProgressLine() as progress:
        report = assay.archive.import_path(shelf, path, progress)
    if as_json:
        print_json(report.to_json())
    else:
        render_import(report.to_json())
    raise typer.Exit(Exit.ACCEPTED if report.whole else Exit.REJECTED)
