"""Music on hold."""

from __future__ import annotations

import numpy as np
import pytest

from voiceblocks.audio.dtmf import BLOCK, ToneDetector
from voiceblocks.audio.hold_music import DURATION_S, LEVEL_DBFS, hold_music
from voiceblocks.audio.resample import SPEECH_LEVEL_DBFS, active_level_dbfs


def test_level_and_length() -> None:
    """As loud as speech, whole frames, without clipping, the same whenever it is made."""
    music = hold_music()
    assert len(music) == DURATION_S * 8000
    assert len(music) % 160 == 0
    assert active_level_dbfs(music) == pytest.approx(LEVEL_DBFS, abs=0.5)
    assert abs(LEVEL_DBFS - SPEECH_LEVEL_DBFS) <= 3
    assert np.abs(music.astype(np.int32)).max() < 32768 * 10 ** (-3 / 20)
    assert np.array_equal(music, hold_music())


def test_it_never_falls_silent() -> None:
    """No half second is so quiet that the caller would think the line is dead."""
    power = (hold_music().astype(np.float64).reshape(-1, 4000) ** 2).mean(axis=1)
    assert power.min() > power.max() / 100


def test_no_click_at_the_loop() -> None:
    """The step from the last sample to the first is one like any other."""
    music = hold_music().astype(np.int32)
    steps = np.abs(np.diff(music))
    assert abs(music[0] - music[-1]) <= np.percentile(steps, 99)
    seam = np.diff(np.concatenate((music[-40:], music[:40])), n=2)
    assert np.abs(seam).max() <= np.abs(np.diff(music, n=2)).max()


def test_no_keys_in_it() -> None:
    """A leg that plays it to another server types nothing."""
    music = hold_music().reshape(-1, 1, BLOCK)
    detector = ToneDetector(1)
    assert [key for block in music for key in detector.hear(np.array([0]), block)] == []
