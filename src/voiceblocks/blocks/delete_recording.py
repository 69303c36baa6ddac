"""`recording/delete`: a recording goes for good."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.recordings import REASON, RECORDING
from voiceblocks.ids import RecordingId

DELETABLE_RECORDING = replace(RECORDING, statuses=(*RECORDING.statuses, "error_recording_on_hold"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRecordingCommand:
    """Delete a recording for good, with everything that was made from it."""

    block: ClassVar[str] = "delete_recording"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (DELETABLE_RECORDING, REASON)

    recording: RecordingId
    reason: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(recording=DELETABLE_RECORDING.read(fields), reason=REASON.read(fields))
