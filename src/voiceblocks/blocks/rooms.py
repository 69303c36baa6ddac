"""Names of conference rooms. Each application has its own."""

from __future__ import annotations

import re

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.errors import InvalidRequest

ROOM_MAX = 32
_NAME = re.compile(r"[A-Za-z0-9._]{1,32}\Z", re.ASCII)


def parse_room(name: str) -> str:
    """
    Check a room's name.

    Raises:
        InvalidRequest: `error_invalid_room`.
    """
    if _NAME.match(name) is None:
        raise InvalidRequest("error_invalid_room")
    return name


def _read_room(fields: Fields) -> str | None:
    text = fields.get("room")
    return parse_room(name) if text is not None and (name := text.strip(" ")) else None


ROOM = Parameter(
    "room",
    _read_room,
    ("error_invalid_room",),
    f"The room: letters, digits, dots and underscores, at most {ROOM_MAX}. If somebody is in it, "
    "the called ones join them; a new one is made if it is omitted.",
)
