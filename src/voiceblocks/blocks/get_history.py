"""`voice/get_history`: the application's calls of a span of time, page by page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar, Self

from voiceblocks.blocks.fields import Fields, Parameter, read_whole_number
from voiceblocks.errors import InvalidRequest

PAGE_HIGHEST = 1_000_000
PAGE_SIZE_HIGHEST = 100

_GMT_PLUS_8 = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# A fraction as the live service sometimes gave it, and a date alone.
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,6})?)?\Z",
    re.ASCII,
)


def _read_time(fields: Fields, name: str, *, end: bool) -> int | None:
    """A second's, or a day's, first microsecond; its last with `end`."""
    text = (fields.get(name) or "").strip(" ")
    if not text:
        return None
    match = _TIME.match(text)
    if match is None:
        raise InvalidRequest(f"error_{name}_invalid")
    day, time = match.groups()
    try:
        at = datetime.fromisoformat(f"{day} {time or '00:00:00'}").replace(tzinfo=_GMT_PLUS_8)
        at_us = (at - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise InvalidRequest(f"error_{name}_invalid") from None
    length = _SECOND if time else _DAY
    return at_us + (length // timedelta(microseconds=1) - 1 if end else 0)


def _read_from(fields: Fields) -> int | None:
    return _read_time(fields, "from", end=False)


def _read_to(fields: Fields) -> int | None:
    to_us, from_us = _read_time(fields, "to", end=True), _read_from(fields)
    if to_us is not None and from_us is not None and to_us < from_us:
        raise InvalidRequest("error_to_before_from")
    return to_us


def _read_page(fields: Fields) -> int:
    return read_whole_number(
        fields, "page", lowest=1, highest=PAGE_HIGHEST, default=1, status="error_page_invalid"
    )


def _read_page_size(fields: Fields) -> int:
    return read_whole_number(
        fields,
        "page_size",
        lowest=1,
        highest=PAGE_SIZE_HIGHEST,
        default=PAGE_SIZE_HIGHEST,
        status="error_page_size_invalid",
    )


FROM = Parameter(
    "from",
    _read_from,
    ("error_from_invalid",),
    "Calls that began at this time or later: `YYYY-MM-DD HH:MM:SS` in GMT+8, or a date for its "
    "beginning. All calls if omitted.",
)

TO = Parameter(
    "to",
    _read_to,
    ("error_to_invalid", "error_to_before_from"),
    "Calls that began in this second or earlier; a date stands for its end. Up to now if omitted.",
)

PAGE = Parameter(
    "page", _read_page, ("error_page_invalid",), "Which page of the list; 1 if omitted."
)

PAGE_SIZE = Parameter(
    "page_size",
    _read_page_size,
    ("error_page_size_invalid",),
    f"Calls on a page, 1-{PAGE_SIZE_HIGHEST}; {PAGE_SIZE_HIGHEST} if omitted.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GetHistoryCommand:
    """List the application's calls, newest first."""

    block: ClassVar[str] = "get_history"
    parameters: ClassVar[tuple[Parameter[Any], ...]] = (FROM, TO, PAGE, PAGE_SIZE)

    from_us: int | None = None
    "UTC; inclusive."
    to_us: int | None = None
    "UTC; inclusive."
    page: int = 1
    page_size: int = PAGE_SIZE_HIGHEST

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read a request; see `command.Request`."""
        return cls(
            from_us=FROM.read(fields),
            to_us=TO.read(fields),
            page=PAGE.read(fields),
            page_size=PAGE_SIZE.read(fields),
        )
