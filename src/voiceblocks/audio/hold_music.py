"""Music on hold: 24 seconds that we made ourselves, so nobody's licence is in it.

Eight bars of plucked chords under a slow tune, at the pitch that a telephone carries. All
notes and their echo wrap round at the end, so that it loops without a seam.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.resample import SPEECH_LEVEL_DBFS, normalise_level

DURATION_S: Final = 24
LEVEL_DBFS: Final = SPEECH_LEVEL_DBFS - 2.0
"Music has no pauses, so it seems louder than speech of its level."

_RATE_HZ = 8000
_BEAT_S = 0.75
_PEAK_DBFS = -3.5
_HIGHEST_HZ = 3400.0

# Notes as MIDI numbers: 60 is middle C, 69 the A of 440 Hz.
_CHORDS = (
    (60, 64, 67, 71),
    (57, 60, 64, 67),
    (53, 57, 60, 64),
    (55, 59, 62, 67),
    (52, 55, 59, 62),
    (57, 60, 64, 69),
    (50, 53, 57, 60),
    (55, 59, 62, 65),
)
"One a bar."
_PATTERN = (0, 1, 2, 3, 2, 1, 2, 1)
"Which note of the chord, in quavers."
_TUNE = (
    (0.0, 79, 2.0),
    (2.0, 76, 2.0),
    (4.0, 72, 3.0),
    (8.0, 77, 1.5),
    (9.5, 76, 0.5),
    (10.0, 72, 2.0),
    (12.0, 74, 3.0),
    (16.0, 71, 2.0),
    (18.0, 74, 2.0),
    (20.0, 76, 2.5),
    (22.5, 72, 1.5),
    (24.0, 69, 2.0),
    (26.0, 72, 2.0),
    (28.0, 71, 3.0),
)
"Beat at which it begins, note, beats."

_Wave = NDArray[np.float64]


def hold_music() -> Samples:
    """`DURATION_S` seconds at 8 kHz."""
    music = np.zeros(DURATION_S * _RATE_HZ)
    for bar, chord in enumerate(_CHORDS):
        for quaver, index in enumerate(_PATTERN):
            _add(music, 4 * bar + quaver / 2, _pluck(chord[index] + 12, 1.6, 0.30))
        _add(music, 4 * bar, _pluck(chord[0], 3.0, 0.5))
    for beat, note, beats in _TUNE:
        _add(music, beat, _sung(note, beats * _BEAT_S + 0.3, 0.42))
    return normalise_level(np.rint(_echo(music) * 4000).astype(np.int16), LEVEL_DBFS, _PEAK_DBFS)


def _add(music: _Wave, beat: float, note: _Wave) -> None:
    start = round(beat * _BEAT_S * _RATE_HZ)
    np.add.at(music, (start + np.arange(len(note))) % len(music), note)


def _frequency_hz(note: int) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _pluck(note: int, duration_s: float, loudness: float) -> _Wave:
    """A string: its overtones fade faster than itself."""
    seconds = np.arange(round(duration_s * _RATE_HZ)) / _RATE_HZ
    frequency_hz = _frequency_hz(note)
    wave = np.zeros(len(seconds))
    for harmonic in range(1, 7):
        if frequency_hz * harmonic < _HIGHEST_HZ:
            decay = np.exp(-(1.8 + 1.3 * harmonic) * seconds)
            wave += decay * np.sin(2 * np.pi * frequency_hz * harmonic * seconds) / harmonic**1.3
    return loudness * wave * _attack_and_end(seconds, 0.006, 0.2)


def _sung(note: int, duration_s: float, loudness: float) -> _Wave:
    """A soft pipe with a little vibrato."""
    seconds = np.arange(round(duration_s * _RATE_HZ)) / _RATE_HZ
    vibrato = 0.004 * np.sin(2 * np.pi * 4.7 * seconds) * np.minimum(seconds / 0.6, 1)
    turns = 2 * np.pi * _frequency_hz(note) * (seconds + vibrato / (2 * np.pi * 4.7))
    wave = np.sin(turns) + 0.25 * np.sin(2 * turns) + 0.12 * np.sin(3 * turns)
    return loudness * wave * _attack_and_end(seconds, 0.09, 0.35)


def _attack_and_end(seconds: _Wave, attack_s: float, end_s: float) -> _Wave:
    left_s = len(seconds) / _RATE_HZ - seconds
    rise = np.sin(np.pi / 2 * np.minimum(seconds / attack_s, 1)) ** 2
    fall: _Wave = np.sin(np.pi / 2 * np.minimum(left_s / end_s, 1)) ** 2
    return rise * fall


def _echo(music: _Wave) -> _Wave:
    """A small room, wrapped round like the notes."""
    rng = np.random.default_rng(20)
    room = np.zeros(len(music))
    seconds = np.arange(_RATE_HZ) / _RATE_HZ
    room[: len(seconds)] = 0.035 * rng.normal(size=len(seconds)) * np.exp(-6 * seconds)
    room[0] = 1.0
    echoed: _Wave = np.fft.irfft(np.fft.rfft(music) * np.fft.rfft(room), len(music))
    return echoed
