"""`voiceblocks cache`: what is kept of speech and custom audio, and how to be rid of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from voiceblocks.adapters.cache_folder import (
    LEFTOVER_S,
    SPARED_S,
    CacheEntry,
    delete,
    list_entries,
)
from voiceblocks.cli.bars import shown
from voiceblocks.cli.output import Json, fail, tell, tell_rows
from voiceblocks.server.cache_limits import download_cache_limits, prompt_cache_limits
from voiceblocks.server.folders import downloads_folder, is_locked, prompts_folder
from voiceblocks.settings import Settings, explain

app = typer.Typer(no_args_is_help=True, help="Rendered prompts and downloaded audio files.")

COLUMNS = ("cache", "entries", "bytes", "max_bytes", "oldest_use_days_ago")

_FOLDERS: dict[str, Callable[[Path], Path]] = {
    "prompts": prompts_folder,
    "downloads": downloads_folder,
}
_LIMITS = {"prompts": prompt_cache_limits, "downloads": download_cache_limits}
_DAY_S = 86_400.0


@app.command("show")
def show(as_json: Json = False) -> None:
    """Show how much is kept, and how long the oldest has not been used."""
    with _settings(as_json) as settings:
        rows = [_row(name, settings) for name in _FOLDERS]
    tell_rows(as_json, "caches", COLUMNS, rows)


@app.command("clear")
def clear(
    unused_days: Annotated[
        int, typer.Option(min=0, help="Delete only what was not used for so many days.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """
    Delete what is kept, also while a server runs.

    What a running server used in the last two minutes stays, since a caller may be hearing it.
    """
    with _settings(as_json) as settings:
        now_s = time.time()
        is_running = is_locked(settings.root)
        spared_s = max(unused_days * _DAY_S, SPARED_S if is_running else 0.0)
        entries = [entry for name in _FOLDERS for entry in list_entries(_path(name, settings))]
        chosen = [entry for entry in entries if _goes(entry, now_s, spared_s, is_running)]
        deleted = 0
        deleted_bytes = 0
        for entry in shown(chosen, "Deleting", as_json=as_json):
            if delete(entry):
                deleted += 1
                deleted_bytes += entry.size_bytes
    kept = len(entries) - deleted
    facts = {"deleted": deleted, "deleted_bytes": deleted_bytes, "kept": kept}
    sentence = f"{deleted} entries deleted, {deleted_bytes / 1e6:.1f} MB; {kept} kept"
    if kept and is_running:
        sentence += ": what the running server used in the last two minutes stays"
    tell(as_json, facts, sentence)


def _goes(entry: CacheEntry, now_s: float, spared_s: float, is_running: bool) -> bool:
    if entry.is_leftover and is_running:
        spared_s = max(spared_s, LEFTOVER_S)
    return spared_s == 0 or now_s - entry.used_s > spared_s


def _row(name: str, settings: Settings) -> dict[str, Any]:
    folder = _path(name, settings)
    entries = list_entries(folder)
    oldest_s = min((entry.used_s for entry in entries), default=None)
    oldest_days = None if oldest_s is None else round((time.time() - oldest_s) / _DAY_S, 1)
    return {
        "cache": name,
        "entries": len(entries),
        "bytes": sum(entry.size_bytes for entry in entries),
        "max_bytes": _LIMITS[name](settings).max_bytes,
        "oldest_use_days_ago": oldest_days,
        "folder": str(folder),
    }


def _path(name: str, settings: Settings) -> Path:
    return _FOLDERS[name](settings.root)


@contextmanager
def _settings(as_json: bool) -> Iterator[Settings]:
    """Read the settings; say what is wrong with them, or with the folders, in one sentence."""
    try:
        yield Settings()
    except ValidationError as error:
        fail(as_json, "; ".join(explain(error)))
    except OSError as error:
        fail(as_json, f"{error.filename} cannot be read or deleted ({error.strerror})")
