"""Prompts of any origin at one loudness, without clicks at their ends.

The level itself is `audio.resample.normalise_level`'s; here is what is cut off, what
is kept, and what is too quiet to be lifted. Arrays are `int16` `(n_samples,)` at 8 kHz.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import SILENT_DBFS
from voiceblocks.audio.resample import SPEECH_LEVEL_DBFS, active_level_dbfs, normalise_level
from voiceblocks.audio.tones import edges

PEAK_LIMIT_DBFS: Final = -3.5
"Half a decibel under the -3 dBFS that is promised, for the steps of G.711."
SILENCE_DBFS: Final = -55.0
"Below this nothing was said; G.711's own noise begins not far below."
MAX_GAIN_DB: Final = 24.0
"More would lift the noise of a nearly silent file into the room."
KEPT_BEFORE_SAMPLES: Final = 40
"5 ms before the first sound: a caller who is answered late believes that nobody is there."
KEPT_AFTER_SAMPLES: Final = 400
"50 ms after the last sound of speech: parts that follow one another need a breath."

_FRAME = 80
# Consonants that begin words are up to 38 dB below the loudest vowel.
_TRIM_BELOW_LOUDEST_DB = 50.0
_FADE_SAMPLES = 40


def prepare_speech(samples: Samples) -> Samples:
    """
    Trim synthesised speech at both ends, and bring it to our level.

    Returns:
        Empty if nothing in it can be heard.
    """
    if active_level_dbfs(samples) < SILENCE_DBFS:
        return np.zeros(0, np.int16)
    start, end = _heard(samples)
    # The engine's own silence is kept as far as there is some, since sounds fade into it.
    before = min(start, KEPT_BEFORE_SAMPLES)
    after = min(len(samples) - end, KEPT_AFTER_SAMPLES)
    kept = _fade_ends(samples[start - before : end + after])
    return _to_level(np.pad(kept, (KEPT_BEFORE_SAMPLES - before, KEPT_AFTER_SAMPLES - after)))


def prepare_recording(samples: Samples) -> Samples:
    """
    Bring a custom file to the same level, and let it begin with its first sound.

    Silence inside it and at its end is its author's, and stays; so does all of a file that
    is nothing but silence.
    """
    if len(samples) == 0:
        return samples
    offset = round(float(samples.mean()))
    centred = np.clip(samples.astype(np.int32) - offset, -32768, 32767).astype(np.int16)
    if active_level_dbfs(centred) >= SILENCE_DBFS:
        centred = centred[max(0, _heard(centred)[0] - KEPT_BEFORE_SAMPLES) :]
    return _to_level(_fade_ends(centred))


def _heard(samples: Samples) -> tuple[int, int]:
    """Where the first sound begins and the last one ends, to 10 ms."""
    loudness = _frame_rms(samples)
    heard = np.flatnonzero(loudness > loudness.max() * 10 ** (-_TRIM_BELOW_LOUDEST_DB / 20))
    return int(heard[0]) * _FRAME, min((int(heard[-1]) + 1) * _FRAME, len(samples))


def _to_level(samples: Samples) -> Samples:
    level_dbfs = active_level_dbfs(samples)
    if level_dbfs <= SILENT_DBFS:
        return samples
    target_dbfs = min(SPEECH_LEVEL_DBFS, level_dbfs + MAX_GAIN_DB)
    return normalise_level(samples, target_dbfs, PEAK_LIMIT_DBFS)


def _frame_rms(samples: Samples) -> npt.NDArray[np.float64]:
    """Root mean squares of 10 ms each; the last may be shorter."""
    n_frames = math.ceil(len(samples) / _FRAME)
    padded = np.pad(samples.astype(np.float64), (0, n_frames * _FRAME - len(samples)))
    rms: npt.NDArray[np.float64] = np.sqrt(np.mean(padded.reshape(n_frames, _FRAME) ** 2, axis=1))
    return rms


def _fade_ends(samples: Samples) -> Samples:
    return np.rint(samples * edges(len(samples), _FADE_SAMPLES)).astype(np.int16)
