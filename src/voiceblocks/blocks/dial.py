"""Dial: call a number, and say `msg` to whoever answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.call_limit import CALL_LIMIT
from voiceblocks.blocks.fields import NOTIFY_URL, TAG, Fields, Parameter
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.blocks.numbers import CALLER_ID, OUTGOING_STATUSES, number_parameter
from voiceblocks.blocks.ring_time import RING_TIME, RING_TIME_DEFAULT_S, RINGTIME

DEST = number_parameter("dest", "The number to call: + and country code.", *OUTGOING_STATUSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialCommand:
    """Call a number and say something."""

    block: ClassVar[str] = "dial"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (
        DEST,
        MSG,
        CALLER_ID,
        CALL_LIMIT,
        RING_TIME,
        RINGTIME,
        TAG,
        NOTIFY_URL,
    )

    dest: str
    msg: tuple[Part, ...] = ()
    caller_id: str | None = None
    max_duration_s: int | None = None
    ring_time_s: int = RING_TIME_DEFAULT_S
    tag: str = ""
    notify_url: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(
            dest=DEST.read(fields),
            msg=MSG.read(fields),
            caller_id=CALLER_ID.read(fields),
            max_duration_s=CALL_LIMIT.read(fields),
            ring_time_s=RING_TIME.read(fields),
            tag=TAG.read(fields),
            notify_url=NOTIFY_URL.read(fields),
        )
