"""Batches of calls' events in the database. What is in a batch, `stories.packing` knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, or_, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared

_batches, _sessions = schema.story_batches, schema.sessions


class Owner(NamedTuple):
    """Whose a call is."""

    session_id: str
    app_id: str


_HAS = Prepared(
    select(
        func.coalesce(func.max(_batches.c.number), 0),
        func.coalesce(func.sum(_batches.c.n_events), 0),
    ).where(_batches.c.session_id == bindparam("session_id"))
)
_INSERT = Prepared(_batches.insert())
_BATCHES_OF = Prepared(
    select(_batches.c.events)
    .where(_batches.c.session_id == bindparam("session_id"))
    .order_by(_batches.c.number)
)
_OLD = Prepared(
    select(_batches.c.session_id, _batches.c.number)
    .where(_batches.c.written_us < bindparam("before_us"))
    .order_by(_batches.c.written_us)
    .limit(bindparam("n_most"))
)
_FORGET = Prepared(
    _batches.delete().where(
        _batches.c.session_id == bindparam("of"), _batches.c.number == bindparam("no")
    )
)


def append(
    connection: Connection, session_id: str, *, events: bytes, n_events: int, now_us: int
) -> int:
    """Add a batch to a call's story; returns how many events there are of it now."""
    last, stored = _size(connection, session_id)
    _INSERT.change(
        connection,
        {
            "session_id": session_id,
            "number": last + 1,
            "written_us": now_us,
            "n_events": n_events,
            "events": events,
        },
    )
    return stored + n_events


def count(connection: Connection, session_id: str) -> int:
    """Return how many events there are of a call."""
    return _size(connection, session_id)[1]


def _size(connection: Connection, session_id: str) -> tuple[int, int]:
    """Number of the last batch, and how many events there are in all."""
    # Of a session without any it tells zeroes, so there is a row.
    last, stored = _HAS.all(connection, {"session_id": session_id})[0]
    return int(last), int(stored)


def list_of_session(connection: Connection, session_id: str) -> list[bytes]:
    """Return a call's batches, as they were written."""
    return [row[0] for row in _BATCHES_OF.all(connection, {"session_id": session_id})]


def owners(connection: Connection, calls: Iterable[str]) -> dict[str, Owner]:
    """Return whose calls these are, by what was asked for: a session or a transaction."""
    named = list(calls)
    rows = connection.execute(
        select(_sessions.c.id, _sessions.c.txn_ref, _sessions.c.app_id).where(
            or_(_sessions.c.id.in_(named), _sessions.c.txn_ref.in_(named))
        )
    )
    found: dict[str, Owner] = {}
    for session_id, txn_ref, app_id in rows:
        found[session_id] = found[txn_ref] = Owner(session_id, app_id)
    return found


def forget(connection: Connection, before_us: int, limit: int) -> int:
    """Delete batches that were written before a time, at most `limit`; returns how many."""
    values = {"before_us": before_us, "n_most": limit}
    found = [{"of": row[0], "no": row[1]} for row in _OLD.all(connection, values)]
    if found:
        _FORGET.change_each(connection, found)
    return len(found)
