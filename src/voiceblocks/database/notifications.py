"""The outbox: notifications and their attempts in the database.

Functions of a connection inside somebody's transaction; nothing here commits. A sender
claims what is due, so that two senders (nodes, or one before and after a crash) do not
send the same at the same time; a claim that ran out is free again. Whatever settles a
notification also blanks its digits and link signatures (decision 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    bindparam,
    exists,
    func,
    or_,
    select,
)

from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row, select_by_id
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.parameters import blanked
from voiceblocks.notifications.state import NotificationEvent, NotificationState, advance

_table, _attempts = schema.notifications, schema.notification_attempts
_PENDING = NotificationState.PENDING.value
_IS_PENDING = _table.c.state == _PENDING


def _is_first_of_session() -> ColumnElement[bool]:
    """Nothing older of the same session is still to be delivered (decision 2)."""
    earlier = _table.alias("earlier")
    return ~exists().where(
        earlier.c.session_id == _table.c.session_id,
        earlier.c.sequence < _table.c.sequence,
        earlier.c.state == _PENDING,
    )


def insert(connection: Connection, notification: Notification) -> None:
    """Insert a new notification; belongs in the transaction of the fact that it tells."""
    insert_row(connection, _table, notification)


# Sending

_DUE = (
    select(_table)
    .where(
        _IS_PENDING,
        _table.c.next_attempt_us <= bindparam("now_us"),
        or_(_table.c.claimed_until_us.is_(None), _table.c.claimed_until_us <= bindparam("now_us")),
        _is_first_of_session(),
    )
    .order_by(_table.c.next_attempt_us, _table.c.id)
    .limit(bindparam("n_most"))
    .with_for_update(skip_locked=True, of=_table)
)
_CLAIM = (
    _table.update()
    .where(_table.c.id.in_(bindparam("ids", expanding=True)))
    .values(claimed_until_us=bindparam("until_us"))
)


def claim_due(connection: Connection, now_us: int, until_us: int, limit: int) -> list[Notification]:
    """
    Claim what may leave now, the longest due first.

    Args:
        connection: In a transaction; other senders pass over what it claims (PostgreSQL).
        now_us: The present.
        until_us: When the claim runs out; later than the request's time limit.
        limit: At most so many.

    Returns:
        Pending notifications that are due, not claimed, and the first of their session.
    """
    rows = connection.execute(_DUE, {"now_us": now_us, "n_most": limit}).mappings().all()
    if rows:
        connection.execute(_CLAIM, {"ids": [row["id"] for row in rows], "until_us": until_us})
    return [_notification({**row, "claimed_until_us": until_us}) for row in rows]


_BEGIN = (
    _table.update()
    .where(_table.c.id == bindparam("row_id"))
    .values(
        attempt_count=_table.c.attempt_count + 1,
        first_attempt_us=func.coalesce(_table.c.first_attempt_us, bindparam("now_us")),
        claimed_until_us=bindparam("until_us"),
    )
)


def begin_attempt(connection: Connection, notification_id: str, now_us: int, until_us: int) -> None:
    """
    Count an attempt that is about to leave, claimed until `until_us`; commit before it does.

    The application may act on it before it answers, and then `act_on` must know it as sent.
    """
    values = {"row_id": notification_id, "now_us": now_us, "until_us": until_us}
    connection.execute(_BEGIN, values)


def record_attempt(connection: Connection, attempt: Attempt) -> None:
    """Insert a finished attempt, whatever became of its notification meanwhile."""
    insert_row(connection, _attempts, attempt)


_COUNT_ANSWERS = (
    select(func.count())
    .select_from(_attempts)
    .where(
        _attempts.c.notification_id == bindparam("notification_id"),
        _attempts.c.http_status == bindparam("http_status"),
    )
)


def count_answers(connection: Connection, notification_id: str, http_status: int) -> int:
    """Return how many attempts were answered with this status."""
    values = {"notification_id": notification_id, "http_status": http_status}
    return int(connection.execute(_COUNT_ANSWERS, values).scalar_one())


_RESCHEDULE = (
    _table.update()
    .where(_table.c.id == bindparam("row_id"), _IS_PENDING)
    .values(
        next_attempt_us=bindparam("due_us"),
        attempt_count=bindparam("count"),
        claimed_until_us=None,
    )
)


def reschedule(
    connection: Connection, notification_id: str, next_attempt_us: int, attempt_count: int
) -> bool:
    """
    Give a claimed notification back, due at `next_attempt_us`.

    Returns:
        False, changing nothing, where it is settled already.
    """
    values = {"row_id": notification_id, "due_us": next_attempt_us, "count": attempt_count}
    return connection.execute(_RESCHEDULE, values).rowcount == 1


_OF_NODE = select(schema.sessions.c.id).where(schema.sessions.c.node == bindparam("node"))
_RELEASE = (
    _table.update()
    .where(_IS_PENDING, _table.c.claimed_until_us.is_not(None), _table.c.session_id.in_(_OF_NODE))
    .values(claimed_until_us=None)
)


def release_claims(connection: Connection, node: str) -> int:
    """
    Free what an earlier process of this node had claimed when it died.

    Call before this process claims anything. Returns how many there were.
    """
    return connection.execute(_RELEASE, {"node": node}).rowcount


_NEXT_READY = (
    select(_table.c.next_attempt_us)
    .where(_IS_PENDING, _table.c.claimed_until_us.is_(None), _is_first_of_session())
    .order_by(_table.c.next_attempt_us)
    .limit(1)
)
_NEXT_CLAIM = select(func.min(_table.c.claimed_until_us)).where(_IS_PENDING)


def next_due_us(connection: Connection) -> int | None:
    """
    Return when something may leave, or a claim runs out; `None` where nothing is pending.

    May lie in the past. What waits for an older one of its session does not count.
    """
    times = [connection.execute(statement).scalar() for statement in (_NEXT_READY, _NEXT_CLAIM)]
    return min((int(time_us) for time_us in times if time_us is not None), default=None)


# Settling

_ALL_PENDING = select(_table.c.id, _table.c.parameters).where(_IS_PENDING).with_for_update()
_PENDING_ONE = _ALL_PENDING.where(_table.c.id == bindparam("of"))
_PENDING_OF_SESSION = _ALL_PENDING.where(_table.c.session_id == bindparam("of"))
_PENDING_SENT = _PENDING_OF_SESSION.where(_table.c.first_attempt_us.is_not(None))
_PENDING_PASSING = _PENDING_OF_SESSION.where(_table.c.lasting.is_(False))
_SETTLE = (
    _table.update()
    .where(_table.c.id == bindparam("row_id"))
    .values(
        state=bindparam("new_state"),
        settled_us=bindparam("now_us"),
        claimed_until_us=None,
        parameters=bindparam("kept"),
    )
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
    return _settle_all(connection, _PENDING_PASSING, session_id, state, now_us)


def _settle_all(
    connection: Connection, pending: Select[Any], of: str, state: NotificationState, now_us: int
) -> int:
    rows = connection.execute(pending, {"of": of}).all()
    for row in rows:
        values = {
            "row_id": row.id,
            "new_state": state.value,
            "now_us": now_us,
            "kept": blanked(row.parameters),
        }
        connection.execute(_SETTLE, values)
    return len(rows)


# Looking

_BY_ID = select_by_id(_table)
_OF_SESSION = (
    select(_table).where(_table.c.session_id == bindparam("session_id")).order_by(_table.c.sequence)
)
_ATTEMPTS_OF = (
    select(_attempts)
    .where(_attempts.c.notification_id == bindparam("notification_id"))
    .order_by(_attempts.c.number)
)


def find(connection: Connection, notification_id: str) -> Notification | None:
    """Return the notification, `None` where there is none."""
    row = connection.execute(_BY_ID, {"id": notification_id}).mappings().first()
    return None if row is None else _notification(row)


def list_of_session(connection: Connection, session_id: str) -> list[Notification]:
    """Return the session's notifications in the order in which they leave."""
    rows = connection.execute(_OF_SESSION, {"session_id": session_id}).mappings()
    return [_notification(row) for row in rows]


def recent(
    connection: Connection, limit: int, states: Sequence[NotificationState] = ()
) -> list[Notification]:
    """Return at most `limit` notifications (in one of `states`), newest first."""
    statement = select(_table).order_by(_table.c.created_us.desc(), _table.c.id).limit(limit)
    if states:
        statement = statement.where(_table.c.state.in_([state.value for state in states]))
    return [_notification(row) for row in connection.execute(statement).mappings()]


def list_attempts(connection: Connection, notification_id: str) -> list[Attempt]:
    """Return the notification's finished attempts in their order."""
    rows = connection.execute(_ATTEMPTS_OF, {"notification_id": notification_id}).mappings()
    return [Attempt(**row) for row in rows]


def _notification(row: RowMapping | dict[str, Any]) -> Notification:
    columns = dict(row)
    columns["state"] = NotificationState(columns["state"])
    return Notification(**columns)
