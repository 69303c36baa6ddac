"""Prompts of any origin at one loudness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters.render.loudness import (
    KEPT_AFTER_SAMPLES,
    KEPT_BEFORE_SAMPLES,
    prepare_recording,
    prepare_speech,
)
from voiceblocks.audio.resample import active_level_dbfs
from voiceblocks.audio.tones import tone


def silence(n_samples: int) -> np.ndarray:
    """Digital silence."""
    return np.zeros(n_samples, np.int16)


@pytest.mark.parametrize("level_dbfs", [-40, -20, -3])
@pytest.mark.parametrize("prepare", [prepare_speech, prepare_recording])
def test_level(prepare: object, level_dbfs: float) -> None:
    """Loud and quiet sound comes out the same, pauses not counted."""
    word = tone([440], 500, level_dbfs)
    samples = prepare(np.concatenate([word, silence(16_000), word]))  # type: ignore[operator]
    assert active_level_dbfs(samples) == pytest.approx(-20, abs=0.5)


def test_peaks() -> None:
    """Sound that is all peaks is turned down until they are below -3 dBFS."""
    clicks = silence(16_000)
    clicks[::800] = 30_000
    for samples in (prepare_speech(clicks), prepare_recording(clicks)):
        assert np.abs(samples.astype(int)).max() < 32768 * 10 ** (-3 / 20)


def test_speech_is_trimmed() -> None:
    """Whatever silence the engine left, 5 ms remain before the sound, and 50 ms after it."""
    word = tone([440], 500, -20, fade_ms=5)
    kept = KEPT_BEFORE_SAMPLES + KEPT_AFTER_SAMPLES
    for before, after in ((0, 0), (4000, 12_000), (100, 0), (10, 399)):
        samples = prepare_speech(np.concatenate([silence(before), word, silence(after)]))
        assert len(samples) == pytest.approx(len(word) + kept, abs=160)
        loud = np.flatnonzero(np.abs(samples) > 300)
        assert int(loud[0]) < KEPT_BEFORE_SAMPLES + 100
        assert abs(len(samples) - int(loud[-1]) - KEPT_AFTER_SAMPLES) < 200


def test_a_weak_consonant_is_no_silence() -> None:
    """A word's beginning is kept that is 45 dB below its vowel, as a "th" may be."""
    hiss, vowel = tone([3000], 100, -57, fade_ms=5), tone([440], 500, -12)
    samples = prepare_speech(np.concatenate([silence(800), hiss, vowel, silence(800)]))
    assert len(samples) >= len(hiss) + len(vowel)


def test_recording_begins_with_its_first_sound() -> None:
    """Only what is silent at the beginning of a custom file goes; its other silences stay."""
    word, pause = tone([440], 500, -30), silence(9000)
    sound = np.concatenate([silence(4000), word, pause, word, pause])
    samples = prepare_recording(sound)
    assert abs(len(samples) - (len(sound) - 4000 + KEPT_BEFORE_SAMPLES)) <= 80
    assert np.flatnonzero(np.abs(samples) > 300)[0] < 200
    assert len(prepare_recording(pause)) == len(pause)


@pytest.mark.parametrize("prepare", [prepare_speech, prepare_recording])
def test_no_clicks(prepare: object) -> None:
    """Sound that begins and ends at full level is faded at both ends."""
    samples = prepare(np.full(8000, 10_000, np.int16) + tone([300], 1000, -20))  # type: ignore[operator]
    assert np.abs(samples[[0, -1]]).max() < 100
    assert np.abs(np.diff(samples.astype(int))).max() < 2500


def test_offset_is_removed() -> None:
    """A recording with a DC offset loses it."""
    samples = prepare_recording((tone([440], 1000, -30) + 3000).astype(np.int16))
    assert abs(samples.mean()) < 30


@pytest.mark.parametrize("noise", [0, 1, 30])
def test_nothing_to_hear(noise: int) -> None:
    """Silence is no speech; in a recording it stays silence and is not blown up."""
    quiet = (noise * np.random.default_rng(1).standard_normal(8000)).astype(np.int16)
    assert len(prepare_speech(quiet)) == 0
    assert np.abs(prepare_recording(quiet).astype(int)).max() <= 5 * noise * 16


def test_nothing_at_all() -> None:
    """No samples are no samples."""
    assert len(prepare_speech(silence(0))) == 0
    assert len(prepare_recording(silence(0))) == 0


@given(st.lists(st.integers(-32768, 32767), max_size=300), st.integers(0, 900))
def test_any_samples(values: list[int], repeat: int) -> None:
    """Any input gives int16; of a custom file something is always left."""
    samples = np.tile(np.array(values, np.int16), repeat % 7)
    assert prepare_speech(samples).dtype == np.int16
    recording = prepare_recording(samples)
    assert recording.dtype == np.int16
    assert min(len(samples), 1) <= len(recording) <= len(samples)
