"""Monitor: say `msg`, and record both sides from here to the end of the call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import (
    REQUIRED_NOTIFY_URL,
    ROOM_STATUSES,
    SESSION,
    TAG,
    Fields,
    Parameter,
    read_notify_url,
)
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.ids import SessionId

UNMONITORED_SESSION = replace(
    SESSION, statuses=(*SESSION.statuses, "error_monitor_in_progress", *ROOM_STATUSES)
)


def _read_monitor_notify_url(fields: Fields) -> str | None:
    return read_notify_url(fields, "monitor_notify_url")


MONITOR_NOTIFY_URL = Parameter(
    "monitor_notify_url",
    _read_monitor_notify_url,
    REQUIRED_NOTIFY_URL.statuses[1:],
    "Where to send the notification when the recording is ready, after the call; `notify_url` if "
    "it is omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorCommand:
    """Record the whole conversation from here on."""

    block: ClassVar[str] = "monitor"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (
        UNMONITORED_SESSION,
        MSG,
        TAG,
        REQUIRED_NOTIFY_URL,
        MONITOR_NOTIFY_URL,
    )

    session: SessionId
    notify_url: str
    msg: tuple[Part, ...] = ()
    tag: str = ""
    monitor_notify_url: str | None = None
    "`None`: as `notify_url`."

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(
            session=UNMONITORED_SESSION.read(fields),
            msg=MSG.read(fields),
            tag=TAG.read(fields),
            notify_url=REQUIRED_NOTIFY_URL.read(fields),
            monitor_notify_url=MONITOR_NOTIFY_URL.read(fields),
        )
