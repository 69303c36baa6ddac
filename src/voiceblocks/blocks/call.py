"""`voice/call`: call two numbers and connect them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.call_limit import CALL_LIMIT
from voiceblocks.blocks.fields import END_NOTIFY_URL, TAG, Fields, Parameter
from voiceblocks.blocks.msg import Part
from voiceblocks.blocks.numbers import (
    CALLER_ID,
    OUTGOING_STATUSES,
    number_parameter,
    number_statuses,
    read_number,
    read_optional_number,
)
from voiceblocks.errors import InvalidRequest


def _read_dest1(fields: Fields) -> str | None:
    return read_optional_number(fields, name="dest1")


def _read_dest2(fields: Fields) -> str:
    dest2 = read_number(fields, name="dest2")
    if dest2 == _read_dest1(fields):
        raise InvalidRequest("error_same_dest1_dest2")
    return dest2


DEST1 = Parameter(
    "dest1",
    _read_dest1,
    ("error_dest1_param_missing", *number_statuses("dest1")),
    "The number that is called first: + and country code. The account's registered number if "
    "omitted.",
)

DEST2 = number_parameter(
    "dest2",
    "The number that is called when the first has answered: + and country code.",
    "error_same_dest1_dest2",
    *OUTGOING_STATUSES,
    read=_read_dest2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCommand:
    """Call two numbers and connect them."""

    block: ClassVar[str] = "call"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (
        DEST1,
        DEST2,
        CALLER_ID,
        CALL_LIMIT,
        TAG,
        END_NOTIFY_URL,
    )

    msg: ClassVar[tuple[Part, ...]] = ()

    dest1: str | None = None
    "`None`: the account's registered number, which may still be `dest2`, or be missing."
    dest2: str
    caller_id: str | None = None
    "What `dest2` sees; `dest1` always sees `dest2`."
    max_duration_s: int | None = None
    "Counted from the answer of `dest2`."
    tag: str = ""
    notify_url: str | None = None

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(
            dest1=DEST1.read(fields),
            dest2=DEST2.read(fields),
            caller_id=CALLER_ID.read(fields),
            max_duration_s=CALL_LIMIT.read(fields),
            tag=TAG.read(fields),
            notify_url=END_NOTIFY_URL.read(fields),
        )
