"""`conference/call`, and `voice/conference` as it was called before: numbers into a room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import END_NOTIFY_URL, TAG, Fields, Parameter
from voiceblocks.blocks.msg import Part
from voiceblocks.blocks.numbers import CALLER_ID, DESTS
from voiceblocks.blocks.rooms import ROOM


@dataclass(frozen=True, slots=True, kw_only=True)
class ConferenceCommand:
    """Call numbers into one room."""

    block: ClassVar[str] = "conference"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (DESTS, ROOM, CALLER_ID, TAG, END_NOTIFY_URL)

    msg: ClassVar[tuple[Part, ...]] = ()

    dests: tuple[str, ...]
    "In the order in which they were sent; each becomes a transaction of its own."
    room: str | None = None
    "`None`: a new one."
    caller_id: str | None = None
    tag: str = ""
    notify_url: str | None = None
    "Told of each participant's end."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(
            dests=DESTS.read(fields),
            room=ROOM.read(fields),
            caller_id=CALLER_ID.read(fields),
            tag=TAG.read(fields),
            notify_url=END_NOTIFY_URL.read(fields),
        )
