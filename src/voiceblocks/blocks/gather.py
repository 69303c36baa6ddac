"""Gather: say `msg` and take what the caller types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import (
    REQUIRED_NOTIFY_URL,
    SESSION,
    TAG,
    Fields,
    Parameter,
    read_whole_number,
)
from voiceblocks.blocks.msg import MSG, Part
from voiceblocks.ids import SessionId

MAX_DIGITS_HIGHEST = 255
UNLIMITED_DIGITS = 1000
"What `max_digits=0` means: a notification must still fit into a URL (decision 31)."
TIMEOUT_DEFAULT_S = 15
TIMEOUT_HIGHEST_S = 300
ATTEMPTS_HIGHEST = 10


def _read_max_digits(fields: Fields) -> int:
    number = read_whole_number(
        fields,
        "max_digits",
        lowest=0,
        highest=MAX_DIGITS_HIGHEST,
        default=0,
        status="error_invalid_max_digits",
    )
    return number or UNLIMITED_DIGITS


def _read_timeout(fields: Fields) -> int:
    return read_whole_number(
        fields,
        "timeout",
        lowest=1,
        highest=TIMEOUT_HIGHEST_S,
        default=TIMEOUT_DEFAULT_S,
        status="error_invalid_timeout",
    )


def _read_attempts(fields: Fields) -> int:
    return read_whole_number(
        fields,
        "attempts",
        lowest=1,
        highest=ATTEMPTS_HIGHEST,
        default=1,
        status="error_invalid_attempts",
    )


MAX_DIGITS = Parameter(
    "max_digits",
    _read_max_digits,
    ("error_invalid_max_digits",),
    f"So many digits end the entry, 0-{MAX_DIGITS_HIGHEST}. With 0, or if it is omitted, only # or "
    f"the timeout does (or {UNLIMITED_DIGITS} digits).",
)

TIMEOUT = Parameter(
    "timeout",
    _read_timeout,
    ("error_invalid_timeout",),
    "Whole seconds to wait for the first digit after msg, and for each further one, "
    f"1-{TIMEOUT_HIGHEST_S}; {TIMEOUT_DEFAULT_S} if omitted.",
)

ATTEMPTS = Parameter(
    "attempts",
    _read_attempts,
    ("error_invalid_attempts",),
    f"How often msg is said while nothing is typed, 1-{ATTEMPTS_HIGHEST}; 1 if omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherCommand:
    """Say something and take what the caller types."""

    block: ClassVar[str] = "gather"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (
        SESSION,
        MSG,
        MAX_DIGITS,
        TIMEOUT,
        ATTEMPTS,
        TAG,
        REQUIRED_NOTIFY_URL,
    )

    session: SessionId
    notify_url: str
    msg: tuple[Part, ...] = ()
    max_digits: int = UNLIMITED_DIGITS
    "At least 1: that there is no limit is a number here, too."
    timeout_s: int = TIMEOUT_DEFAULT_S
    attempts: int = 1
    tag: str = ""

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Command`."""
        return cls(
            session=SESSION.read(fields),
            msg=MSG.read(fields),
            max_digits=MAX_DIGITS.read(fields),
            timeout_s=TIMEOUT.read(fields),
            attempts=ATTEMPTS.read(fields),
            tag=TAG.read(fields),
            notify_url=REQUIRED_NOTIFY_URL.read(fields),
        )
