"""`recording/health`: how well a recording came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.recordings import RECORDING
from voiceblocks.ids import RecordingId


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingHealthCommand:
    """Ask how well a recording came in: its packets, gaps, level and silence."""

    block: ClassVar[str] = "recording_health"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (RECORDING,)

    recording: RecordingId

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(recording=RECORDING.read(fields))
