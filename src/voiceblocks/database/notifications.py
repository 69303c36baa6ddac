"""The outbox: notifications in the database; what a sender needs of it is in `due_notifications`.

Functions of a connection inside somebody's transaction; nothing here commits. Whatever
settles a notification also blanks its digits and link signatures (decision 8), and lets
the next one of its session go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row, select_by_id
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.parameters import blanked
from voiceblocks.notifications.retry import NEVER_US
from voiceblocks.notifications.state import NotificationEvent, NotificationState, advance

_table = schema.notifications
_PENDING = NotificationState.PENDING.value
# For questions about one session: the expression keeps SQLite, which has no statistics, from
# the index by state, where it would read all that waits (4 ms beside 20,000).
_IS_PENDING_HERE = _table.c.state.concat("") == _PENDING


# Locked, lest it be settled (PostgreSQL) between this look and the insertion.
_OLDER = Prepared(
    select(_table.c.id)
    .where(_table.c.session_id == bindparam("session_id"), _IS_PENDING_HERE)
    .with_for_update()
)


def insert(connection: Connection, notification: Notification) -> None:
    """
    Insert a new notification; belongs in the transaction of the fact that it tells.

    Where an older one of its session is pending it is never due, until that is settled
    (decision 2): so what waits in order costs those nothing that look for what is due.
    """
    older = _OLDER.first(connection, {"session_id": notification.session_id})
    if older is not None:
        notification = replace(notification, next_attempt_us=NEVER_US)
    insert_row(connection, _table, notification)


# Settling

_ALL_PENDING = (
    select(_table.c.id, _table.c.session_id, _table.c.parameters)
    .where(_IS_PENDING_HERE)
    .with_for_update()
)
_PENDING_ONE = Prepared(_ALL_PENDING.where(_table.c.id == bindparam("of")))
_PENDING_OF_SESSION = _ALL_PENDING.where(_table.c.session_id == bindparam("of"))
_PENDING_SENT = Prepared(_PENDING_OF_SESSION.where(_table.c.first_attempt_us.is_not(None)))
_PENDING_PASSING = Prepared(_PENDING_OF_SESSION.where(_table.c.lasting.is_(False)))
_SETTLE = Prepared(
    _table.update()
    .where(_table.c.id == bindparam("row_id"))
    .values(
        state=bindparam("new_state"),
        settled_us=bindparam("now_us"),
        claimed_until_us=None,
        parameters=bindparam("kept"),
    )
)

_next = _table.alias("next")
_LET_NEXT_GO = Prepared(
    _table.update()
    .where(
        _table.c.id
        == select(_next.c.id)
        .where(_next.c.session_id == bindparam("of"), _next.c.state == _PENDING)
        .order_by(_next.c.sequence)
        .limit(1)
        .scalar_subquery(),
        _table.c.first_attempt_us.is_(None),
        _table.c.next_attempt_us == NEVER_US,
    )
    .values(next_attempt_us=bindparam("now_us"))
)
_CALM = Prepared(
    _table.update()
    .where(_table.c.session_id == bindparam("of"), _IS_PENDING_HERE)
    .values(urgent=False)
)


def settle(
    connection: Connection, notification_id: str, state: NotificationState, now_us: int
) -> bool:
    """
    Put an end to a pending notification.

    Returns:
        False, changing nothing, where it is settled already: the application acted on it,
        or the call ended, while its request was in flight.
    """
    return bool(_settle_all(connection, _PENDING_ONE, notification_id, state, now_us))


def act_on(connection: Connection, session_id: str, now_us: int) -> int:
    """
    Settle what the session's application has evidently read (decision 2).

    Called when a block is accepted, in its transaction. Returns how many were settled.
    """
    state = advance(NotificationState.PENDING, NotificationEvent.BLOCK_ACCEPTED)
    return _settle_all(connection, _PENDING_SENT, session_id, state, now_us)


def supersede(connection: Connection, session_id: str, now_us: int) -> int:
    """
    Settle what is pending and does not matter after the call.

    Called when the call ends, in that transaction. Returns how many were settled.
    """
    state = advance(NotificationState.PENDING, NotificationEvent.CALL_ENDED)
    _CALM.change(connection, {"of": session_id})
    return _settle_all(connection, _PENDING_PASSING, session_id, state, now_us)


def _settle_all(
    connection: Connection, pending: Prepared, of: str, state: NotificationState, now_us: int
) -> int:
    rows = pending.all(connection, {"of": of})
    for notification_id, _, parameters in rows:
        values = {
            "row_id": notification_id,
            "new_state": state.value,
            "now_us": now_us,
            "kept": blanked(parameters),
        }
        _SETTLE.change(connection, values)
    for session_id in {session_id for _, session_id, _ in rows}:
        _LET_NEXT_GO.change(connection, {"of": session_id, "now_us": now_us})
    return len(rows)


# Looking

_BY_ID = Prepared(select_by_id(_table))
_OF_SESSION = Prepared(
    select(_table).where(_table.c.session_id == bindparam("session_id")).order_by(_table.c.sequence)
)


def find(connection: Connection, notification_id: str) -> Notification | None:
    """Return the notification, `None` where there is none."""
    row = _BY_ID.first_by_name(connection, {"id": notification_id})
    return None if row is None else notification_of(row)


def list_of_session(connection: Connection, session_id: str) -> list[Notification]:
    """Return the session's notifications in the order in which they leave."""
    rows = _OF_SESSION.all_by_name(connection, {"session_id": session_id})
    return [notification_of(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which notifications a list shows; what is not given narrows nothing."""

    states: Sequence[NotificationState] = ()
    host: str | None = None
    session_id: str | None = None
    app_id: str | None = None
    since_us: int | None = None


_ALL = Wanted()


def recent(connection: Connection, limit: int, wanted: Wanted = _ALL) -> list[Notification]:
    """Return at most `limit` notifications, newest first."""
    # Of one instant (the end of a call tells several), those of a session by their order.
    newest = (_table.c.created_us.desc(), _table.c.sequence.desc(), _table.c.id)
    statement = select(_table).order_by(*newest).limit(limit)
    if wanted.states:
        statement = statement.where(_table.c.state.in_([state.value for state in wanted.states]))
    for column, value in (
        (_table.c.host, wanted.host),
        (_table.c.session_id, wanted.session_id),
        (_table.c.app_id, wanted.app_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.since_us is not None:
        statement = statement.where(_table.c.created_us >= wanted.since_us)
    return [notification_of(row) for row in connection.execute(statement).mappings()]


def notification_of(row: Mapping[Any, Any]) -> Notification:
    """A row of the table as a value."""
    columns = dict(row)
    columns["state"] = NotificationState(columns["state"])
    return Notification(**columns)


# Sending again

_RESEND = Prepared(
    _table.update()
    .where(_table.c.id == bindparam("row_id"))
    .values(
        state=_PENDING,
        settled_us=None,
        lasting=True,
        urgent=False,
        attempts_before=_table.c.attempt_count,
        first_attempt_us=None,
        next_attempt_us=bindparam("due_us"),
        parameters=bindparam("kept"),
    )
)
_MAY_LEAVE = Prepared(
    select(_table.c.id, _table.c.sequence, _table.c.first_attempt_us)
    .where(
        _table.c.session_id == bindparam("of"),
        _IS_PENDING_HERE,
        _table.c.next_attempt_us < NEVER_US,
    )
    .with_for_update()
)
_LET_WAIT = Prepared(
    _table.update().where(_table.c.id == bindparam("row_id")).values(next_attempt_us=NEVER_US)
)


def resend(
    connection: Connection, notification: Notification, parameters: str, now_us: int
) -> None:
    """
    Let a settled notification leave again, as the same event and on a schedule that begins anew.

    In order, as ever: of a session only one is on its way. What has been sent goes first; of what
    has not, the oldest does, and the others are never due until it is settled.

    Raises:
        IllegalTransition: If it is pending anyway.
    """
    advance(notification.state, NotificationEvent.RESENT)
    others = _MAY_LEAVE.all(connection, {"of": notification.session_id})
    waits = any(
        first_attempt_us is not None or sequence < notification.sequence
        for _, sequence, first_attempt_us in others
    )
    if not waits:
        for other_id, _, _ in others:
            _LET_WAIT.change(connection, {"row_id": other_id})
    values = {
        "row_id": notification.id,
        "due_us": NEVER_US if waits else now_us,
        "kept": parameters,
    }
    _RESEND.change(connection, values)
