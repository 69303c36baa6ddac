"""How much room on disk a recording may still need, so that none is begun that cannot end.

While it is made it is twice on disk: the spool grows, and the MP3 follows it. At its end the
MP3 goes to where finished recordings are; where that is another disk or folder without links, it
is copied, and for a moment there are two of it. Counted are always two.
"""

from __future__ import annotations

from typing import Final

from voiceblocks.recordings.model import Recording, RecordingKind

HORIZON_S: Final = 3600
"""No recording reserves more than its next hour. Applications ask for a day and get a minute:
to reserve a day for each would refuse recordings on a disk that is nearly empty. What lasts
longer has had an hour in which new ones were refused in its favour."""

PROMPT_S: Final = 60
"A recording's time begins with its beep, and we know only when its block was accepted."

_SPOOL_BYTES_PER_S: Final = 8_050
_CHANNELS: Final = {RecordingKind.RECORD: 1, RecordingKind.MONITOR: 2}
_FINISHED_BYTES_PER_S: Final = {"mp3": 3_000, "wav": 16_000, "sealed": 12_000}
"Of one channel, by format."


def bytes_ahead(
    kind: RecordingKind, limit_s: float, elapsed_s: float = 0.0, *, file_format: str = "mp3"
) -> int:
    """
    Bytes that a recording may still write in its next hour.

    Args:
        kind: One channel, or both.
        limit_s: The longest that it may become.
        elapsed_s: Since its block was accepted.
        file_format: As in `RecordingShape`.
    """
    recorded_s = min(max(elapsed_s - PROMPT_S, 0.0), limit_s)
    next_s = min(limit_s - recorded_s, HORIZON_S)
    finished = _FINISHED_BYTES_PER_S[file_format]
    growing = (_SPOOL_BYTES_PER_S + finished) * next_s
    return round(_CHANNELS[kind] * (growing + finished * (recorded_s + next_s)))


def bytes_ahead_at_most(kind: RecordingKind, limit_s: int | None) -> int:
    """No less than `bytes_ahead` of any format and at any time; `limit_s` as in `Recording`."""
    longest_s = HORIZON_S if limit_s is None else limit_s
    finished = max(_FINISHED_BYTES_PER_S.values())
    growing = (_SPOOL_BYTES_PER_S + finished) * min(longest_s, HORIZON_S)
    return _CHANNELS[kind] * (growing + finished * longest_s)


def bytes_ahead_of(recording: Recording, now_us: int) -> int:
    """The same of one that is being made."""
    elapsed_s = max(now_us - recording.created_us, 0) / 1e6
    # Rows of earlier versions do not know their limit.
    limit_s = HORIZON_S if recording.limit_s is None else recording.limit_s
    file_format = recording.object_name.rpartition(".")[2]
    return bytes_ahead(recording.kind, limit_s, elapsed_s, file_format=file_format)
