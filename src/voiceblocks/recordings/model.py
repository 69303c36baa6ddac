"""A recording as it is stored; the audio itself lies in a `RecordingStore`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voiceblocks.blocks.recording_shape import RecordingShape
from voiceblocks.ids import AppId, RecordingId, SessionId
from voiceblocks.recordings.state import RecordingState

_AFTER_CRASH = "server_restart"
"The value of `calls.events.EndReason`."


class RecordingKind(StrEnum):
    """What was recorded; the values are stored."""

    RECORD = "record"
    "The caller, by a record block."
    MONITOR = "monitor"
    "The whole call from a monitor block on, both sides."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recording, from the accepted block to its deletion."""

    id: RecordingId
    session_id: SessionId
    app_id: AppId
    kind: RecordingKind = RecordingKind.RECORD
    state: RecordingState
    end_reason: str | None
    "Value of `calls.events.EndReason`; `None` while it is pending."
    notify_url: str | None = None
    "Where a monitor is told; a record is told with its block."
    tag: str | None = None
    "A monitor's own."
    object_name: str
    'Name in the store and in its link, e.g. `"rec-0f…c3.mp3"`.'
    size_bytes: int | None = None
    duration_ms: int | None = None
    sha256: str | None = None
    "Lower-case hex of the MP3."
    packets_expected: int | None = None
    packets_received: int | None = None
    packets_late: int | None = None
    packets_lost: int | None = None
    absent_ms: int | None = None
    "For which nothing came from the network: silence in the recording."
    silent_ms: int | None = None
    paused_ms: int | None = None
    "In which it was paused: neither absent nor silent."
    level_dbfs: float | None = None
    "Of what is not silence."
    is_one_way: bool | None = None
    "Next to nothing came from the caller."
    trims_silence: bool = False
    silences_keys: bool = False
    "As `blocks.recording_shape`; the format is how `object_name` ends."
    limit_s: int | None = None
    "The longest that it may become."
    link_revision: int = 0
    "How often its links were revoked: only those of now are good."
    held_us: int | None = None
    "Since when it is held for lawyers: nothing deletes it."
    created_us: int
    ready_us: int | None = None
    uploaded_us: int | None = None
    "Since when it is in the remote store, and not on local disk any more."
    deleted_us: int | None = None

    @property
    def packets(self) -> tuple[int, int, int, int] | None:
        """
        Expected, received, late, lost: what the network did.

        `None` while it is not known, and after a crash, which the counts do not survive.
        """
        expected, received = self.packets_expected, self.packets_received
        late, lost = self.packets_late, self.packets_lost
        if expected is None or received is None or late is None or lost is None:
            return None
        return None if self.end_reason == _AFTER_CRASH else (expected, received, late, lost)

    @property
    def shape(self) -> RecordingShape:
        """What it is to become, or became."""
        return RecordingShape(
            format=self.object_name.rpartition(".")[2],
            trims_silence=self.trims_silence,
            silences_keys=self.silences_keys,
        )
