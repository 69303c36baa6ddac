"""Transfer: connect the caller with a number, with the first of several to answer, or a room.

The original's Python libraries put a plus sign and a country code before everything that has
no plus (`+1room:R1`): in front of `room:` both are dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import NOTIFY_URL, SESSION, TAG, Fields, Parameter
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.blocks.numbers import CALLER_ID, DESTS, DESTS_MAX, parse_numbers
from voiceblocks.blocks.ring_time import RING_TIME, RING_TIME_DEFAULT_S, RINGTIME
from voiceblocks.blocks.rooms import parse_room
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import SessionId

_TO_ROOM = re.compile(r" *\+?[0-9]{0,4} *room:(.*)\Z", re.ASCII | re.IGNORECASE | re.DOTALL)


class OnFailure(StrEnum):
    """What becomes of the call when nobody answers the transfer."""

    HANGUP = "hangup"
    CONTINUE = "continue"
    "The application may send further blocks."


@dataclass(frozen=True, slots=True)
class TransferDest:
    """Where a caller is transferred to: numbers, or a room."""

    numbers: tuple[str, ...] = ()
    room: str | None = None
    "A room's name; empty: a new one; `None`: no room."


def _read_dest(fields: Fields) -> TransferDest:
    text = fields.required("dest")
    room = _TO_ROOM.match(text)
    if room is None:
        return TransferDest(parse_numbers(text))
    name = room[1].strip(" ")
    return TransferDest(room=parse_room(name) if name else "")


def _read_on_failure(fields: Fields) -> OnFailure:
    word = (fields.get("on_failure") or "").strip(" ").lower()
    try:
        return OnFailure(word or OnFailure.HANGUP)
    except ValueError:
        raise InvalidRequest("error_on_failure_invalid") from None


TRANSFER_DEST = Parameter(
    "dest",
    _read_dest,
    (*DESTS.statuses, "error_invalid_room"),
    f"A number (+ and country code), up to {DESTS_MAX} numbers with commas between them, of which "
    "the first to answer is connected, `room:NAME`, or `room:` for a new room.",
    required=True,
)

ON_FAILURE = Parameter(
    "on_failure",
    _read_on_failure,
    ("error_on_failure_invalid",),
    "`hangup` ends the call if nobody answers; `continue` lets you send further blocks, which "
    "needs a `notify_url`. `hangup` if omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCommand:
    """Connect the caller with somebody else."""

    block: ClassVar[str] = "transfer"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (
        SESSION,
        TRANSFER_DEST,
        MSG,
        CALLER_ID,
        ON_FAILURE,
        RING_TIME,
        RINGTIME,
        TAG,
        NOTIFY_URL,
    )

    session: SessionId
    dests: tuple[str, ...] = ()
    room: str | None = None
    "A room's name; empty: a new one; `None`: to `dests`."
    msg: tuple[Part, ...] = ()
    caller_id: str | None = None
    on_failure: OnFailure = OnFailure.HANGUP
    "Never `CONTINUE` without `notify_url`: nobody would hear that the call goes on."
    ring_time_s: int = RING_TIME_DEFAULT_S
    tag: str = ""
    notify_url: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        session = SESSION.read(fields)
        dest = TRANSFER_DEST.read(fields)
        msg = MSG.read(fields)
        caller_id = CALLER_ID.read(fields)
        on_failure = ON_FAILURE.read(fields)
        ring_time_s = RING_TIME.read(fields)
        tag = TAG.read(fields)
        notify_url = NOTIFY_URL.read(fields)
        return cls(
            session=session,
            dests=dest.numbers,
            room=dest.room,
            msg=msg,
            caller_id=caller_id,
            on_failure=on_failure if notify_url is not None else OnFailure.HANGUP,
            ring_time_s=ring_time_s,
            tag=tag,
            notify_url=notify_url,
        )
