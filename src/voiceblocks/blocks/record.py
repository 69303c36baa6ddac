"""Record: say `msg`, beep, record the caller until `#`, the limit or hang-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import (
    NOTIFY_URL,
    ROOM_STATUSES,
    SESSION,
    TAG,
    Fields,
    Parameter,
    read_whole_number,
)
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.ids import SessionId

MAX_DURATION_DEFAULT_S = 120
MAX_DURATION_HIGHEST_S = 86_400


def _read_max_duration(fields: Fields) -> int:
    return read_whole_number(
        fields,
        "max_duration",
        lowest=1,
        highest=MAX_DURATION_HIGHEST_S,
        default=MAX_DURATION_DEFAULT_S,
        status="error_invalid_max_duration",
    )


MAX_DURATION = Parameter(
    "max_duration",
    _read_max_duration,
    ("error_invalid_max_duration", *ROOM_STATUSES),
    f"Longest recording in whole seconds, 1-{MAX_DURATION_HIGHEST_S}; "
    f"{MAX_DURATION_DEFAULT_S} if omitted. The caller may end it earlier with #.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCommand:
    """Record the caller."""

    block: ClassVar[str] = "record"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (
        SESSION,
        MSG,
        MAX_DURATION,
        TAG,
        NOTIFY_URL,
    )

    session: SessionId
    msg: tuple[Part, ...] = ()
    max_duration_s: int = MAX_DURATION_DEFAULT_S
    tag: str = ""
    notify_url: str | None = None
    "Without one nothing is recorded: `msg` is said and the call hung up (decision 3)."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Command`."""
        return cls(
            session=SESSION.read(fields),
            msg=MSG.read(fields),
            max_duration_s=MAX_DURATION.read(fields),
            tag=TAG.read(fields),
            notify_url=NOTIFY_URL.read(fields),
        )
