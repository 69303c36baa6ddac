"""Recordings that could not be stored when they ended are stored when that is possible again.

Their blocks are told as `failed` (exactly one notification a block), their audio is not
lost: while a row is `finishing` and its spool is on this node's disk, each round tries once.
"""

from __future__ import annotations

import asyncio
import contextlib

from sqlalchemy import Connection

from voiceblocks.blocks.recording_shape import RecordingShape
from voiceblocks.calls.events import RecordedAudio
from voiceblocks.clock import Clock
from voiceblocks.database import recordings
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import EncodeError, StoreError
from voiceblocks.log import get_logger
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.sealed_spool import read_sealed
from voiceblocks.recordings.spool import SLOT_SAMPLES, open_spool
from voiceblocks.recordings.state import RecordingState
from voiceblocks.workflows.finish_recording import (
    FinishedRecording,
    FinishRecording,
    heard_name,
    note_stored,
)

_log = get_logger("recordings")

ROUND_S = 60.0


class FinishLeftOver:
    """
    Tries for as long as it runs.

    Args:
        database: Knows what is left over.
        finish_recording: Encodes and stores.
        clock: For the time of readiness.
    """

    def __init__(
        self, *, database: Database, finish_recording: FinishRecording, clock: Clock
    ) -> None:
        self._database = database
        self._finish_recording = finish_recording
        self._clock = clock

    async def run(self) -> None:
        """Go round for ever; cancel it to stop."""
        while True:
            try:
                await self.once()
            except Exception:  # noqa: BLE001 (a full disk, a lost database: the next round may do)
                _log.exception("left_over_recordings_not_tried")
            await asyncio.sleep(ROUND_S)

    async def once(self) -> int:
        """Try everything that is left over; returns how many recordings are ready now."""
        left = await self._database.read(
            lambda connection: recordings.list_in_state(connection, RecordingState.FINISHING)
        )
        done = 0
        for recording in left:
            try:
                finished = await self._finish(recording)
            except (EncodeError, StoreError) as error:
                # Also where the spool is another node's.
                _log.info("recording_still_left_over", name=recording.id, error=str(error))
                continue
            if await self._note(recording.id, finished):
                self._finish_recording.forget_stereo_spools(recording.id)
                _log.warning("left_over_recording_ready", name=recording.id)
                done += 1
        return done

    async def _note(self, recording_id: str, finished: FinishedRecording) -> bool:
        def write(connection: Connection) -> bool:
            row = recordings.find_for_update(connection, recording_id)
            if row is None or row.state is not RecordingState.FINISHING:
                return False
            now_us = self._clock.utc_us()
            note_stored(connection, recording_id, finished, now_us, knows_packets=False)
            return True

        return await self._database.run(write)

    async def _finish(self, recording: Recording) -> FinishedRecording:
        name = recording.id
        if recording.kind is RecordingKind.RECORD:
            if recording.shape.is_sealed:
                n_samples = read_sealed(self._finish_recording.spool_path(name)).extent.n_samples
            else:
                n_samples = self._samples_in(name)
            audio = _audio(name, n_samples, recording.shape)
            return await self._finish_recording.once(audio)
        lengths = []
        for side in (name, heard_name(name)):
            # One of them may never have been made.
            with contextlib.suppress(StoreError):
                lengths.append(self._samples_in(side))
        if not lengths:
            raise StoreError(f"there is no spool of {name}")
        return await self._finish_recording.once_stereo(_audio(name, max(lengths), recording.shape))

    def _samples_in(self, name: str) -> int:
        with open_spool(self._finish_recording.spool_path(name)) as spool:
            n_final = spool.n_final()
            return spool.n_slots() * SLOT_SAMPLES if n_final is None else n_final


def _audio(name: str, n_samples: int, shape: RecordingShape) -> RecordedAudio:
    return RecordedAudio(
        name=name,
        n_samples=n_samples,
        packets_expected=0,
        packets_received=0,
        packets_late=0,
        packets_lost=0,
        shape=shape,
    )
