"""Any audio to what a telephone carries: 8 kHz, mono, int16; and its loudness."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE, rms_dbfs

TELEPHONE_RATE_HZ: Final = 8000

SPEECH_LEVEL_DBFS: Final = -20.0
"""Active level of prompts: sits between the -26 dBov (-23 here) of ITU-T speech tests and the
-16 or so at which announcements begin to sound shouted."""

PEAK_DBFS: Final = -1.0

_FRAME = 160
_GATE_DB = 25.0
"Frames so far below the loudest are pauses and do not count (ITU-T P.56 in short)."


def to_telephone(samples: NDArray[Any], sample_rate_hz: int) -> Samples:
    """
    Mix down, resample and round.

    Args:
        samples: Shape `(n,)` or `(n, channels)`; floats of ±1, or signed integers of
            their full range.
        sample_rate_hz: Of the samples; any from 1 kHz up.

    Returns:
        int16 of shape `(round(n * 8000 / sample_rate_hz),)`. What is not a number
        becomes silence, what is too loud is clipped.

    Raises:
        ValueError: For another shape or type, or a rate below 1 kHz.
    """
    if samples.ndim not in (1, 2) or sample_rate_hz < 1000:
        raise ValueError(f"cannot resample {samples.shape} at {sample_rate_hz} Hz")
    if samples.dtype.kind == "i":
        signal = samples.astype(np.float64) / -float(np.iinfo(samples.dtype).min)
    elif samples.dtype.kind == "f":
        # What lies far beyond full scale would ring through the filter.
        signal = np.clip(np.nan_to_num(samples.astype(np.float64)), -4.0, 4.0)
    else:
        raise ValueError(f"cannot resample {samples.dtype}")
    if signal.ndim == 2:
        if signal.shape[1] == 0:
            raise ValueError("no channels")
        signal = signal.mean(axis=1)
    if sample_rate_hz != TELEPHONE_RATE_HZ and len(signal):
        signal = soxr.resample(signal, sample_rate_hz, TELEPHONE_RATE_HZ, quality="HQ")
    return _to_int16(signal * FULL_SCALE)


def normalise_level(
    samples: Samples, target_dbfs: float = SPEECH_LEVEL_DBFS, peak_dbfs: float = PEAK_DBFS
) -> Samples:
    """
    Bring speech to a level, pauses not counted, without any peak above `peak_dbfs`.

    One gain for all samples, so nothing is compressed; silence stays as it is.
    """
    peak = float(np.abs(samples.astype(np.int32)).max(initial=0))
    active = active_level_dbfs(samples)
    if peak == 0:
        return samples.copy()
    gain = min(10 ** ((target_dbfs - active) / 20), 10 ** (peak_dbfs / 20) * FULL_SCALE / peak)
    return _to_int16(samples * gain)


def active_level_dbfs(samples: Samples) -> float:
    """Level of samples at 8 kHz where something is said, judged in frames of 20 ms."""
    whole = samples[: len(samples) // _FRAME * _FRAME].astype(np.float64).reshape(-1, _FRAME)
    if len(whole) == 0:
        return rms_dbfs(samples)
    power = (whole**2).mean(axis=1)
    return rms_dbfs(whole[power >= power.max() * 10 ** (-_GATE_DB / 10)].ravel())


def _to_int16(values: NDArray[Any]) -> Samples:
    rounded: Samples = np.clip(np.rint(values), -32768, 32767).astype(np.int16)
    return rounded
