"""Recordings in the database; what the state may become is decided by `recordings.state`.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    bindparam,
    cast,
    func,
    literal,
    select,
)

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row, select_by_id, update_row
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.state import UNFINISHED_STATES, RecordingState

_table = schema.recordings
_applications, _sessions = schema.applications, schema.sessions
# PostgreSQL counts with 32 bits unless it is told otherwise.
_DAY_US = literal(86_400_000_000, BigInteger)

_BY_ID = Prepared(select_by_id(_table))
_BY_ID_LOCKED = Prepared(select_by_id(_table).with_for_update())
_BY_OBJECT_NAME = Prepared(select(_table).where(_table.c.object_name == bindparam("object_name")))
_OLDEST_FIRST = select(_table).order_by(_table.c.created_us, _table.c.id)
_IN_STATES = _OLDEST_FIRST.where(_table.c.state.in_(bindparam("states", expanding=True)))
_OF_SESSION = _OLDEST_FIRST.where(_table.c.session_id == bindparam("session_id"))
_NEWEST_FIRST = select(_table).order_by(_table.c.created_us.desc(), _table.c.id)


def insert(connection: Connection, recording: Recording) -> None:
    """Insert a new recording."""
    insert_row(connection, _table, recording)


def find(connection: Connection, recording_id: str) -> Recording | None:
    """Return the recording, `None` where there is none."""
    return _first(connection, _BY_ID, {"id": recording_id})


def find_for_update(connection: Connection, recording_id: str) -> Recording | None:
    """Return the recording, locked until the end of the transaction."""
    return _first(connection, _BY_ID_LOCKED, {"id": recording_id})


def find_by_object_name(connection: Connection, object_name: str) -> Recording | None:
    """Return the recording that is stored under this name, `None` where there is none."""
    return _first(connection, _BY_OBJECT_NAME, {"object_name": object_name})


def update(connection: Connection, recording_id: str, **columns: Any) -> None:
    """
    Set columns of a recording, named as the fields of `Recording`.

    Raises:
        ContractViolation: If there is no such recording.
    """
    update_row(connection, _table, recording_id, columns)


def list_in_state(connection: Connection, *states: RecordingState) -> list[Recording]:
    """Return the recordings in any of these states, oldest first."""
    return _list(connection, _IN_STATES, {"states": [state.value for state in states]})


def list_of_session(connection: Connection, session_id: str) -> list[Recording]:
    """Return the session's recordings, oldest first."""
    return _list(connection, _OF_SESSION, {"session_id": session_id})


def recent(connection: Connection, limit: int) -> list[Recording]:
    """Return at most `limit` recordings, newest first."""
    return _list(connection, _NEWEST_FIRST.limit(limit), {})


# From the applications to their recordings: the expression keeps SQLite, which has no statistics,
# from beginning with all recordings that are ready.
_ITS_APPLICATION = _table.c.app_id == _applications.c.id.concat("")
_KEEP_DAYS = func.coalesce(_applications.c.keep_recordings_days, bindparam("default_days"))
_TOO_OLD = (
    select(_table)
    .join(_applications, _ITS_APPLICATION)
    .where(
        _table.c.state == RecordingState.READY.value,
        _table.c.held_us.is_(None),
        _KEEP_DAYS > 0,
        _table.c.ready_us <= bindparam("now_us") - cast(_KEEP_DAYS, BigInteger) * _DAY_US,
    )
    .order_by(_table.c.ready_us, _table.c.id)
    .limit(bindparam("n_most"))
)
_STORED_BYTES = Prepared(
    select(func.coalesce(func.sum(_table.c.size_bytes), 0))
    .join(_applications, _ITS_APPLICATION)
    .where(
        _applications.c.account_id == bindparam("account_id"),
        _table.c.state == RecordingState.READY.value,
    )
)
_IS_UNFINISHED_OF_NODE = (
    _table.c.state.in_([state.value for state in UNFINISHED_STATES]),
    _sessions.c.node == bindparam("node"),
)
_OF_ITS_SESSION = _table.join(_sessions, _table.c.session_id == _sessions.c.id)
_UNFINISHED_OF_NODE = select(_table).select_from(_OF_ITS_SESSION).where(*_IS_UNFINISHED_OF_NODE)
_COUNT_UNFINISHED = Prepared(
    select(_table.c.kind, _table.c.limit_s, func.count())
    .select_from(_OF_ITS_SESSION)
    .where(*_IS_UNFINISHED_OF_NODE)
    .group_by(_table.c.kind, _table.c.limit_s)
)


def list_too_old(
    connection: Connection, default_days: int, now_us: int, limit: int
) -> list[Recording]:
    """
    Return ready recordings whose keep time is over and that nobody holds, oldest first.

    Args:
        connection: Of any transaction.
        default_days: Of applications that have no keep time of their own; 0 is for ever.
        now_us: UTC.
        limit: At most so many.
    """
    values = {"default_days": default_days, "now_us": now_us, "n_most": limit}
    return _list(connection, _TOO_OLD, values)


def stored_bytes(connection: Connection, account_id: str) -> int:
    """What the ready recordings of all applications of an account take up."""
    return int(_STORED_BYTES.value(connection, {"account_id": account_id}))


def list_unfinished(connection: Connection, node: str) -> list[Recording]:
    """Return what a node records or encodes now, in no order."""
    return _list(connection, _UNFINISHED_OF_NODE, {"node": node})


def count_unfinished(
    connection: Connection, node: str
) -> list[tuple[RecordingKind, int | None, int]]:
    """Return of what a node records or encodes now: kind, limit, and how many have both."""
    rows = _COUNT_UNFINISHED.all(connection, {"node": node})
    return [(RecordingKind(kind), limit_s, count) for kind, limit_s, count in rows]


def _list(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]
) -> list[Recording]:
    return [recording_from(row) for row in connection.execute(statement, parameters).mappings()]


def _first(
    connection: Connection, statement: Prepared, parameters: Mapping[str, Any]
) -> Recording | None:
    row = statement.first_by_name(connection, parameters)
    return None if row is None else recording_from(row)


def recording_from(row: Mapping[Any, Any]) -> Recording:
    """Make a recording of its row."""
    columns = dict(row)
    columns["state"] = RecordingState(columns["state"])
    columns["kind"] = RecordingKind(columns["kind"])
    return Recording(**columns)
