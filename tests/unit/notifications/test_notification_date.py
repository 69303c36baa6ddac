"""Dates are GMT+8."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.notifications.parameters import format_date


@pytest.mark.parametrize(
    ("at_us", "text"),
    [
        (0, "1970-01-01 08:00:00"),
        (999_999, "1970-01-01 08:00:00"),
        (1_325_347_199_000_000, "2011-12-31 23:59:59"),
        # The day changes at 16:00 UTC; a leap day.
        (1_330_444_800_000_000, "2012-02-29 00:00:00"),
    ],
)
def test_known_dates(at_us: int, text: str) -> None:
    """Fractions are cut off, and the day is that of GMT+8."""
    assert format_date(at_us) == text


@given(st.integers(0, 4_000_000_000_000_000))
def test_format(at_us: int) -> None:
    """Always the documented format, without a zone."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", format_date(at_us))
