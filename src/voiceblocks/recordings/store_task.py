"""What a store has still to do with a recording, however long the store is away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from voiceblocks.ids import RecordingId

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 3600.0
"Nothing is given up: after some hours a task is tried once an hour, for ever."


class StoreTaskKind(StrEnum):
    """The values are stored."""

    UPLOAD = "upload"
    "It is on local disk, and belongs in the remote store."
    ERASE = "erase"
    "It was deleted, and what is left of it must go."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreTask:
    """One recording's; the last one decided replaces what was to be done before."""

    recording_id: RecordingId
    kind: StoreTaskKind
    node: str
    "Whose disk has the file."
    attempt_count: int = 0
    "Those that failed."
    next_attempt_us: int
    last_error: str | None = None
    created_us: int


def pause_s(n_failures: int) -> float:
    """Seconds until the next attempt after so many failed ones (1 or more)."""
    # Beyond 20 doublings the power itself would be the cost.
    return min(FIRST_PAUSE_S * 2.0 ** min(n_failures - 1, 20), LONGEST_PAUSE_S)
