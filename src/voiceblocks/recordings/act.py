"""What somebody did to a recording that must be known later: who, when and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voiceblocks.ids import RecordingId

TEXT_MAX = 500
"Characters of a reason or of who did it."


class RecordingActKind(StrEnum):
    """The values are stored."""

    DELETED = "deleted"
    HELD = "held"
    RELEASED = "released"
    REVOKED = "revoked"
    "All links that were handed out are dead."


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingAct:
    """One act; never changed and never deleted."""

    id: str
    recording_id: RecordingId
    act: RecordingActKind
    done_by: str
    'Such as `"application Zf3k…"`, `"operator anna"` or `"keep time"`.'
    reason: str
    "Empty where none was given."
    at_us: int


@dataclass(frozen=True, slots=True)
class Doer:
    """Who does something to a recording, why, and when."""

    done_by: str
    "As in `RecordingAct`."
    reason: str
    at_us: int
