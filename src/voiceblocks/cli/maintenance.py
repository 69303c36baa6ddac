"""`voiceblocks doctor | backup | restore | upgrade`: what an operator does with a whole node."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from voiceblocks.cli.bars import bar
from voiceblocks.cli.output import Json, fail, tell
from voiceblocks.cli.store import open_store
from voiceblocks.database import accounts
from voiceblocks.database.engines import sqlite_path
from voiceblocks.database.migrate import SchemaState, check_schema
from voiceblocks.database.migrate import upgrade as upgrade_schema
from voiceblocks.errors import StartupError, VoiceblocksError
from voiceblocks.server import backup as backups
from voiceblocks.server.doctor import Finding, Verdict, examine, firewall_lines
from voiceblocks.server.folders import is_locked, lock_folder
from voiceblocks.settings import Settings, explain

Folder = Annotated[Path, typer.Argument(metavar="DIR")]

_COLOURS = {Verdict.WELL: "green", Verdict.LOOK: "yellow", Verdict.BAD: "red"}


def doctor(as_json: Json = False) -> None:
    """Check ports, addresses, clock, disk, database, notify URLs; say what to do."""
    settings = _settings(as_json)
    urls: list[str] = []
    if _is_current(settings):
        with open_store(as_json) as store:
            urls = [n.notify_url for n in store.run(accounts.list_numbers) if n.notify_url]
    findings = examine(settings, urls, is_running=is_locked(settings.root))
    lines = firewall_lines(settings)
    bad = sum(one.verdict is Verdict.BAD for one in findings)
    if as_json:
        facts = {"findings": [asdict(one) for one in findings], "firewall": lines, "bad": bad}
        tell(as_json, facts, "")
    else:
        _show(findings, lines, bad)
    if bad:
        raise typer.Exit(1)


def _is_current(settings: Settings) -> bool:
    path = sqlite_path(settings.effective_database_url)
    try:
        exists = path is None or path.exists()
        return exists and check_schema(settings.effective_database_url) is SchemaState.CURRENT
    except VoiceblocksError:
        return False


def _show(findings: list[Finding], lines: list[str], bad: int) -> None:
    table = Table("", "about", "finding", show_header=False, box=None)
    for one in findings:
        table.add_row(Text(one.verdict.value, _COLOURS[one.verdict]), one.about, Text(one.says))
    console = Console()
    console.print(table)
    if lines:
        console.print("\nLines for the firewall:")
        sys.stdout.write("".join(f"  {line}\n" for line in lines))
    console.print(f"\n{bad} to be set right." if bad else "\nNothing must be set right.")


def backup(folder: Folder, as_json: Json = False) -> None:
    """Copy database, secret key and recordings into a new folder; the server may run."""
    settings = _settings(as_json)
    with _progress("Copying", as_json) as progress, _explained(as_json):
        made = backups.make_backup(settings, folder.absolute(), progress)
    sentence = f"{made.n_files} files, {made.n_bytes / 1e6:.1f} MB in {made.folder}: keep it secret"
    tell(as_json, {**asdict(made), "folder": str(made.folder)}, sentence)


def restore(folder: Folder, as_json: Json = False) -> None:
    """Put a backup into an empty data folder; every file is checked first."""
    settings = _settings(as_json)
    with _progress("Checking", as_json) as progress, _explained(as_json):
        found = backups.restore_backup(settings, folder.absolute(), progress)
    sentence = f"The node of {found.made_at} is back in {settings.root}: `voiceblocks serve`"
    tell(as_json, {**asdict(found), "folder": str(found.folder)}, sentence)


def upgrade(as_json: Json = False) -> None:
    """Bring the database to this version's schema; make a backup first, there is no way back."""
    settings = _settings(as_json)
    with _explained(as_json):
        settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = sqlite_path(settings.effective_database_url)
        is_new = path is not None and not path.exists()
        before = SchemaState.EMPTY if is_new else check_schema(settings.effective_database_url)
        if before is not SchemaState.CURRENT:
            # Not beneath a running server: what it writes has the former columns.
            lock = _lock_to_upgrade(settings.root)
            try:
                upgrade_schema(settings.effective_database_url)
            finally:
                os.close(lock)
    sentences = {
        SchemaState.EMPTY: "The tables are made",
        SchemaState.OLDER: "The database is of this version now",
        SchemaState.CURRENT: "The database was of this version already",
    }
    tell(as_json, {"was": before.value}, sentences[before])


def _lock_to_upgrade(root: Path) -> int:
    if is_locked(root):
        raise StartupError(
            f"A server of the older version runs on {root}: stop it first. It upgrades by itself "
            "when it is started again"
        )
    return lock_folder(root)


def _settings(as_json: bool) -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        fail(as_json, "; ".join(explain(error)))


@contextmanager
def _explained(as_json: bool) -> Iterator[None]:
    try:
        yield
    except (VoiceblocksError, OSError) as error:
        fail(as_json, error)


@contextmanager
def _progress(verb: str, as_json: bool) -> Iterator[backups.Progress]:
    with bar(verb, as_json=as_json) as shown:
        task = shown.task_ids[0]
        yield lambda _name, done, total: shown.update(task, completed=done, total=total)
