"""The outbox: notifications and their attempts in the database.

Functions of a connection inside somebody's transaction; nothing here commits. A sender
claims what is due, so that two senders (nodes, or one before and after a crash) do not
send the same at the same time; a claim that ran out is free again. Whatever settles a
notification also blanks its digits and link signatures (decision 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, exists, func, or_, select

from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.parameters import blanked
from voiceblocks.notifications.state import NotificationEvent, NotificationState, advance

_TABLE = schema.notifications
_IS_PENDING = _TABLE.c.state == NotificationState.PENDING.value


def _is_first_of_session() -> ColumnElement[bool]:
    """Nothing older of the same session is still to be delivered (decision 2)."""
    earlier = _TABLE.alias("earlier")
    return ~exists().where(
        earlier.c.session_id == _TABLE.c.session_id,
        earlier.c.sequence < _TABLE.c.sequence,
        earlier.c.state == NotificationState.PENDING.value,
    )


def insert(connection: Connection, notification: Notification) -> None:
    """Insert a new notification; belongs in the transaction of the fact that it tells."""
    insert_row(connection, _TABLE, notification)


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
    statement = (
        select(_TABLE)
        .where(
            _IS_PENDING,
            _TABLE.c.next_attempt_us <= now_us,
            or_(_TABLE.c.claimed_until_us.is_(None), _TABLE.c.claimed_until_us <= now_us),
            _is_first_of_session(),
        )
        .order_by(_TABLE.c.next_attempt_us, _TABLE.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=_TABLE)
    )
    rows = connection.execute(statement).mappings().all()
    if rows:
        ids = [row["id"] for row in rows]
        connection.execute(
            _TABLE.update().where(_TABLE.c.id.in_(ids)).values(claimed_until_us=until_us)
        )
    return [_notification({**row, "claimed_until_us": until_us}) for row in rows]


def begin_attempt(connection: Connection, notification_id: str, now_us: int, until_us: int) -> None:
    """
    Count an attempt that is about to leave, claimed until `until_us`; commit before it does.

    The application may act on it before it answers, and then `act_on` must know it as sent.
    """
    connection.execute(
        _TABLE.update()
        .where(_TABLE.c.id == notification_id)
        .values(
            attempt_count=_TABLE.c.attempt_count + 1,
            first_attempt_us=func.coalesce(_TABLE.c.first_attempt_us, now_us),
            claimed_until_us=until_us,
        )
    )


def record_attempt(connection: Connection, attempt: Attempt) -> None:
    """Insert a finished attempt, whatever became of its notification meanwhile."""
    insert_row(connection, schema.notification_attempts, attempt)


def count_answers(connection: Connection, notification_id: str, http_status: int) -> int:
    """Return how many attempts were answered with this status."""
    table = schema.notification_attempts
    statement = (
        select(func.count())
        .select_from(table)
        .where(table.c.notification_id == notification_id, table.c.http_status == http_status)
    )
    return int(connection.execute(statement).scalar_one())


def settle(
    connection: Connection, notification_id: str, state: NotificationState, now_us: int
) -> bool:
    """
    Put an end to a pending notification.

    Returns:
        False, changing nothing, where it is settled already: the application acted on it,
        or the call ended, while its request was in flight.
    """
    return bool(_settle_where(connection, _TABLE.c.id == notification_id, state, now_us))


def reschedule(
    connection: Connection, notification_id: str, next_attempt_us: int, attempt_count: int
) -> bool:
    """
    Give a claimed notification back, due at `next_attempt_us`.

    Returns:
        False, changing nothing, where it is settled already.
    """
    statement = (
        _TABLE.update()
        .where(_TABLE.c.id == notification_id, _IS_PENDING)
        .values(next_attempt_us=next_attempt_us, attempt_count=attempt_count, claimed_until_us=None)
    )
    return connection.execute(statement).rowcount == 1


def act_on(connection: Connection, session_id: str, now_us: int) -> int:
    """
    Settle what the session's application has evidently read (decision 2).

    Called when a block is accepted, in its transaction. Returns how many were settled.
    """
    sent = and_(_TABLE.c.session_id == session_id, _TABLE.c.first_attempt_us.is_not(None))
    state = advance(NotificationState.PENDING, NotificationEvent.BLOCK_ACCEPTED)
    return _settle_where(connection, sent, state, now_us)


def supersede(connection: Connection, session_id: str, now_us: int) -> int:
    """
    Settle what is pending and does not matter after the call.

    Called when the call ends, in that transaction. Returns how many were settled.
    """
    passing = and_(_TABLE.c.session_id == session_id, _TABLE.c.lasting.is_(False))
    state = advance(NotificationState.PENDING, NotificationEvent.CALL_ENDED)
    return _settle_where(connection, passing, state, now_us)


def _settle_where(
    connection: Connection,
    condition: ColumnElement[bool],
    state: NotificationState,
    now_us: int,
) -> int:
    rows = connection.execute(
        select(_TABLE.c.id, _TABLE.c.parameters).where(_IS_PENDING, condition).with_for_update()
    ).all()
    for row in rows:
        connection.execute(
            _TABLE.update()
            .where(_TABLE.c.id == row.id)
            .values(
                state=state.value,
                settled_us=now_us,
                claimed_until_us=None,
                parameters=blanked(row.parameters),
            )
        )
    return len(rows)


def next_due_us(connection: Connection) -> int | None:
    """
    Return when something may leave, or a claim runs out; `None` where nothing is pending.

    May lie in the past. What waits for an older one of its session does not count.
    """
    ready = (
        select(_TABLE.c.next_attempt_us)
        .where(_IS_PENDING, _TABLE.c.claimed_until_us.is_(None), _is_first_of_session())
        .order_by(_TABLE.c.next_attempt_us)
        .limit(1)
    )
    claimed = select(func.min(_TABLE.c.claimed_until_us)).where(_IS_PENDING)
    times = [connection.execute(statement).scalar() for statement in (ready, claimed)]
    return min((int(time_us) for time_us in times if time_us is not None), default=None)


def find(connection: Connection, notification_id: str) -> Notification | None:
    """Return the notification, `None` where there is none."""
    row = connection.execute(select(_TABLE).where(_TABLE.c.id == notification_id)).mappings()
    found = row.first()
    return None if found is None else _notification(found)


def list_of_session(connection: Connection, session_id: str) -> list[Notification]:
    """Return the session's notifications in the order in which they leave."""
    statement = select(_TABLE).where(_TABLE.c.session_id == session_id).order_by(_TABLE.c.sequence)
    return [_notification(row) for row in connection.execute(statement).mappings()]


def recent(
    connection: Connection, limit: int, states: Sequence[NotificationState] = ()
) -> list[Notification]:
    """Return at most `limit` notifications (in one of `states`), newest first."""
    statement = select(_TABLE).order_by(_TABLE.c.created_us.desc(), _TABLE.c.id).limit(limit)
    if states:
        statement = statement.where(_TABLE.c.state.in_([state.value for state in states]))
    return [_notification(row) for row in connection.execute(statement).mappings()]


def list_attempts(connection: Connection, notification_id: str) -> list[Attempt]:
    """Return the notification's finished attempts in their order."""
    table = schema.notification_attempts
    statement = (
        select(table).where(table.c.notification_id == notification_id).order_by(table.c.number)
    )
    return [Attempt(**row) for row in connection.execute(statement).mappings()]


def _notification(row: RowMapping | dict[str, Any]) -> Notification:
    columns = dict(row)
    columns["state"] = NotificationState(columns["state"])
    return Notification(**columns)
