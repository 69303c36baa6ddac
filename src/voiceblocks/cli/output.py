"""How commands speak: a table or sentence for people, one JSON object for scripts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for scripts.")]

_WIDEST = 10_000

Most = Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")]


def tell(as_json: bool, facts: dict[str, Any], sentence: str) -> None:
    """Print `facts` as JSON, or `sentence`."""
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
    else:
        sys.stdout.write(sentence + "\n")


def tell_rows(
    as_json: bool,
    name: str,
    columns: Sequence[str],
    rows: Iterable[dict[str, Any]],
    **more: Any,
) -> None:
    """
    Print rows as a table, or as `{name: […]}` with what else is told to scripts.

    Nothing is ever cut: a terminal that is too narrow gets a line for each value, and a pipe or
    file, which has no width, the whole table.
    """
    listed = list(rows)
    if as_json:
        sys.stdout.write(json.dumps({**more, name: listed}) + "\n")
        return
    texts = [
        ["" if row[column] is None else str(row[column]) for column in columns] for row in listed
    ]
    console = Console()
    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in texts:
        table.add_row(*map(Text, row))
    wide = console.options.update(max_width=_WIDEST, width=_WIDEST)
    needed = table.__rich_measure__(console, wide).maximum
    if needed <= console.width or not sys.stdout.isatty():
        Console(width=needed, highlight=False).print(table)
        return
    longest = max(map(len, columns))
    for row in texts:
        for column, text in zip(columns, row, strict=True):
            if text:
                sys.stdout.write(f"{column:>{longest}}  {text}\n")
        sys.stdout.write("\n")


def fail(as_json: bool, said: str | Exception) -> NoReturn:
    """Say what is wrong and what to do, and exit with 1."""
    sentence = said if isinstance(said, str) else _sentence_of(said)
    if as_json:
        sys.stdout.write(json.dumps({"error": sentence}) + "\n")
    else:
        sys.stderr.write(f"voiceblocks: {sentence}\n")
    raise typer.Exit(1)


def _sentence_of(error: Exception) -> str:
    """Our own errors are sentences; those of files begin with a number."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read or written: {error.strerror}"
    return str(error)


def read_table(file: Path) -> str:
    """
    Read a file that a spreadsheet wrote.

    Raises:
        ValueError: If it is not in UTF-8, with a sentence.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not in UTF-8: save it again, in Excel as `CSV UTF-8`"
        ) from error


def moment(at_us: int) -> str:
    """A time as people and scripts read it: UTC, to the second."""
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def write_private(path: Path, content: bytes) -> None:
    """
    Write a file that only its owner reads; one that was there is replaced.

    Raises:
        OSError: If it cannot be written.
    """
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
