"""How loud samples are, over all or at one frequency.

dBFS as in AES17: a sine that just reaches full scale has 0 dBFS, so that a tone
made by `tones.tone` at -10 dBFS measures -10 both ways.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SILENT_DBFS: Final = -120.0
"What silence, and no samples at all, measure."

FULL_SCALE: Final = 32768.0


def _dbfs(mean_square: float) -> float:
    if mean_square <= 0:
        return SILENT_DBFS
    return max(10 * math.log10(2 * mean_square / FULL_SCALE**2), SILENT_DBFS)


def rms_dbfs(samples: NDArray[Any]) -> float:
    """Level of samples in units of int16, shape `(n,)`; at least `SILENT_DBFS`."""
    if len(samples) == 0:
        return SILENT_DBFS
    values = samples.astype(np.float64)
    return _dbfs(float(np.dot(values, values)) / len(values))


def goertzel_level_dbfs(
    samples: NDArray[Any], frequency_hz: float, sample_rate_hz: int = 8000
) -> float:
    """
    Level of one frequency in samples, in units of int16, shape `(n,)`.

    Any frequency, not only multiples of `sample_rate_hz / n`. A tone two such steps
    or more away measures 30 dB less (Hann window).
    """
    n_samples = len(samples)
    if n_samples == 0:
        return SILENT_DBFS
    # Half a step in: a window without zeros at its ends serves one sample, too.
    window = np.sin(np.pi * (np.arange(n_samples) + 0.5) / n_samples) ** 2
    turns = np.exp(-2j * np.pi * frequency_hz / sample_rate_hz * np.arange(n_samples))
    amplitude = 2 * abs(np.dot(samples * window, turns)) / window.sum()
    return _dbfs(float(amplitude) ** 2 / 2)
