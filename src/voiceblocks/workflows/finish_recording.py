"""A recording is over: encode its last second, store it, and only then say that it is ready.

The audio work comes first and outside of any transaction; the row and the notification's
parameters are written by `note_recording` in the transaction of the block's end. The
spool is deleted after that commit, so a crash at any point finds either the spool or the
finished recording.

A store or disk that fails is tried again for some seconds, while the application waits for
the end of its block. Then the block ends as `failed`, but the recording is not: it stays
`finishing` with its spool, and `finish_left_over` goes on trying.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from voiceblocks.blocks.recording_shape import RecordingShape
from voiceblocks.calls.events import EndReason, RecordedAudio
from voiceblocks.database import recordings
from voiceblocks.engine.media.salvage import spool_path
from voiceblocks.errors import EncodeError, StoreError
from voiceblocks.log import get_logger
from voiceblocks.notifications.recording_words import RecordingFacts, record_parameters
from voiceblocks.recordings.interfaces import (
    AudioHealth,
    EncodedRecording,
    RecordingEncoder,
    RecordingStore,
)
from voiceblocks.recordings.spool import HEARD_SUFFIX
from voiceblocks.recordings.state import RecordingEvent, RecordingState, advance
from voiceblocks.recordings.store_task import StoreTaskKind
from voiceblocks.workflows.finish_sealed import take_sealed
from voiceblocks.workflows.leave_store_task import leave_task

_log = get_logger("recordings")

SAMPLES_PER_MS = 8

ONE_WAY_SHARE = 0.95
"A caller's phone that suppresses silence still sends now and then; one behind a firewall does not."
LEAST_JUDGED_MS = 1000

RETRY_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
"Between attempts to encode and store, as long as somebody waits for the recording."


@dataclass(frozen=True, slots=True)
class FinishedRecording:
    """A stored recording and the link that goes into the notification."""

    object_name: str
    size_bytes: int
    sha256: str
    duration_ms: int
    url: str
    audio: RecordedAudio
    health: AudioHealth
    awaits_upload: bool = False
    "It is on local disk, and the remote store gets it later."

    @property
    def paused_ms(self) -> int:
        """In which it was paused: exact as long as the media worker lived and nothing is cut."""
        told_ms = self.audio.paused_ms
        is_whole = told_ms is not None and not self.audio.shape.trims_silence
        return told_ms if is_whole and told_ms is not None else self.health.paused_ms

    @property
    def is_one_way(self) -> bool:
        """Whether next to nothing came from the caller while the call was up."""
        whole_ms = self.audio.n_samples // SAMPLES_PER_MS - self.paused_ms
        return whole_ms >= LEAST_JUDGED_MS and self.health.absent_ms >= ONE_WAY_SHARE * whole_ms


class FinishRecording:
    """
    Turns recorded audio into a stored MP3 with a link.

    Args:
        encoder: Has followed the spool while the call went on.
        store: Where finished recordings live.
        spool_dir: Where the spools are.
        sign_link: Makes the full link for an object name.
        retry_pauses_s: Between attempts, seconds.
    """

    def __init__(
        self,
        *,
        encoder: RecordingEncoder,
        store: RecordingStore,
        spool_dir: Path,
        sign_link: Callable[[str], str],
        retry_pauses_s: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        self._encoder = encoder
        self._store = store
        self._spool_dir = spool_dir
        self._sign_link = sign_link
        self._retry_pauses_s = tuple(retry_pauses_s)
        self.n_ready = 0
        self.n_given_up = 0
        "Left to `finish_left_over`, after the application was told that there is none."

    def spool_path(self, name: str) -> Path:
        """Where the spool of a recording lies."""
        return spool_path(self._spool_dir, name)

    async def __call__(self, audio: RecordedAudio, reason: EndReason) -> FinishedRecording | None:
        """
        Encode and store.

        A caller who leaves before the first sample left no recording; one who pressed the
        finishing key right away did, the shortest there is.

        Returns:
            `None` where there is no audio, or where encoding or storing failed all the time:
            the spool is then kept, and the log says where it is.
        """
        if audio.n_samples == 0 and reason is not EndReason.FINISH_KEY:
            self._encoder.abandon(audio.name)
            return None
        return await self._try(self.once, audio)

    def follow_stereo(self, name: str, caller: Path, heard: Path, shape: RecordingShape) -> None:
        """Begin to encode both sides of a call while it goes on."""
        self._encoder.follow_stereo(name, caller, heard, shape)

    async def stereo(self, audio: RecordedAudio) -> FinishedRecording | None:
        """Encode and store both sides of a call; `None` as for one side."""
        return await self._try(self.once_stereo, audio)

    def abandon(self, name: str) -> None:
        """Nothing was recorded."""
        self._encoder.abandon(name)

    async def _try(
        self, once: Callable[[RecordedAudio], Awaitable[FinishedRecording]], audio: RecordedAudio
    ) -> FinishedRecording | None:
        for pause_s in self._retry_pauses_s:
            try:
                return self._counted(await once(audio))
            except (EncodeError, StoreError) as error:
                _log.warning("recording_tried_again", name=audio.name, error=str(error))
            await asyncio.sleep(pause_s)
        try:
            return self._counted(await once(audio))
        except (EncodeError, StoreError) as error:
            self.n_given_up += 1
            kept = str(self.spool_path(audio.name))
            _log.error("recording_not_finished", name=audio.name, kept_spool=kept, error=str(error))
            return None

    def _counted(self, finished: FinishedRecording) -> FinishedRecording:
        self.n_ready += 1
        return finished

    async def once(self, audio: RecordedAudio) -> FinishedRecording:
        """
        Encode and store in one attempt.

        Raises:
            EncodeError, StoreError: As they say; the spool is as it was.
        """
        if audio.shape.is_sealed:
            path = self.spool_path(audio.name)
            return await self._store_it(audio, await asyncio.to_thread(take_sealed, path, audio))
        encoded = await self._encoder.finish(
            audio.name,
            self.spool_path(audio.name),
            max(audio.n_samples, 1),
            audio.shape,
            audio.finish_key,
        )
        return await self._store_it(audio, encoded)

    async def once_stereo(self, audio: RecordedAudio) -> FinishedRecording:
        """
        The same of both sides of a call; `audio` has the length of the longer one.

        Raises:
            EncodeError, StoreError: As they say; the spools are as they were.
        """
        encoded = await self._encoder.finish_stereo(
            audio.name,
            self.spool_path(audio.name),
            self.spool_path(heard_name(audio.name)),
            audio.n_samples,
            audio.shape,
        )
        return await self._store_it(audio, encoded)

    async def _store_it(self, audio: RecordedAudio, encoded: EncodedRecording) -> FinishedRecording:
        object_name = f"{audio.name}.{audio.shape.format}"
        try:
            stored = await self._store.put(object_name, encoded.path)
            await self._read_back(object_name, encoded)
        finally:
            # A sealed one is its own spool, and goes with the commit.
            if not audio.shape.is_sealed:
                encoded.path.unlink(missing_ok=True)
        return FinishedRecording(
            object_name=object_name,
            size_bytes=encoded.size_bytes,
            sha256=encoded.sha256,
            duration_ms=encoded.duration_ms,
            url=self._sign_link(object_name),
            audio=audio,
            health=encoded.health,
            awaits_upload=stored.awaits_upload,
        )

    async def _read_back(self, object_name: str, encoded: EncodedRecording) -> None:
        """What was stored is what was encoded, byte for byte: only then is it ready."""
        if await self._store.sha256(object_name) != encoded.sha256:
            raise StoreError(f"{object_name} was stored, but reads back different")

    def forget_spool(self, name: str) -> None:
        """Delete the spool; call after the commit that says the recording is ready."""
        self.spool_path(name).unlink(missing_ok=True)

    def forget_stereo_spools(self, name: str) -> None:
        """Delete both spools of a call; as `forget_spool`."""
        self.forget_spool(heard_name(name))
        self.forget_spool(name)


def heard_name(name: str) -> str:
    """The spool of what the caller of a monitored call heard."""
    return name + HEARD_SUFFIX


def note_recording(
    connection: Connection,
    recording_id: str,
    finished: FinishedRecording | None,
    reason: EndReason,
    at_us: int,
    *,
    has_audio: bool,
) -> list[tuple[str, str]]:
    """
    Write the recording's row; return the parameters of its notification.

    Args:
        connection: Of the transaction that ends the block.
        recording_id: Whose row.
        finished: What is stored, if it could be.
        reason: Why the block ended.
        at_us: When it did.
        has_audio: Whether a spool is there that may still become a recording.
    """
    event = RecordingEvent.AUDIO_COMPLETE if has_audio else RecordingEvent.NOTHING_RECORDED
    state = advance(RecordingState.PENDING, event)
    recordings.update(connection, recording_id, state=state, end_reason=reason.value)
    if finished is None:
        return record_parameters(None)
    note_stored(connection, recording_id, finished, at_us)
    return record_parameters(facts_of(finished, reason))


def facts_of(finished: FinishedRecording, reason: EndReason) -> RecordingFacts:
    """What is told of a recording that is ready."""
    audio = finished.audio
    return RecordingFacts(
        url=finished.url,
        size_bytes=finished.size_bytes,
        duration_ms=finished.duration_ms,
        sha256=finished.sha256,
        end_reason=reason.value,
        packets=None
        if reason is EndReason.SERVER_RESTART
        else (
            audio.packets_expected,
            audio.packets_received,
            audio.packets_late,
            audio.packets_lost,
        ),
        absent_ms=finished.health.absent_ms,
        level_dbfs=finished.health.level_dbfs,
        silent_ms=finished.health.silent_ms,
        is_one_way=finished.is_one_way,
        paused_ms=finished.paused_ms,
    )


def note_stored(
    connection: Connection,
    recording_id: str,
    finished: FinishedRecording,
    at_us: int,
    *,
    knows_packets: bool = True,
) -> None:
    """
    Write down that a recording that was finishing is ready, and that its upload follows.

    Args:
        connection: Of the transaction.
        recording_id: Whose row.
        finished: What is stored.
        at_us: Since when.
        knows_packets: False where who counted them is gone: not known is not none.
    """
    audio = finished.audio
    expected, received, late, lost = (
        (audio.packets_expected, audio.packets_received, audio.packets_late, audio.packets_lost)
        if knows_packets
        else (None, None, None, None)
    )
    if finished.awaits_upload and (row := recordings.find(connection, recording_id)) is not None:
        leave_task(connection, row, StoreTaskKind.UPLOAD, at_us)
    recordings.update(
        connection,
        recording_id,
        state=advance(RecordingState.FINISHING, RecordingEvent.STORED),
        size_bytes=finished.size_bytes,
        sha256=finished.sha256,
        duration_ms=finished.duration_ms,
        packets_expected=expected,
        packets_received=received,
        packets_late=late,
        packets_lost=lost,
        absent_ms=finished.health.absent_ms,
        silent_ms=finished.health.silent_ms,
        level_dbfs=finished.health.level_dbfs,
        is_one_way=finished.is_one_way,
        paused_ms=finished.paused_ms,
        ready_us=at_us,
    )
