"""Sounds that a phone says and hears: files, silence, our beep. All are 8 kHz mono samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import BEEP_FREQUENCY_HZ

SAMPLES_PER_MS = 8
# The beep stands out from its surroundings by so much; G.711 noise is far below.
TONE_MARGIN_DB = 3.0
TONE_FLOOR_DBFS = -40.0


def is_beep(samples: NDArray[np.int16]) -> bool:
    """Whether 8 kHz samples are a part of our beep."""
    level = rms_dbfs(samples)
    return bool(
        level > TONE_FLOOR_DBFS
        and goertzel_level_dbfs(samples, BEEP_FREQUENCY_HZ) > level - TONE_MARGIN_DB
    )


def load_wav(path: str) -> NDArray[np.int16]:
    """Read any sound file as 8 kHz mono samples."""
    import soundfile

    from voiceblocks.audio.resample import to_telephone

    samples, rate_hz = soundfile.read(path, dtype="int16", always_2d=True)
    return to_telephone(samples, rate_hz)


def silence(duration_ms: int) -> NDArray[np.int16]:
    """So much of nothing."""
    return np.zeros(duration_ms * SAMPLES_PER_MS, np.int16)


def joined(parts: Iterable[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Several sounds one after another."""
    return np.concatenate([np.zeros(0, np.int16), *parts])
