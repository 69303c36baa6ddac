"""Unhold: end a hold. The only block that a held call takes, beside a forced hang-up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import NOTIFY_URL, SESSION, TAG, Fields, Parameter
from voiceblocks.blocks.msg import Part
from voiceblocks.ids import SessionId

HELD_SESSION = replace(
    SESSION,
    statuses=(
        *(status for status in SESSION.statuses if status != "error_session_not_ready"),
        "error_session_not_on_hold",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnholdCommand:
    """End a hold."""

    block: ClassVar[str] = "unhold"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (HELD_SESSION, TAG, NOTIFY_URL)

    msg: ClassVar[tuple[Part, ...]] = ()
    "One client's library sends a message; it is not read."

    session: SessionId
    tag: str = ""
    notify_url: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(
            session=HELD_SESSION.read(fields),
            tag=TAG.read(fields),
            notify_url=NOTIFY_URL.read(fields),
        )
