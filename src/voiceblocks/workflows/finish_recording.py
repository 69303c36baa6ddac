"""A recording is over: encode its last second, store it, and only then say that it is ready.

The audio work comes first and outside of any transaction; the row and the notification's
parameters are written by `note_recording` in the transaction of the block's end. The
spool is deleted after that commit, so a crash at any point finds either the spool or the
finished recording.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from voiceblocks.calls.events import EndReason, RecordedAudio
from voiceblocks.database import recordings
from voiceblocks.engine.media.salvage import spool_path
from voiceblocks.errors import EncodeError, StoreError
from voiceblocks.log import get_logger
from voiceblocks.recordings.interfaces import RecordingEncoder, RecordingStore
from voiceblocks.recordings.state import RecordingEvent, RecordingState, advance

_log = get_logger("recordings")


@dataclass(frozen=True, slots=True)
class FinishedRecording:
    """A stored MP3 and the link that goes into the notification."""

    object_name: str
    size_bytes: int
    sha256: str
    duration_ms: int
    url: str
    audio: RecordedAudio


class FinishRecording:
    """
    Turns recorded audio into a stored MP3 with a link.

    Args:
        encoder: Has followed the spool while the call went on.
        store: Where finished recordings live.
        spool_dir: Where the spools are.
        sign_link: Makes the full link for an object name.
    """

    def __init__(
        self,
        *,
        encoder: RecordingEncoder,
        store: RecordingStore,
        spool_dir: Path,
        sign_link: Callable[[str], str],
    ) -> None:
        self._encoder = encoder
        self._store = store
        self._spool_dir = spool_dir
        self._sign_link = sign_link

    def spool_path(self, name: str) -> Path:
        """Where the spool of a recording lies."""
        return spool_path(self._spool_dir, name)

    async def __call__(self, audio: RecordedAudio, reason: EndReason) -> FinishedRecording | None:
        """
        Encode and store.

        A caller who leaves before the first sample left no recording; one who pressed the
        finishing key right away did, the shortest there is.

        Returns:
            `None` where there is no audio, or where encoding or storing failed: the spool
            is then kept for the operator, and the log says where it is.
        """
        if audio.n_samples == 0 and reason is not EndReason.FINISH_KEY:
            self._encoder.abandon(audio.name)
            return None
        n_samples = max(audio.n_samples, 1)
        object_name = f"{audio.name}.mp3"
        spool = self.spool_path(audio.name)
        try:
            encoded = await self._encoder.finish(audio.name, spool, n_samples)
            await self._store.put(object_name, encoded.path)
        except (EncodeError, StoreError) as error:
            _log.error(
                "recording_not_finished", name=audio.name, kept_spool=str(spool), error=str(error)
            )
            return None
        encoded.path.unlink(missing_ok=True)
        return FinishedRecording(
            object_name=object_name,
            size_bytes=encoded.size_bytes,
            sha256=encoded.sha256,
            duration_ms=encoded.duration_ms,
            url=self._sign_link(object_name),
            audio=audio,
        )

    def forget_spool(self, name: str) -> None:
        """Delete the spool; call after the commit that says the recording is ready."""
        self.spool_path(name).unlink(missing_ok=True)


def note_recording(
    connection: Connection,
    recording_id: str,
    finished: FinishedRecording | None,
    reason: EndReason,
    at_us: int,
) -> list[tuple[str, str]]:
    """Write the recording's row; return the parameters of its notification."""
    if finished is None:
        state = advance(RecordingState.PENDING, RecordingEvent.NOTHING_RECORDED)
        recordings.update(connection, recording_id, state=state, end_reason=reason.value)
        return [("record_status", "failed")]
    state = advance(RecordingState.PENDING, RecordingEvent.AUDIO_COMPLETE)
    recordings.update(
        connection,
        recording_id,
        state=advance(state, RecordingEvent.STORED),
        end_reason=reason.value,
        size_bytes=finished.size_bytes,
        sha256=finished.sha256,
        duration_ms=finished.duration_ms,
        packets_expected=finished.audio.packets_expected,
        packets_received=finished.audio.packets_received,
        packets_late=finished.audio.packets_late,
        packets_lost=finished.audio.packets_lost,
        ready_us=at_us,
    )
    return [("record_status", "success"), ("record_url", finished.url)]
