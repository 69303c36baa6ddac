"""Conditional requests and byte ranges of RFC 9110, as far as a recording needs them.

Pure functions of header texts. One range is served; a request for several gets the
whole file, which section 14.2 allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus

_RANGE = re.compile(r"[ \t]*bytes[ \t]*=[ \t]*([0-9]*)-([0-9]*)[ \t]*\Z", re.IGNORECASE | re.ASCII)
# No file is that large, and int() of more digits than Python likes would raise.
_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` to `end` (exclusive); none of them if they are equal."""

    start: int
    end: int

    @property
    def is_satisfiable(self) -> bool:
        """Whether the file has any of these bytes; if not, the answer is 416."""
        return self.start < self.end


def parse_range(header: str, size_bytes: int) -> ByteRange | None:
    """
    Read a `Range` header for a file of `size_bytes`.

    Returns:
        The range within the file, or `None` where the header is to be ignored: another
        unit, several ranges, or not well formed (section 14.2).
    """
    match = _RANGE.match(header)
    if match is None:
        return None
    first_text, last_text = match[1], match[2]
    if not first_text and not last_text:
        return None
    if not first_text:
        return ByteRange(max(0, size_bytes - _number(last_text)), size_bytes)
    first = _number(first_text)
    if not last_text:
        return ByteRange(min(first, size_bytes), size_bytes)
    last = _number(last_text)
    if last < first:
        return None
    return ByteRange(min(first, size_bytes), min(last + 1, size_bytes))


def precondition(
    headers: Mapping[str, str], etag: str | None, last_modified_s: int
) -> HTTPStatus | None:
    """
    Evaluate a GET's or HEAD's conditions in the order of section 13.2.2.

    Args:
        headers: Request headers by lower-case name.
        etag: The file's strong entity tag with its quotes, `None` where it has none.
        last_modified_s: UTC seconds.

    Returns:
        304 or 412 where that is the answer, `None` where the file is.
    """
    if (if_match := headers.get("if-match")) is not None:
        still_the_same = _lists(if_match, etag, weak=False)
    else:
        date_s = _http_date(headers.get("if-unmodified-since"))
        still_the_same = date_s is None or last_modified_s <= date_s
    if not still_the_same:
        return HTTPStatus.PRECONDITION_FAILED
    if (if_none_match := headers.get("if-none-match")) is not None:
        return HTTPStatus.NOT_MODIFIED if _lists(if_none_match, etag, weak=True) else None
    date_s = _http_date(headers.get("if-modified-since"))
    if date_s is not None and last_modified_s <= date_s:
        return HTTPStatus.NOT_MODIFIED
    return None


def range_still_valid(if_range: str | None, etag: str | None, last_modified_s: int) -> bool:
    """Whether `Range` counts (section 13.1.5): no `If-Range`, or the file is still the same."""
    if if_range is None:
        return True
    if if_range.startswith(('"', "W/")):
        return if_range == etag
    return _http_date(if_range) == last_modified_s


def _number(text: str) -> int:
    digits = text.lstrip("0")
    return int(digits or "0") if len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX


def _lists(header: str, etag: str | None, *, weak: bool) -> bool:
    if header.strip() == "*":
        return True
    tags = (tag.strip() for tag in header.split(","))
    return etag in {tag.removeprefix("W/") if weak else tag for tag in tags}


def _http_date(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        return int((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
