"""Any audio becomes telephone audio."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.resample import active_level_dbfs, normalise_level, to_telephone
from voiceblocks.audio.tones import tone


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("kind", ["int16", "int32", "float32", "float64", "stereo"])
def test_a_tone_stays_what_it_is(rate_hz: int, kind: str) -> None:
    """Frequency, level and length survive, whatever the rate, type and channels."""
    source: NDArray[Any] = tone((1000,), 500, -10, rate_hz)
    if kind == "int32":
        source = source.astype(np.int32) << 16
    elif kind.startswith("float"):
        source = (source / 32768).astype(kind)
    elif kind == "stereo":
        source = np.stack([source, source], axis=1)
    samples = to_telephone(source, rate_hz)
    assert samples.dtype == np.int16
    assert samples.shape == (4000,)
    assert goertzel_level_dbfs(samples, 1000) == pytest.approx(-10, abs=0.2)


def test_what_a_telephone_cannot_carry_is_filtered() -> None:
    """A tone above 4 kHz does not fold back into the audible."""
    assert rms_dbfs(to_telephone(tone((5000,), 200, -10, 16000), 16000)[80:-80]) < -60


def test_channels_are_averaged() -> None:
    """A tone in one of two channels is 6 dB softer."""
    left = tone((1000,), 100, -10)
    both = np.stack([left, np.zeros_like(left)], axis=1)
    assert goertzel_level_dbfs(to_telephone(both, 8000), 1000) == pytest.approx(-16, abs=0.1)


def test_telephone_audio_is_not_touched() -> None:
    """8 kHz mono int16 comes back bit by bit."""
    samples = np.random.default_rng(1).integers(-32768, 32768, 999).astype(np.int16)
    assert (to_telephone(samples, 8000) == samples).all()


def test_damaged_floats_do_no_harm() -> None:
    """Infinities and not-a-number become numbers, and loud values are clipped."""
    samples = to_telephone(np.array([np.nan, np.inf, -np.inf, 2.0, -2.0, 0.0]), 8000)
    assert samples.tolist() == [0, 32767, -32768, 32767, -32768, 0]


@given(
    st.lists(st.floats(-1, 1, width=32), max_size=50),
    st.sampled_from([1000, 8000, 11025, 44100]),
    st.integers(1, 3),
)
def test_any_short_audio(values: list[float], rate_hz: int, channels: int) -> None:
    """Any number of samples, also none, gives the documented number back."""
    source = np.array([values] * channels, np.float32).T.reshape(-1, channels)
    assert len(to_telephone(source, rate_hz)) == pytest.approx(len(source) * 8000 / rate_hz, abs=1)


@pytest.mark.parametrize(
    ("samples", "rate_hz"),
    [
        (np.zeros((2, 2, 2), np.int16), 8000),
        (np.zeros(5, np.int16), 0),
        (np.zeros(5, np.uint8), 8000),
        (np.zeros((5, 0), np.int16), 8000),
    ],
)
def test_what_cannot_be_resampled(samples: NDArray[Any], rate_hz: int) -> None:
    """Other shapes, types and rates are a ValueError."""
    with pytest.raises(ValueError, match=r"resample|channels"):
        to_telephone(samples, rate_hz)


def test_speech_is_brought_to_its_level_and_pauses_do_not_count() -> None:
    """A soft sound with long pauses gets the level where it sounds."""
    pause = np.zeros(16000, np.int16)
    soft = np.concatenate([pause, tone((700,), 400, -45), pause])
    assert active_level_dbfs(soft) == pytest.approx(-45, abs=0.3)
    assert active_level_dbfs(normalise_level(soft, -20)) == pytest.approx(-20, abs=0.3)


def test_peaks_limit_the_gain() -> None:
    """One gain for all: a click keeps the rest from being raised above it."""
    samples = tone((700,), 400, -45)
    samples[1000] = 20000
    levelled = normalise_level(samples, -10, -1)
    assert np.abs(levelled.astype(int)).max() == pytest.approx(32768 * 10 ** (-1 / 20), abs=2)


@pytest.mark.parametrize("n_samples", [0, 1, 100, 1000])
def test_silence_stays_silence(n_samples: int) -> None:
    """Nothing is raised where there is nothing, and the input is not shared."""
    silence = np.zeros(n_samples, np.int16)
    levelled = normalise_level(silence)
    assert levelled.tolist() == silence.tolist()
    assert levelled is not silence
