"""Ranges and conditions of RFC 9110, case by case."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.api.ranges import ByteRange, parse_range, precondition, range_still_valid

ETAG = '"abc"'
MODIFIED_S = 1_700_000_000
DATE = formatdate(MODIFIED_S, usegmt=True)
BEFORE = formatdate(MODIFIED_S - 1, usegmt=True)
AFTER = formatdate(MODIFIED_S + 1, usegmt=True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=0-99", ByteRange(0, 100)),
        ("bytes=0-1000", ByteRange(0, 100)),
        ("bytes=10-", ByteRange(10, 100)),
        ("bytes=99-", ByteRange(99, 100)),
        ("bytes=-1", ByteRange(99, 100)),
        ("bytes=-1000", ByteRange(0, 100)),
        (" Bytes = 1-2 ", ByteRange(1, 3)),
        ("bytes=100-", ByteRange(100, 100)),
        ("bytes=100-200", ByteRange(100, 100)),
        ("bytes=-0", ByteRange(100, 100)),
        ("bytes=" + "9" * 5000 + "-", ByteRange(100, 100)),
        ("bytes=0-" + "9" * 5000, ByteRange(0, 100)),
        ("bytes=2-1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=0-1,2-3", None),
        ("bytes=0--1", None),
        ("seconds=0-1", None),
        ("bytes 0-1", None),
        ("bytes=\u0661-\u0662", None),
        ("", None),
    ],
)
def test_ranges_of_a_hundred_bytes(header: str, expected: ByteRange | None) -> None:
    """Well-formed single ranges are cut to the file, everything else is ignored."""
    assert parse_range(header, 100) == expected


def test_nothing_can_be_asked_of_an_empty_file() -> None:
    """Every range of an empty file is unsatisfiable."""
    for header in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        asked = parse_range(header, 0)
        assert asked is not None
        assert not asked.is_satisfiable


@given(st.text(max_size=40) | st.from_regex(r"bytes=[0-9]*-[0-9]*"), st.integers(0, 1000))
def test_any_header_is_a_range_within_the_file_or_ignored(header: str, size: int) -> None:
    """No header makes us read outside the file."""
    asked = parse_range(header, size)
    assert asked is None or 0 <= asked.start <= asked.end <= size


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"if-none-match": ETAG}, HTTPStatus.NOT_MODIFIED),
        ({"if-none-match": f'"x", W/{ETAG}'}, HTTPStatus.NOT_MODIFIED),
        ({"if-none-match": "*"}, HTTPStatus.NOT_MODIFIED),
        ({"if-none-match": '"x"'}, None),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, None),
        ({"if-modified-since": DATE}, HTTPStatus.NOT_MODIFIED),
        ({"if-modified-since": AFTER}, HTTPStatus.NOT_MODIFIED),
        ({"if-modified-since": BEFORE}, None),
        ({"if-modified-since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, HTTPStatus.NOT_MODIFIED),
        ({"if-modified-since": "Tue Nov 14 22:13:20 2023"}, HTTPStatus.NOT_MODIFIED),
        ({"if-modified-since": "yesterday"}, None),
        ({"if-modified-since": "Tue, 99 Nov 2023 22:13:20 GMT"}, None),
        ({"if-match": ETAG}, None),
        ({"if-match": "*"}, None),
        ({"if-match": f"W/{ETAG}"}, HTTPStatus.PRECONDITION_FAILED),
        ({"if-match": '"x"'}, HTTPStatus.PRECONDITION_FAILED),
        ({"if-unmodified-since": BEFORE}, HTTPStatus.PRECONDITION_FAILED),
        ({"if-unmodified-since": DATE}, None),
        ({"if-match": ETAG, "if-unmodified-since": BEFORE}, None),
    ],
)
def test_conditions(headers: dict[str, str], expected: HTTPStatus | None) -> None:
    """Tags come before dates, unreadable dates are ignored."""
    assert precondition(headers, ETAG, MODIFIED_S) == expected


@given(st.text(max_size=40))
def test_any_date_is_read_or_ignored(date: str) -> None:
    """No text makes the conditions fail."""
    precondition({"if-modified-since": date, "if-unmodified-since": date}, None, MODIFIED_S)
    range_still_valid(date, None, MODIFIED_S)


@pytest.mark.parametrize(
    ("if_range", "valid"),
    [
        *((None, True), (ETAG, True), (f"W/{ETAG}", False), ('"x"', False)),
        *((DATE, True), (AFTER, False), (BEFORE, False), ("x", False)),
    ],
)
def test_if_range(if_range: str | None, valid: bool) -> None:
    """A range counts only for exactly the file that the client has a part of."""
    assert range_still_valid(if_range, ETAG, MODIFIED_S) is valid
