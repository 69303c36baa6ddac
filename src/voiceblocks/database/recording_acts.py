"""Who did what to recordings, in the database.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row
from voiceblocks.recordings.act import RecordingAct, RecordingActKind

_table = schema.recording_acts

_OF_RECORDING = Prepared(
    select(_table)
    .where(_table.c.recording_id == bindparam("recording_id"))
    .order_by(_table.c.at_us, _table.c.id)
)


def insert(connection: Connection, act: RecordingAct) -> None:
    """Write down an act; belongs in the transaction that does it."""
    insert_row(connection, _table, act)


def list_of_recording(connection: Connection, recording_id: str) -> list[RecordingAct]:
    """Return what was done to a recording, oldest first."""
    rows = _OF_RECORDING.all_by_name(connection, {"recording_id": recording_id})
    return [RecordingAct(**{**row, "act": RecordingActKind(row["act"])}) for row in rows]
