"""When a caller has said nothing for long enough."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.engine.silence_watch import SilenceWatch
from voiceblocks.recordings.spool import SLOT_SAMPLES

SOUND = (8000 * np.sin(np.arange(SLOT_SAMPLES))).astype(np.int16)


def slots(pattern: list[bool]) -> np.ndarray:
    """Sound where it is true, noise of a quiet line elsewhere."""
    noise = np.random.default_rng(1).normal(0, 20, SLOT_SAMPLES).astype(np.int16)
    return np.array([SOUND if loud else noise for loud in pattern]).reshape(-1, SLOT_SAMPLES)


@given(
    st.lists(st.sampled_from("sqp"), min_size=1, max_size=60), st.integers(1, 12), st.integers(1, 9)
)
def test_a_pause_is_not_counted(pattern: list[str], limit: int, step: int) -> None:
    """Silence before and after a pause is one silence, and what is in the pause is none."""
    run, expected = 0, None
    for index, kind in enumerate(pattern):
        run = 0 if kind == "s" else run + (kind == "q")
        if run == limit and kind == "q":
            expected = index + 1
            break
    watch = SilenceWatch(limit)
    found = None
    for start in range(0, len(pattern), step):
        part = pattern[start : start + step]
        paused = np.array([0x80 * (kind == "p") for kind in part], np.uint8)
        found = watch.take(slots([kind == "s" for kind in part]), paused)
        if found is not None:
            break
    assert found == expected


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 12), st.integers(1, 9))
def test_the_end_is_where_silence_had_lasted_long_enough(
    pattern: list[bool], limit: int, step: int
) -> None:
    """The first run of silence of that length ends it at that very slot, however it is read."""
    run, expected = 0, None
    for index, loud in enumerate(pattern):
        run = 0 if loud else run + 1
        if run == limit:
            expected = index + 1
            break
    watch = SilenceWatch(limit)
    found = None
    for start in range(0, len(pattern), step):
        found = watch.take(slots(pattern[start : start + step]))
        if found is not None:
            break
    assert found == expected
