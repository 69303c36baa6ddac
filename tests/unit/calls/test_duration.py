"""Minutes are rounded up, and only answered calls have any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.calls.duration import billed_minutes

START_US = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("talked_us", "minutes"),
    [
        (0, 0),
        (1, 1),
        (1_000_000, 1),
        (59_999_999, 1),
        (60_000_000, 1),
        (60_000_001, 2),
        (120_000_000, 2),
        (120_000_001, 3),
        (86_400_000_000, 1440),
        (-5_000_000, 0),
    ],
)
def test_rounding(talked_us: int, minutes: int) -> None:
    """Each started minute counts; a clock that went back gives none."""
    assert billed_minutes(START_US, START_US + talked_us) == minutes


def test_unanswered_call_has_no_minutes() -> None:
    """However long it rang."""
    assert billed_minutes(None, START_US) == 0


@given(st.integers(0, 2**53), st.integers(1, 2**40))
def test_minutes_just_cover_the_call(answered_us: int, talked_us: int) -> None:
    """The minutes are enough for the call, and one fewer is not."""
    minutes = billed_minutes(answered_us, answered_us + talked_us)
    assert (minutes - 1) * 60_000_000 < talked_us <= minutes * 60_000_000
