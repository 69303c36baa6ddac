"""Levels of tones that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.audio.level import SILENT_DBFS, goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import tone


@given(st.floats(200, 3600), st.floats(-50, 0), st.integers(400, 4000))
def test_a_tone_measures_its_own_level(frequency_hz: float, level_dbfs: float, n: int) -> None:
    """Any tone of 50 ms or more measures the level it was made with, both ways."""
    samples = tone((frequency_hz,), n / 8, level_dbfs)
    assert goertzel_level_dbfs(samples, frequency_hz) == pytest.approx(level_dbfs, abs=0.3)
    assert rms_dbfs(samples) == pytest.approx(level_dbfs, abs=0.5)


def test_other_frequencies_measure_little() -> None:
    """A tone is 30 dB down two steps away and gone at twenty."""
    samples = tone((1000,), 100, -10)
    assert goertzel_level_dbfs(samples, 1020) < -40
    assert goertzel_level_dbfs(samples, 1200) < -70


def test_a_square_wave_is_three_db_over_a_sine() -> None:
    """Full scale is the sine's (AES17)."""
    assert rms_dbfs(np.full(100, -32768, np.int16)) == pytest.approx(3.01, abs=0.01)


def test_silence_and_nothing() -> None:
    """Both measure the floor; one sample is enough to measure."""
    for samples in (np.zeros(0, np.int16), np.zeros(10, np.int16)):
        assert rms_dbfs(samples) == goertzel_level_dbfs(samples, 1000) == SILENT_DBFS
    assert goertzel_level_dbfs(np.array([1000], np.int16), 500) > -60
