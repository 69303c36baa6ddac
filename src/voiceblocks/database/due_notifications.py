"""The outbox as a sender sees it: which hosts are waited for, and what may leave for each.

A claim moves a notification's next attempt to the end of the claim, so that it is simply
not due while somebody has it, and due again by itself if they died. What waits for an
older one of its session is never due (`notifications.insert`). So the first due one of a
host is one step into an index, however many wait for it or for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select, text, true

from voiceblocks.database import schema
from voiceblocks.database.notifications import notification_of
from voiceblocks.database.prepared import Prepared
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.retry import NEVER_US
from voiceblocks.notifications.state import NotificationState

_table = schema.notifications
_IS_PENDING = _table.c.state == NotificationState.PENDING.value


@dataclass(frozen=True, slots=True)
class WaitingHost:
    """A host that something is pending for, and when the first of each kind is due."""

    host: str
    urgent_us: int | None
    late_us: int | None


# A step into the index for each host, since a plain DISTINCT would read all that waits.
_HOSTS = Prepared(
    text("""
WITH RECURSIVE waiting(host) AS (
    SELECT (SELECT min(host) FROM notifications WHERE state = 'pending')
    UNION ALL
    SELECT (SELECT min(n.host) FROM notifications n
            WHERE n.state = 'pending' AND n.host > waiting.host)
    FROM waiting WHERE waiting.host IS NOT NULL
)
SELECT host,
    (SELECT min(n.next_attempt_us) FROM notifications n
     WHERE n.state = 'pending' AND n.host = waiting.host AND n.urgent = true),
    (SELECT min(n.next_attempt_us) FROM notifications n
     WHERE n.state = 'pending' AND n.host = waiting.host AND n.urgent = false)
FROM waiting WHERE host IS NOT NULL
""")
)
_COUNT_PENDING = Prepared(select(func.count()).where(_IS_PENDING))


def waiting_hosts(connection: Connection) -> list[WaitingHost]:
    """Return each host that something is pending for; its times may lie in the past."""
    return [WaitingHost(*row) for row in _HOSTS.all(connection)]


def count_pending(connection: Connection) -> int:
    """Return how many wait for their settlement; read from the index alone."""
    return int(_COUNT_PENDING.value(connection))


_DUE = Prepared(
    select(_table)
    .where(
        _IS_PENDING,
        _table.c.host == bindparam("host"),
        _table.c.urgent == bindparam("urgent"),
        _table.c.next_attempt_us <= bindparam("now_us"),
    )
    .order_by(_table.c.next_attempt_us)
    .limit(bindparam("n_most"))
    .with_for_update(skip_locked=True)
)


def due(
    connection: Connection, host: str, *, urgent: bool, now_us: int, limit: int
) -> list[Notification]:
    """
    Return what may leave for a host now, the longest due first.

    In the same transaction each is begun, or settled: other senders pass over it until
    then (PostgreSQL).
    """
    values = {"host": host, "urgent": urgent, "now_us": now_us, "n_most": limit}
    return [notification_of(row) for row in _DUE.all_by_name(connection, values)]


_BEGIN = Prepared(
    _table.update()
    .where(_table.c.id == bindparam("row_id"))
    .values(
        attempt_count=_table.c.attempt_count + 1,
        first_attempt_us=func.coalesce(_table.c.first_attempt_us, bindparam("now_us")),
        next_attempt_us=bindparam("until_us"),
        claimed_until_us=bindparam("until_us"),
    )
)


def begin_attempts(connection: Connection, claims: Sequence[tuple[str, int]], now_us: int) -> None:
    """
    Count attempts that are about to leave; commit before they do.

    An application may act on one before it answers, and then `act_on` must know it as sent.

    Args:
        connection: In a transaction.
        claims: Each notification's id, and until when its sender has it.
        now_us: The present.
    """
    values = [{"row_id": one, "now_us": now_us, "until_us": until} for one, until in claims]
    if values:
        _BEGIN.change_each(connection, values)


_RESCHEDULE = Prepared(
    _table.update()
    .where(_table.c.id == bindparam("row_id"), _IS_PENDING)
    .values(next_attempt_us=bindparam("due_us"), claimed_until_us=None)
)


def reschedule(connection: Connection, notification_id: str, next_attempt_us: int) -> bool:
    """
    Give a claimed notification back, due at `next_attempt_us`.

    Returns:
        False, changing nothing, where it is settled already.
    """
    values = {"row_id": notification_id, "due_us": next_attempt_us}
    return _RESCHEDULE.change(connection, values) == 1


_LATER = Prepared(
    select(_table.c.id)
    .where(
        _IS_PENDING,
        _table.c.host == bindparam("of"),
        _table.c.urgent.is_not(true()),
        _table.c.next_attempt_us > bindparam("now_us"),
        _table.c.next_attempt_us < NEVER_US,
        _table.c.claimed_until_us.is_(None),
    )
    .order_by(_table.c.next_attempt_us)
    .limit(bindparam("n_most"))
)
_HASTEN = (
    _table.update()
    .where(_table.c.id.in_(bindparam("ids", expanding=True)))
    .values(next_attempt_us=bindparam("due_us"))
)


def hasten(connection: Connection, host: str, now_us: int, limit: int) -> int:
    """
    Let what waits for a host that is back leave now, at most `limit`; returns how many.

    Nobody should wait a day for the next attempt when the host answers again.
    """
    values = {"of": host, "now_us": now_us, "n_most": limit}
    ids = [row[0] for row in _LATER.all(connection, values)]
    if ids:
        connection.execute(_HASTEN, {"ids": ids, "due_us": now_us})
    return len(ids)


# For each that is claimed its session, not all sessions that there ever were.
_OF_NODE = (
    select(schema.sessions.c.id)
    .where(schema.sessions.c.id == _table.c.session_id, schema.sessions.c.node == bindparam("node"))
    .exists()
)
_RELEASE = Prepared(
    _table.update()
    .where(_IS_PENDING, _table.c.claimed_until_us.is_not(None), _OF_NODE)
    .values(claimed_until_us=None, next_attempt_us=_table.c.created_us)
)


def release_claims(connection: Connection, node: str) -> int:
    """
    Free what an earlier process of this node had claimed when it died.

    Call before this process claims anything. Returns how many there were.
    """
    return _RELEASE.change(connection, {"node": node})
