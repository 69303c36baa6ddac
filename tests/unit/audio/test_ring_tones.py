"""Ring-back tones by country."""

from __future__ import annotations

import numpy as np
import pytest

from voiceblocks.audio.level import SILENT_DBFS, goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.ring_tones import (
    DEFAULT,
    LEVEL_DBFS,
    RING_TONES,
    ring_tone_of,
    ring_tone_samples,
)


@pytest.mark.parametrize("country", sorted(RING_TONES))
def test_each_country(country: str) -> None:
    """Its frequencies, its cadence and our level; the period is whole frames and loops silently."""
    ring_tone = ring_tone_of(country)
    samples = ring_tone_samples(ring_tone)
    assert len(samples) == 8 * sum(ring_tone.cadence_ms)
    assert len(samples) % 160 == 0
    assert samples[-1] == 0
    assert abs(int(samples[0])) < 50
    start = 0
    for index, duration_ms in enumerate(ring_tone.cadence_ms):
        part = samples[start : start + 8 * duration_ms]
        start += len(part)
        if index % 2:
            assert rms_dbfs(part) == SILENT_DBFS
            continue
        middle = part[200:-200]
        assert rms_dbfs(middle) == pytest.approx(LEVEL_DBFS, abs=1.5)
        for frequency_hz in ring_tone.frequencies_hz:
            assert goertzel_level_dbfs(middle, frequency_hz) > LEVEL_DBFS - 6


def test_the_table() -> None:
    """At least thirty countries, looked up in either case; others have the commonest."""
    assert len(RING_TONES) >= 30
    assert ring_tone_of("us").frequencies_hz == (440, 480)
    assert ring_tone_of("SG").modulation_hz == 24
    for unknown in ("XX", ""):
        assert ring_tone_of(unknown) == DEFAULT
    assert DEFAULT.frequencies_hz == (425,)
    assert DEFAULT.cadence_ms == (1000, 4000)


def test_no_click_within() -> None:
    """No step between neighbours is steeper than the tone itself."""
    for ring_tone in RING_TONES.values():
        samples = ring_tone_samples(ring_tone).astype(np.int32)
        assert np.abs(np.diff(np.tile(samples, 2))).max() < 4000
