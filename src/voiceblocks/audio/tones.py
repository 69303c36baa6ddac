"""Tones of one or more frequencies, and the beep before a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE

BEEP_FREQUENCY_HZ: Final = 1000.0
"In the middle of what telephones carry, and between the two groups of keypad tones."

BEEP_DURATION_MS: Final = 400
BEEP_LEVEL_DBFS: Final = -12.0
BEEP_FADE_MS: Final = 10.0
"Long enough that no click is heard."


def tone(
    frequencies_hz: Sequence[float],
    duration_ms: float,
    level_dbfs: float,
    sample_rate_hz: int = 8000,
    fade_ms: float = 0.0,
) -> Samples:
    """
    Sines that begin together at phase zero.

    Args:
        frequencies_hz: One or more, below half the sample rate.
        duration_ms: Rounded to whole samples.
        level_dbfs: Of each frequency (see `level`), 0 or less.
        sample_rate_hz: Samples a second.
        fade_ms: Raised-cosine fade at each end, within the duration.

    Raises:
        ValueError: If the sum could exceed full scale, or a frequency cannot be sampled.
    """
    amplitude = 10 ** (level_dbfs / 20)
    if amplitude * len(frequencies_hz) > 1.0:
        raise ValueError(f"{len(frequencies_hz)} tones of {level_dbfs} dBFS exceed full scale")
    if any(not 0 < frequency < sample_rate_hz / 2 for frequency in frequencies_hz):
        raise ValueError(f"frequencies outside 0 to {sample_rate_hz / 2} Hz")
    n_samples = round(duration_ms * sample_rate_hz / 1000)
    seconds = np.arange(n_samples) / sample_rate_hz
    signal = np.zeros(n_samples)
    for frequency in frequencies_hz:
        signal += amplitude * np.sin(2 * np.pi * frequency * seconds)
    signal *= edges(n_samples, round(fade_ms * sample_rate_hz / 1000))
    return np.rint(signal * (FULL_SCALE - 1)).astype(np.int16)


def edges(n_samples: int, fade_samples: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """An envelope of ones with raised-cosine fades at both ends, shape `(n_samples,)`."""
    envelope = np.ones(n_samples)
    fade_samples = min(fade_samples, n_samples // 2)
    if fade_samples:
        rise = np.sin(np.pi / 2 * (np.arange(fade_samples) + 0.5) / fade_samples) ** 2
        envelope[:fade_samples] = rise
        envelope[-fade_samples:] = rise[::-1]
    return envelope


def beep() -> Samples:
    """The tone before a recording: 3200 samples at 8 kHz."""
    return tone((BEEP_FREQUENCY_HZ,), BEEP_DURATION_MS, BEEP_LEVEL_DBFS, fade_ms=BEEP_FADE_MS)
