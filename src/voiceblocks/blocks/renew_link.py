"""`recording/link`: a new link to a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter, read_whole_number
from voiceblocks.blocks.recordings import RECORDING
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import RecordingId

TTL_HIGHEST_S = 315_360_000
"Ten years."
_SAYS = {"yes": True, "no": False}


def _read_ttl(fields: Fields) -> int | None:
    return (
        read_whole_number(
            fields, "ttl", lowest=1, highest=TTL_HIGHEST_S, default=0, status="error_ttl_invalid"
        )
        or None
    )


def _read_once(fields: Fields) -> bool:
    try:
        return _SAYS[(fields.get("once") or "no").strip(" ").lower()]
    except KeyError:
        raise InvalidRequest("error_once_invalid") from None


TTL = Parameter(
    "ttl",
    _read_ttl,
    ("error_ttl_invalid",),
    f"For how many whole seconds it is good, 1-{TTL_HIGHEST_S}; as the server's settings say if "
    "omitted.",
)

ONCE = Parameter(
    "once",
    _read_once,
    ("error_once_invalid",),
    "`yes`: the link is good for one download. `no` if omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewLinkCommand:
    """Get a new link to a recording."""

    block: ClassVar[str] = "renew_link"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (RECORDING, TTL, ONCE)

    recording: RecordingId
    ttl_s: int | None = None
    "`None`: as the settings say."
    once: bool = False

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(recording=RECORDING.read(fields), ttl_s=TTL.read(fields), once=ONCE.read(fields))
