"""Lists that a person leafs through, newest first, of one account or of all.

Functions of a connection inside somebody's transaction; nothing here commits. A page begins
after the last row of the one before (`Cursor`), so it costs the same however far behind it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, or_, select

from voiceblocks.database import notifications, recordings, schema, sessions
from voiceblocks.database.rows import split
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.state import NotificationState
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.model import Session
from voiceblocks.sessions.state import LIVE_STATES

_sessions, _recordings = schema.sessions, schema.recordings
_notifications = schema.notifications


class Cursor(NamedTuple):
    """Where a page begins: after this row."""

    created_us: int
    id: str


class RecordingOfCall(NamedTuple):
    """A recording with the call that it is of."""

    recording: Recording
    session: Session


def live_calls(connection: Connection, account_id: str | None, limit: int) -> list[Session]:
    """Return calls that have not ended."""
    statement = select(_sessions).where(
        _sessions.c.state.in_([state.value for state in LIVE_STATES]), *_of_account(account_id)
    )
    rows = connection.execute(_page(statement, _sessions, None, limit)).mappings()
    return [sessions.session_from(row) for row in rows]


def calls(
    connection: Connection,
    account_id: str | None,
    *,
    search: str,
    after: Cursor | None,
    limit: int,
) -> list[Session]:
    """
    Return calls.

    Args:
        connection: Of the caller's transaction.
        account_id: Whose; everybody's if `None`.
        search: Part of a number, or a session id or transaction reference; empty for all.
        after: The last row of the page before.
        limit: How many at most.
    """
    statement = select(_sessions).where(*_of_account(account_id))
    if search:
        part = f"%{_escaped(search)}%"
        statement = statement.where(
            or_(
                _sessions.c.id == search,
                _sessions.c.txn_ref == search,
                _sessions.c.from_number.like(part, escape="\\"),
                _sessions.c.to_number.like(part, escape="\\"),
            )
        )
    rows = connection.execute(_page(statement, _sessions, after, limit)).mappings()
    return [sessions.session_from(row) for row in rows]


def calls_between(
    connection: Connection, account_id: str, *, caller: str, number: str, since_us: int, limit: int
) -> list[str]:
    """Return the sessions of the calls from `caller` to `number` since a moment, oldest first."""
    statement = (
        select(_sessions.c.id)
        .where(
            _sessions.c.account_id == account_id,
            _sessions.c.created_us >= since_us,
            _sessions.c.from_number == caller,
            _sessions.c.to_number == number,
        )
        .order_by(_sessions.c.created_us)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def recordings_of_calls(
    connection: Connection,
    account_id: str | None,
    *,
    after: Cursor | None,
    limit: int,
    recording_id: str | None = None,
) -> list[RecordingOfCall]:
    """Return recordings that can be heard or are on their way (or one, whatever its state)."""
    statement = (
        select(_recordings, _sessions)
        .join(_sessions, _sessions.c.id == _recordings.c.session_id)
        .where(*_of_account(account_id))
    )
    if recording_id is None:
        hidden = [RecordingState.DELETED.value, RecordingState.FAILED.value]
        statement = statement.where(_recordings.c.state.not_in(hidden))
    else:
        statement = statement.where(_recordings.c.id == recording_id)
    pairs = (
        split(row, _recordings, _sessions)
        for row in connection.execute(_page(statement, _recordings, after, limit))
    )
    return [
        RecordingOfCall(recordings.recording_from(one), sessions.session_from(call))
        for one, call in pairs
    ]


def notifications_of_calls(
    connection: Connection,
    account_id: str | None,
    *,
    states: Sequence[NotificationState],
    after: Cursor | None,
    limit: int,
    notification_id: str | None = None,
) -> list[Notification]:
    """Return notifications (in one of `states`, or one by its id)."""
    statement = select(_notifications.c.id)
    if account_id is not None:
        statement = statement.join(_sessions, _sessions.c.id == _notifications.c.session_id).where(
            *_of_account(account_id)
        )
    if states:
        statement = statement.where(_notifications.c.state.in_([state.value for state in states]))
    if notification_id is not None:
        statement = statement.where(_notifications.c.id == notification_id)
    ids = connection.execute(_page(statement, _notifications, after, limit)).scalars().all()
    found = (notifications.find(connection, one) for one in ids)
    return [one for one in found if one is not None]


def _of_account(account_id: str | None) -> list[ColumnElement[bool]]:
    return [] if account_id is None else [_sessions.c.account_id == account_id]


def _page(statement: Select[Any], table: Table, after: Cursor | None, limit: int) -> Select[Any]:
    created, row_id = table.c.created_us, table.c.id
    if after is not None:
        statement = statement.where(
            or_(
                created < after.created_us,
                and_(created == after.created_us, row_id < after.id),
            )
        )
    return statement.order_by(created.desc(), row_id.desc()).limit(limit)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
