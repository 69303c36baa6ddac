"""Hangup: say `msg` and end the call, or end it at once by force.

Left open by the documents and decided here: with `force=enabled` a `msg` is not even
read, since nothing may stand in the way of a forced hang-up; `force` with any other
value counts as absent, since no status is documented for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import NOTIFY_URL, SESSION, TAG, Fields, Parameter
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.ids import SessionId


def _read_force(fields: Fields) -> bool:
    return (fields.get("force") or "").lower() == "enabled"


FORCE = Parameter(
    "force",
    _read_force,
    (),
    "`enabled` ends the call now, also in the middle of another block; `msg` is then ignored.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HangupCommand:
    """End the call."""

    block: ClassVar[str] = "hangup"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (SESSION, FORCE, MSG, TAG, NOTIFY_URL)

    session: SessionId
    force: bool = False
    "At once, whatever is running; `msg` is empty then."
    msg: tuple[Part, ...] = ()
    tag: str = ""
    notify_url: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Command`."""
        return cls(
            session=SESSION.read(fields),
            force=(force := FORCE.read(fields)),
            msg=() if force else MSG.read(fields),
            tag=TAG.read(fields),
            notify_url=NOTIFY_URL.read(fields),
        )
