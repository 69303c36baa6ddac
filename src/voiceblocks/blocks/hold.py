"""Hold: repeat `msg`, or music, until an unhold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import SESSION, Fields, Parameter
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.ids import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCommand:
    """Keep the caller waiting, with music or a message over and over."""

    block: ClassVar[str] = "hold"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (SESSION, MSG)

    tag: ClassVar[str] = ""
    notify_url: ClassVar[None] = None
    "Nothing is told: a hold lasts until the application itself ends it. No call ends by it."

    session: SessionId
    msg: tuple[Part, ...] = ()
    "Repeated; empty: hold music."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(session=SESSION.read(fields), msg=MSG.read(fields))
