"""Wrap-around arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.rtp.sequence import (
    uint16_add,
    uint16_distance,
    uint16_gt,
    uint32_add,
    uint32_distance,
    uint32_gt,
)


@given(st.integers(0, 0xFFFF), st.integers(-0x8000, 0x7FFF))
def test_sequence_numbers_wrap(start: int, steps: int):
    """A distance is what was added, for half the range either way."""
    end = uint16_add(start, steps)
    assert 0 <= end <= 0xFFFF
    assert uint16_distance(end, start) == steps
    assert uint16_gt(end, start) == (steps > 0)


@given(st.integers(0, 0xFFFFFFFF), st.integers(-0x80000000, 0x7FFFFFFF))
def test_timestamps_wrap(start: int, ticks: int):
    """The same for 32 bits."""
    end = uint32_add(start, ticks)
    assert 0 <= end <= 0xFFFFFFFF
    assert uint32_distance(end, start) == ticks
    assert uint32_gt(end, start) == (ticks > 0)
