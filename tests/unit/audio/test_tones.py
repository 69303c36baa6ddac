"""Tones and the beep."""

from __future__ import annotations

import numpy as np
import pytest

from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import BEEP_FREQUENCY_HZ, BEEP_LEVEL_DBFS, beep, edges, tone


def test_each_frequency_has_the_level() -> None:
    """Two tones measure their level each, at any sample rate."""
    for rate_hz in (8000, 22050):
        samples = tone((697, 1209), 100, -12, rate_hz)
        assert len(samples) == rate_hz // 10
        assert samples.dtype == np.int16
        for frequency_hz in (697, 1209):
            level = goertzel_level_dbfs(samples, frequency_hz, rate_hz)
            assert level == pytest.approx(-12, abs=0.2)


def test_the_beep() -> None:
    """400 ms of one frequency with soft edges, at its level in the middle."""
    samples = beep()
    assert len(samples) == 3200
    middle = samples[400:2800]
    assert goertzel_level_dbfs(middle, BEEP_FREQUENCY_HZ) == pytest.approx(BEEP_LEVEL_DBFS, abs=0.1)
    assert rms_dbfs(samples[:8]) < rms_dbfs(middle) - 30
    assert rms_dbfs(samples[-8:]) < rms_dbfs(middle) - 30


def test_full_scale_is_reached_and_not_passed() -> None:
    """0 dBFS is the loudest sample, and more is refused."""
    assert tone((1000,), 100, 0).max() == 32767
    with pytest.raises(ValueError, match="full scale"):
        tone((500, 1000), 100, 0)


@pytest.mark.parametrize("frequency_hz", [0, 4000, -5])
def test_frequencies_that_cannot_be(frequency_hz: float) -> None:
    """Only what can be sampled is made."""
    with pytest.raises(ValueError, match="frequencies"):
        tone((frequency_hz,), 10, -10)


def test_edges_of_short_sounds() -> None:
    """A fade longer than half the sound is shortened; none at all leaves ones."""
    assert edges(5, 100).tolist() == edges(5, 2).tolist()
    assert edges(3, 0).tolist() == [1, 1, 1]
    assert len(edges(0, 10)) == 0
    assert tone((1000,), 0, -10).shape == (0,)
