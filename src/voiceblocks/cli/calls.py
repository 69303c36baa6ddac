"""`voiceblocks calls`: which calls there were, and the story of one."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

import typer

from voiceblocks import e164
from voiceblocks.blocks.numbers import PRIVATE
from voiceblocks.cli.output import Json, Most, fail, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import sessions
from voiceblocks.sessions.model import Direction, Session
from voiceblocks.workflows.tell_story import tell_story

app = typer.Typer(no_args_is_help=True, help="Calls, and the story of one.")

COLUMNS = ("txn_ref", "session", "started", "from", "to", "state", "disposition", "minutes")


@app.command("list")
def list_calls(
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """Show the newest calls."""
    with open_store(as_json) as store:
        found = store.run(lambda c: sessions.recent(c, most))
    tell_rows(as_json, "calls", COLUMNS, (_row(session) for session in found))


@app.command("show")
def show(session_or_txn: str, as_json: Json = False) -> None:
    """Tell what happened in one call, in order."""
    with open_store(as_json) as store:
        story = store.run(lambda c: tell_story(c, session_or_txn, show_number=_masked))
        if story is None:
            fail(as_json, f"There is no call {session_or_txn}: see `voiceblocks calls list`")
    if not as_json:
        sys.stdout.write(story.why + "\n")
    began_us = story.session.created_us
    rows = (
        {
            "at": _time(moment.at_us),
            "after_ms": (moment.at_us - began_us) // 1000,
            "what": moment.what,
        }
        for moment in story.moments
    )
    tell_rows(as_json, "story", ("at", "after_ms", "what"), rows, why=story.why)


def _row(session: Session) -> dict[str, Any]:
    return {
        "txn_ref": session.txn_ref,
        "session": session.id,
        "started": _time(session.created_us),
        "from": _masked(session.from_number),
        "to": _called(session),
        "state": session.state.value,
        "disposition": session.disposition,
        "minutes": session.duration_min,
    }


def _called(session: Session) -> str:
    """Our own number as it is; somebody's whom we called, masked."""
    is_ours = session.direction is Direction.INBOUND
    return session.to_number if is_ours else _masked(session.to_number)


def _masked(number: str) -> str:
    return number if number == PRIVATE else e164.masked(number)


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
