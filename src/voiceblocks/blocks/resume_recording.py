"""`recording/resume`: a recording that was paused goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.running_recordings import BLOCK, RECORDED_SESSION, RunningRecording
from voiceblocks.ids import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRecordingCommand:
    """Go on recording a call that was paused."""

    block: ClassVar[str] = "resume_recording"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (RECORDED_SESSION, BLOCK)

    session: SessionId
    begun_by: RunningRecording | None = None
    "The block whose recording it is; `None`: all that are going on."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(session=RECORDED_SESSION.read(fields), begun_by=BLOCK.read(fields))
