"""Keys as tones in the audio (ITU-T Q.23): how a phone without telephone-event presses them.

Independent of the server's own tones and detector, so that a mistake there is not made here
a second time.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs

_ROWS_HZ: Final = (697.0, 770.0, 852.0, 941.0)
_COLUMNS_HZ: Final = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS: Final = ("123A", "456B", "789C", "*0#D")

_FRAME: Final = 160
_AUDIBLE_DBFS: Final = -40.0
_PURE_DB: Final = 2.0
"The pair carries nearly all of the sound."
_FRAMES_OF_A_KEY: Final = 2


def keypad(
    digits: str,
    *,
    on_ms: int = 100,
    off_ms: int = 100,
    level_dbfs: float = -12.0,
    twist_db: float = 0.0,
) -> Samples:
    """
    Press keys one after another, 8 kHz.

    Args:
        digits: Of `0-9 * # A-D`.
        on_ms: How long each tone lasts; Q.24 wants 40 and more to be heard.
        off_ms: The pause behind each.
        level_dbfs: Of the lower tone.
        twist_db: How much louder the higher one is.
    """
    seconds = np.arange(on_ms * 8) / 8000
    low, high = (10 ** (level / 20) * 32767 for level in (level_dbfs, level_dbfs + twist_db))
    parts = []
    for digit in digits:
        row, column = _place(digit)
        wave = low * np.sin(2 * np.pi * _ROWS_HZ[row] * seconds)
        wave = wave + high * np.sin(2 * np.pi * _COLUMNS_HZ[column] * seconds)
        parts += [wave, np.zeros(off_ms * 8)]
    samples: Samples = np.rint(np.concatenate([np.zeros(0), *parts])).astype(np.int16)
    return samples


def keys_heard(samples: NDArray[np.int16]) -> str:
    """The keys in a recording whose tones are clean and last 60 ms and more."""
    found, last, run = "", "", 0
    for start in range(0, len(samples) - _FRAME + 1, _FRAME):
        key = _key_in(samples[start : start + _FRAME])
        run = run + 1 if key == last else 1
        last = key
        if key and run == _FRAMES_OF_A_KEY:
            found += key
    return found


def _key_in(frame: NDArray[np.int16]) -> str:
    total = rms_dbfs(frame)
    if total < _AUDIBLE_DBFS:
        return ""
    rows = [goertzel_level_dbfs(frame, hz) for hz in _ROWS_HZ]
    columns = [goertzel_level_dbfs(frame, hz) for hz in _COLUMNS_HZ]
    row, column = max(rows), max(columns)
    pair = 10 * np.log10(10 ** (row / 10) + 10 ** (column / 10))
    if pair < total - _PURE_DB or min(row, column) < _AUDIBLE_DBFS:
        return ""
    return _KEYS[rows.index(row)][columns.index(column)]


def _place(digit: str) -> tuple[int, int]:
    for row, keys in enumerate(_KEYS):
        if digit in keys:
            return row, keys.index(digit)
    raise ValueError(f"{digit!r} is no key")
