"""`voiceblocks notifications`: what applications were told, and whether they took it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import typer

from voiceblocks.cli.output import Json, Most, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import notifications
from voiceblocks.notifications.state import NotificationState

app = typer.Typer(no_args_is_help=True, help="What applications are told.")

COLUMNS = ("id", "session", "block", "host", "state", "attempts", "created")


@app.callback()
def about() -> None:
    """Look at notifications."""


@app.command("list")
def list_notifications(
    most: Most = 50,
    state: Annotated[NotificationState | None, typer.Option(help="Only these.")] = None,
    as_json: Json = False,
) -> None:
    """Show the newest notifications. Their URLs may hold secrets, so only hosts are shown."""
    with open_store(as_json) as store:
        found = store.run(lambda c: notifications.recent(c, most, [state] if state else []))
    rows = (
        {
            "id": one.id,
            "session": one.session_id,
            "block": one.block,
            "host": urlsplit(one.url).netloc.rpartition("@")[2],
            "state": one.state.value,
            "attempts": one.attempt_count,
            "created": datetime.fromtimestamp(one.created_us // 1_000_000, UTC).strftime(
                "%Y-%m-%d %H:%M:%SZ"
            ),
        }
        for one in found
    )
    tell_rows(as_json, "notifications", COLUMNS, rows)
