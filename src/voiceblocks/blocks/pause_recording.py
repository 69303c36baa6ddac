"""`recording/pause`: a recording that is going on keeps nothing until it is resumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.running_recordings import BLOCK, RECORDED_SESSION, RunningRecording
from voiceblocks.ids import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRecordingCommand:
    """Keep nothing of what is said in a call from now on; its recording goes on as silence."""

    block: ClassVar[str] = "pause_recording"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (RECORDED_SESSION, BLOCK)

    session: SessionId
    begun_by: RunningRecording | None = None
    "The block whose recording it is; `None`: all that are going on."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(session=RECORDED_SESSION.read(fields), begun_by=BLOCK.read(fields))
