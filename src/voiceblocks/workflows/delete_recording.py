"""A recording goes for good: its link at once, its audio as soon as the stores let it go.

The row stays for the books, with who deleted it, when and why. One transaction marks it and
leaves a task; whoever carries that out deletes the MP3 wherever it is, the spools, and
everything that was made from it as a prompt. A store that is away is asked again for as long
as it takes (`settle_stores`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.database import recording_acts, recordings
from voiceblocks.recordings.act import TEXT_MAX, Doer, RecordingAct, RecordingActKind
from voiceblocks.recordings.errors import RecordingNotReady, RecordingOnHold, UnknownRecording
from voiceblocks.recordings.interfaces import RecordingStore
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.spool import HEARD_SUFFIX
from voiceblocks.recordings.state import TRANSITIONS, RecordingEvent, RecordingState, advance
from voiceblocks.recordings.store_task import StoreTaskKind
from voiceblocks.workflows.leave_store_task import leave_task


class EraseRecording:
    """
    Deletes all audio of a recording. Doing it again is fine.

    Args:
        store: Has its MP3.
        spool_path: Where the spool of a name would lie.
        purges: Each deletes what was made from a file with this SHA-256.
    """

    def __init__(
        self,
        *,
        store: RecordingStore,
        spool_path: Callable[[str], Path],
        purges: tuple[Callable[[str], None], ...],
    ) -> None:
        self._store = store
        self._spool_path = spool_path
        self._purges = purges

    async def __call__(self, recording: Recording) -> None:
        """
        Delete what is on this machine, and then what is in the store.

        Raises:
            StoreError: If the store did not let it go; all else is gone then.
        """
        for name in (recording.id, recording.id + HEARD_SUFFIX):
            await asyncio.to_thread(self._spool_path(name).unlink, missing_ok=True)
        if recording.sha256 is not None:
            for purge in self._purges:
                await asyncio.to_thread(purge, recording.sha256)
        await self._store.delete(recording.object_name)


def mark_deleted(connection: Connection, recording_id: str, doer: Doer) -> Recording:
    """
    Say that a recording is deleted, and leave the task to erase it.

    One that was deleted before is erased once more, and nothing else is written.

    Raises:
        UnknownRecording, RecordingNotReady, RecordingOnHold: With a sentence.
    """
    recording = require_recording(connection, recording_id)
    if recording.state is not RecordingState.DELETED:
        if recording.held_us is not None:
            raise RecordingOnHold(
                f"Recording {recording_id} is on hold: `voiceblocks recordings show` says why; "
                "release it first"
            )
        if RecordingEvent.ERASED not in TRANSITIONS[recording.state]:
            raise RecordingNotReady(
                f"Recording {recording_id} is {recording.state}: not done yet, try later"
            )
        state = advance(recording.state, RecordingEvent.ERASED)
        recordings.update(connection, recording_id, state=state, deleted_us=doer.at_us)
        note_act(connection, recording, RecordingActKind.DELETED, doer)
    leave_task(connection, recording, StoreTaskKind.ERASE, doer.at_us)
    return recording


def require_recording(connection: Connection, recording_id: str) -> Recording:
    """
    Return the recording, locked until the end of the transaction.

    Raises:
        UnknownRecording: If there is none.
    """
    recording = recordings.find_for_update(connection, recording_id)
    if recording is None:
        raise UnknownRecording(
            f"There is no recording {recording_id}: see `voiceblocks recordings list`"
        )
    return recording


def note_act(
    connection: Connection, recording: Recording, act: RecordingActKind, doer: Doer
) -> None:
    """Write down who did what to a recording; long texts are cut."""
    recording_acts.insert(
        connection,
        RecordingAct(
            id=ids.new_act_id(),
            recording_id=recording.id,
            act=act,
            done_by=doer.done_by[:TEXT_MAX],
            reason=doer.reason[:TEXT_MAX],
            at_us=doer.at_us,
        ),
    )
