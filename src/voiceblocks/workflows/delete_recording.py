"""A recording goes for good: its link, its MP3, its spool, and what was rendered from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from voiceblocks.database import recordings
from voiceblocks.database.unit_of_work import Database
from voiceblocks.recordings.interfaces import RecordingStore
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import TRANSITIONS, RecordingEvent, RecordingState, advance


async def delete_recording(
    *,
    database: Database,
    store: RecordingStore,
    recording_id: str,
    spool: Path,
    purge: Callable[[str], None],
    now_us: int,
) -> Recording:
    """
    Delete one recording; its row stays for the books.

    The row is written first, so that the link is dead from then on. Where the store fails
    after that, deleting it again deletes the rest.

    Args:
        database: Knows it.
        store: Has its MP3.
        recording_id: Which one.
        spool: Where its spool would lie.
        purge: Deletes what was made from a file with this SHA-256.
        now_us: UTC.

    Raises:
        ValueError: If there is none, or it is still being made; a sentence.
        StoreError: If the MP3 could not be deleted.
    """
    recording = await database.run(lambda connection: _mark(connection, recording_id, now_us))
    await store.delete(recording.object_name)
    await asyncio.to_thread(spool.unlink, missing_ok=True)
    if recording.sha256 is not None:
        purge(recording.sha256)
    return recording


def _mark(connection: Connection, recording_id: str, now_us: int) -> Recording:
    recording = recordings.find_for_update(connection, recording_id)
    if recording is None:
        raise ValueError(f"There is no recording {recording_id}: see `voiceblocks recordings list`")
    if recording.state is RecordingState.DELETED:
        return recording
    if RecordingEvent.ERASED not in TRANSITIONS[recording.state]:
        raise ValueError(f"Recording {recording_id} is {recording.state}: not done yet, try later")
    state = advance(recording.state, RecordingEvent.ERASED)
    recordings.update(connection, recording_id, state=state, deleted_us=now_us)
    return recording
