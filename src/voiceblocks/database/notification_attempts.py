"""Attempts of notifications in the database: what was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row
from voiceblocks.notifications.model import Attempt

_attempts, _notifications = schema.notification_attempts, schema.notifications


def record(connection: Connection, attempt: Attempt) -> None:
    """Insert a finished attempt, whatever became of its notification meanwhile."""
    insert_row(connection, _attempts, attempt)


_COUNT_ANSWERS = Prepared(
    select(func.count())
    .select_from(_attempts)
    .where(
        _attempts.c.notification_id == bindparam("notification_id"),
        _attempts.c.http_status == bindparam("http_status"),
        _attempts.c.number > bindparam("after"),
    )
)


def count_answers(
    connection: Connection, notification_id: str, http_status: int, *, after: int = 0
) -> int:
    """Return how many attempts, with a number beyond `after`, were answered with this status."""
    values = {"notification_id": notification_id, "http_status": http_status, "after": after}
    return int(_COUNT_ANSWERS.value(connection, values))


_ATTEMPTS_OF = Prepared(
    select(_attempts)
    .where(_attempts.c.notification_id == bindparam("notification_id"))
    .order_by(_attempts.c.number)
)


def list_of(connection: Connection, notification_id: str) -> list[Attempt]:
    """Return the notification's finished attempts in their order."""
    rows = _ATTEMPTS_OF.all_by_name(connection, {"notification_id": notification_id})
    return [Attempt(**row) for row in rows]


_LAST_OF = (
    select(_attempts)
    .where(_attempts.c.notification_id.in_(bindparam("ids", expanding=True)))
    .order_by(_attempts.c.number)
)


def last_of(connection: Connection, notification_ids: Sequence[str]) -> dict[str, Attempt]:
    """Return the newest finished attempt of each that has one, by the notification's id."""
    rows = connection.execute(_LAST_OF, {"ids": list(notification_ids)}).mappings()
    return {row["notification_id"]: Attempt(**row) for row in rows}


_ATTEMPTS_OF_SESSION = Prepared(
    select(_attempts)
    .join(_notifications, _notifications.c.id == _attempts.c.notification_id)
    .where(_notifications.c.session_id == bindparam("session_id"))
    .order_by(_attempts.c.started_us)
    .limit(bindparam("n_most"))
)


def list_of_session(connection: Connection, session_id: str, limit: int) -> list[Attempt]:
    """Return the attempts of a call's notifications, the first ones."""
    values = {"session_id": session_id, "n_most": limit}
    return [Attempt(**row) for row in _ATTEMPTS_OF_SESSION.all_by_name(connection, values)]


_OLD = Prepared(
    select(_attempts.c.notification_id, _attempts.c.number)
    .where(_attempts.c.started_us < bindparam("before_us"))
    .order_by(_attempts.c.started_us)
    .limit(bindparam("n_most"))
)
_FORGET = Prepared(
    _attempts.delete().where(
        _attempts.c.notification_id == bindparam("of"), _attempts.c.number == bindparam("no")
    )
)


def forget(connection: Connection, before_us: int, limit: int) -> int:
    """Delete attempts that began before a time, at most `limit`; returns how many."""
    values = {"before_us": before_us, "n_most": limit}
    found = [{"of": row[0], "no": row[1]} for row in _OLD.all(connection, values)]
    if found:
        _FORGET.change_each(connection, found)
    return len(found)
