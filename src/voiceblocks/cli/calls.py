"""`voiceblocks calls`: which calls there were, and the story of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer
from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.blocks.numbers import PRIVATE
from voiceblocks.cli.output import Json, Most, fail, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import further_legs, notifications, recordings, sessions
from voiceblocks.sessions.model import Direction, Session

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
        story = store.run(lambda c: _story(c, session_or_txn))
        if story is None:
            fail(as_json, f"There is no call {session_or_txn}: see `voiceblocks calls list`")
    tell_rows(as_json, "story", ("at", "after_ms", "what"), story)


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


def _story(connection: Connection, name: str) -> list[dict[str, Any]] | None:
    session = sessions.find(connection, name) or sessions.find_by_txn_ref(connection, name)
    if session is None:
        return None
    moments: list[tuple[int, str]] = [
        (
            session.created_us,
            f"call from {_masked(session.from_number)} to {_called(session)}",
        )
    ]
    if session.answered_us is not None:
        moments.append((session.answered_us, "answered"))
    for leg in further_legs.list_of_session(connection, session.id):
        name = f"leg {leg.number} to {_masked(leg.dest)}"
        moments.append((leg.created_us, f"{name} dialled"))
        if leg.answered_us is not None:
            moments.append((leg.answered_us, f"{name} answered"))
        if leg.ended_us is not None:
            moments.append((leg.ended_us, f"{name} ended: {leg.disposition}"))
    for run in sessions.list_runs(connection, session.id):
        moments.append((run.created_us, f"{run.block} accepted"))
        if run.finished_us is not None:
            moments.append((run.finished_us, f"{run.block} ended: {run.end_reason}"))
    for recording in recordings.list_of_session(connection, session.id):
        if recording.ready_us is not None:
            seconds = (recording.duration_ms or 0) / 1000
            moments.append((recording.ready_us, f"recording {recording.id} ready: {seconds:.3f} s"))
    for notification in notifications.list_of_session(connection, session.id):
        said = f"notification {notification.sequence} ({notification.block})"
        if notification.first_attempt_us is not None:
            moments.append((notification.first_attempt_us, f"{said} sent"))
        if notification.settled_us is not None:
            moments.append((notification.settled_us, f"{said}: {notification.state.value}"))
    if session.ended_us is not None:
        moments.append((session.ended_us, f"ended: {session.disposition}"))
    moments.sort(key=lambda moment: moment[0])
    return [
        {"at": _time(at_us), "after_ms": (at_us - session.created_us) // 1000, "what": what}
        for at_us, what in moments
    ]


def _called(session: Session) -> str:
    """Our own number as it is; somebody's whom we called, masked."""
    is_ours = session.direction is Direction.INBOUND
    return session.to_number if is_ours else _masked(session.to_number)


def _masked(number: str) -> str:
    return number if number == PRIVATE else e164.masked(number)


def _time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
