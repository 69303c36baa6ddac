"""The jitter buffer between a browser and the phone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceblocks.testing.playout import MOST, TARGET_MAX, TARGET_MIN, Playout

PACKET = 160
PIECE = 320


def counted(start: int, count: int) -> NDArray[np.int16]:
    """Samples that say their own place."""
    return (np.arange(start, start + count) % 30_000 + 1).astype(np.int16)


def test_what_comes_in_time_goes_out_whole_and_late_by_the_target() -> None:
    """Pieces of 40 ms in even time leave in steps of 20 ms, nothing lost, doubled or shifted."""
    playout, given_out = Playout(), []
    for step in range(200):
        if step % 2 == 0:
            playout.push(counted(step // 2 * PIECE, PIECE))
        given_out.append(playout.pull(PACKET))
    heard = np.concatenate(given_out)
    first = int(np.flatnonzero(heard)[0])
    assert first <= TARGET_MIN
    assert (heard[first:] == counted(0, len(heard) - first)).all()


def test_a_gap_deepens_it_and_calm_makes_it_shallow_again() -> None:
    """After a pause of 100 ms more is gathered first; half a minute without one takes it back."""
    playout = Playout()
    for _ in range(4):
        playout.push(counted(0, PIECE))
    for _ in range(12):
        playout.pull(PACKET)
    for _ in range(4):
        playout.push(counted(0, PIECE))
    playout.pull(PACKET)
    assert playout.target > TARGET_MIN
    for _ in range(1600):
        playout.push(counted(0, PACKET))
        playout.pull(PACKET)
    assert playout.target == TARGET_MIN


def test_what_came_in_one_heap_is_worked_off_without_a_click() -> None:
    """After a burst the delay goes back to the target in seconds; the joints are faded."""
    playout = Playout()
    loud = np.full(PIECE, 10_000, np.int16)
    for _ in range(12):
        playout.push(loud)
    assert playout.depth > 2 * TARGET_MIN
    given_out = []
    for _ in range(800):
        playout.push(loud[:PACKET])
        given_out.append(playout.pull(PACKET))
    assert playout.depth <= TARGET_MIN + PIECE
    assert np.abs(np.diff(np.concatenate(given_out).astype(int))).max() <= 1


def test_silence_at_the_other_end_is_no_jitter() -> None:
    """Where nothing was sent for long, the next sound needs no deeper buffer."""
    playout = Playout()
    for _ in range(5):
        for _ in range(4):
            playout.push(counted(0, PIECE))
        for _ in range(60):
            playout.pull(PACKET)
    assert playout.target == TARGET_MIN


@settings(max_examples=200)
@given(st.lists(st.one_of(st.integers(0, 640), st.none()), max_size=300))
def test_however_it_comes_it_stays_bounded_and_each_step_is_filled(
    steps: list[int | None],
) -> None:
    """Any order of pieces (a size) and steps (`None`): each step is whole, depth within bounds."""
    playout = Playout()
    for size in steps:
        if size is None:
            assert len(playout.pull(PACKET)) == PACKET
        else:
            playout.push(counted(0, size))
        assert 0 <= playout.depth <= MOST
        assert TARGET_MIN <= playout.target <= TARGET_MAX
