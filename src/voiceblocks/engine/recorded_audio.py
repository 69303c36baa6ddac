"""What a tap leaves behind, in the words of the calls."""

from __future__ import annotations

from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.calls.events import RecordedAudio
from voiceblocks.engine.media.handles import TapResult


def recorded_audio(
    name: str,
    result: TapResult,
    shape: RecordingShape = PLAIN,
    finish_key: str | None = None,
) -> RecordedAudio:
    """A closed tap as a recording's audio."""
    return RecordedAudio(
        name=name,
        n_samples=result.n_samples,
        packets_expected=result.stats.packets_expected,
        packets_received=result.stats.packets_received,
        packets_late=result.stats.packets_late,
        packets_lost=result.stats.packets_lost,
        shape=shape,
        finish_key=finish_key,
        absent_ms=None if result.lost_worker else result.stats.absent_ms,
        paused_ms=None if result.lost_worker else result.stats.paused_ms,
    )
