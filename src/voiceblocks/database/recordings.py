"""Recordings in the database; what the state may become is decided by `recordings.state`.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from voiceblocks.database import schema
from voiceblocks.database.rows import insert_row, update_row
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState


def insert(connection: Connection, recording: Recording) -> None:
    """Insert a new recording."""
    insert_row(connection, schema.recordings, recording)


def find(connection: Connection, recording_id: str) -> Recording | None:
    """Return the recording, `None` where there is none."""
    return _first(connection, _by_id(recording_id))


def find_for_update(connection: Connection, recording_id: str) -> Recording | None:
    """Return the recording, locked until the end of the transaction."""
    return _first(connection, _by_id(recording_id).with_for_update())


def find_by_object_name(connection: Connection, object_name: str) -> Recording | None:
    """Return the recording that is stored under this name, `None` where there is none."""
    table = schema.recordings
    return _first(connection, select(table).where(table.c.object_name == object_name))


def update(connection: Connection, recording_id: str, **columns: Any) -> None:
    """
    Set columns of a recording, named as the fields of `Recording`.

    Raises:
        ContractViolation: If there is no such recording.
    """
    update_row(connection, schema.recordings, recording_id, columns)


def list_in_state(connection: Connection, *states: RecordingState) -> list[Recording]:
    """Return the recordings in any of these states, oldest first."""
    return _list(connection, schema.recordings.c.state.in_([state.value for state in states]))


def list_of_session(connection: Connection, session_id: str) -> list[Recording]:
    """Return the session's recordings, oldest first."""
    return _list(connection, schema.recordings.c.session_id == session_id)


def recent(connection: Connection, limit: int) -> list[Recording]:
    """Return at most `limit` recordings, newest first."""
    table = schema.recordings
    statement = select(table).order_by(table.c.created_us.desc(), table.c.id).limit(limit)
    return [_recording(row) for row in connection.execute(statement).mappings()]


def _list(connection: Connection, condition: Any) -> list[Recording]:
    table = schema.recordings
    statement = select(table).where(condition).order_by(table.c.created_us, table.c.id)
    return [_recording(row) for row in connection.execute(statement).mappings()]


def _by_id(recording_id: str) -> Select[Any]:
    return select(schema.recordings).where(schema.recordings.c.id == recording_id)


def _first(connection: Connection, statement: Select[Any]) -> Recording | None:
    row = connection.execute(statement).mappings().first()
    return None if row is None else _recording(row)


def _recording(row: RowMapping) -> Recording:
    columns = dict(row)
    columns["state"] = RecordingState(columns["state"])
    return Recording(**columns)
