"""Recordings in the database; what the state may become is decided by `recordings.state`.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row, select_by_id, update_row
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.state import RecordingState

_table = schema.recordings

_BY_ID = select_by_id(_table)
_BY_ID_LOCKED = _BY_ID.with_for_update()
_BY_OBJECT_NAME = select(_table).where(_table.c.object_name == bindparam("object_name"))
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


def _list(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]
) -> list[Recording]:
    return [_recording(row) for row in connection.execute(statement, parameters).mappings()]


def _first(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any]
) -> Recording | None:
    row = connection.execute(statement, parameters).mappings().first()
    return None if row is None else _recording(row)


def _recording(row: RowMapping) -> Recording:
    columns = dict(row)
    columns["state"] = RecordingState(columns["state"])
    columns["kind"] = RecordingKind(columns["kind"])
    return Recording(**columns)
