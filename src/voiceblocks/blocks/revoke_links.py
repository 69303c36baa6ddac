"""`recording/revoke`: all links to a recording become worthless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.recordings import REASON, RECORDING
from voiceblocks.ids import RecordingId


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeLinksCommand:
    """Make every link to a recording worthless that was handed out until now."""

    block: ClassVar[str] = "revoke_links"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (RECORDING, REASON)

    recording: RecordingId
    reason: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(recording=RECORDING.read(fields), reason=REASON.read(fields))
