"""The phone's measure: when the beep was over, whatever packets carry it and however late."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.audio.tones import BEEP_DURATION_MS, beep
from voiceblocks.testing.beep_watch import BeepWatch

BEFORE_MS = 300


@given(
    ptime_ms=st.sampled_from([10, 20, 30, 40]),
    shift=st.integers(0, 319),
    first_timestamp=st.sampled_from([0, 123_456, 2**32 - 3000]),
    lates_ms=st.lists(st.integers(0, 80), min_size=30, max_size=30),
)
def test_the_end_of_a_beep_is_found_to_the_millisecond(
    ptime_ms: int, shift: int, first_timestamp: int, lates_ms: list[int]
) -> None:
    """Its end lies anywhere in a packet, packets come late, timestamps wrap: 1 ms at most."""
    count = ptime_ms * 8
    before = BEFORE_MS * 8 + shift
    audio = np.concatenate([np.zeros(before, np.int16), beep(), np.zeros(4000, np.int16)])
    watch = BeepWatch()
    for index in range(len(audio) // count):
        # The first packet is on time: later ones are measured by it.
        late_ms = lates_ms[index % len(lates_ms)] if index else 0
        watch.hear(
            audio[index * count : (index + 1) * count],
            100.0 + index * ptime_ms / 1000 + late_ms / 1000,
            (first_timestamp + index * count) % 2**32,
            7,
        )
    assert watch.heard == 1
    ended_ms = (watch.over.get_nowait() - 100.0) * 1000
    assert abs(ended_ms - before / 8 - BEEP_DURATION_MS) <= 1.0
