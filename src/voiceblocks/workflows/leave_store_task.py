"""A transaction that leaves work for a recording's stores; `settle_stores` does it."""

from __future__ import annotations

from sqlalchemy import Connection

from voiceblocks.database import sessions, store_tasks
from voiceblocks.errors import ContractViolation
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.store_task import StoreTask, StoreTaskKind


def leave_task(
    connection: Connection, recording: Recording, kind: StoreTaskKind, now_us: int
) -> None:
    """Leave a task for the node whose disk has the recording."""
    session = sessions.find(connection, recording.session_id)
    if session is None:
        raise ContractViolation(f"recording {recording.id} has no session")
    store_tasks.put(
        connection,
        StoreTask(
            recording_id=recording.id,
            kind=kind,
            node=session.node,
            next_attempt_us=now_us,
            created_us=now_us,
        ),
    )
