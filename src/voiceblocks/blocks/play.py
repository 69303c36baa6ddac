"""Play: say `msg`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import NOTIFY_URL, SESSION, TAG, Fields, Parameter
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.ids import SessionId


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayCommand:
    """Say something; saying nothing is allowed, as three of the original's libraries do."""

    block: ClassVar[str] = "play"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (SESSION, MSG, TAG, NOTIFY_URL)

    session: SessionId
    msg: tuple[Part, ...] = ()
    tag: str = ""
    notify_url: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Command`."""
        return cls(
            session=SESSION.read(fields),
            msg=MSG.read(fields),
            tag=TAG.read(fields),
            notify_url=NOTIFY_URL.read(fields),
        )
