"""Keys of a telephone as tones (ITU-T Q.23): made, and heard in audio (Q.24, decision 40).

`ToneDetector` listens to many legs at once. For each block of 10 ms one matrix product gives
the power at the eight frequencies; what is not two tones and little else ends there. Only after
30 ms that may be a key the last 30 ms are fitted exactly: two sines, frequencies within 1.8 %,
that explain nearly all there is. Speech hardly ever does that. Levels are those of G.711, where
a sine of full scale has +3.15 dBm0.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE
from voiceblocks.audio.tones import tone

ROWS_HZ: Final = (697.0, 770.0, 852.0, 941.0)
COLUMNS_HZ: Final = (1209.0, 1336.0, 1477.0, 1633.0)
KEYS: Final = "123A456B789C*0#D"
"Row by row."

BLOCK: Final = 80
"Samples that `ToneDetector.hear` takes at a time: 10 ms."

FULL_SCALE_DBM0: Final = 3.15
TONE_LEVEL_DBFS: Final = -8.0 - FULL_SCALE_DBM0
"Of each of the two frequencies that we send."

_RATE_HZ = 8000
_TONE_FADE_MS = 2.0

_WINDOW_BLOCKS = 3
"Whole blocks in any 40 ms, however they lie."
_HISTORY_BLOCKS = 5
_WINDOW = _WINDOW_BLOCKS * BLOCK
_HISTORY = _HISTORY_BLOCKS * BLOCK

_LEAST_LEVEL_DBM0 = -32.0
"Of the louder tone; 0 to -30 must be heard."
_MOST_TWIST_DB = 6.0
_LEAST_TWIST_DB = -10.0
"Column less row; +4 to -8 must be heard."
_LEAST_SHARE = 0.88
"Of the energy that two sines explain: 0.97 with noise 15 dB below, less up to 0.05 of the grid."
_LEAST_BLOCK_SHARE = 0.5
_BLOCK_SPREAD = 2.0
"How unlike in energy the blocks of one tone may be."
_GAP = 0.1
"A block with so little of the key's power is a gap (-10 dB)."
_GAPS_END = 3
"""Gaps in a row that end a key. A pause of 40 ms has as many whole blocks, a lost packet of
20 ms has two."""

_OFFSETS = np.linspace(-0.018, 0.018, 7)
"Relative; what lies between two of them loses 4 % at most."
_GRID = np.outer(ROWS_HZ + COLUMNS_HZ, 1 + _OFFSETS).ravel()

_Floats = NDArray[np.float32]


def dtmf_tone(digit: str, duration_ms: float, level_dbfs: float = TONE_LEVEL_DBFS) -> Samples:
    """
    The two tones of a key, at 8 kHz.

    Args:
        digit: One of `KEYS`.
        duration_ms: Of the tone, with no pause behind it.
        level_dbfs: Of each of the two.

    Raises:
        ValueError: For what is no key.
    """
    if len(digit) != 1 or digit not in KEYS:
        raise ValueError("no such key")
    row, column = divmod(KEYS.index(digit), 4)
    return tone((ROWS_HZ[row], COLUMNS_HZ[column]), duration_ms, level_dbfs, fade_ms=_TONE_FADE_MS)


def first_to_hear(blocks: Samples) -> int:
    """
    Say which blocks of audio a detector that hears it from here on need not be given.

    Args:
        blocks: All of one leg's audio, shape `(n, BLOCK)`.

    Returns:
        The index of the first block that it needs; `n` where there can be no key in it.
    """
    _power, likely = _look(blocks, tolerance=0.99)
    # The last block of each run that is long enough for a key.
    n_ends = max(0, len(blocks) - _WINDOW_BLOCKS + 1)
    runs = [likely[step : step + n_ends] for step in range(_WINDOW_BLOCKS)]
    ends = np.nonzero(np.logical_and.reduce(runs))[0] + _WINDOW_BLOCKS - 1
    if not len(ends):
        return len(blocks)
    return max(0, int(ends[0]) + 1 - _HISTORY_BLOCKS)


def _look(blocks: Samples, tolerance: float = 1.0) -> tuple[_Floats, NDArray[np.bool_]]:
    """
    Power at the eight frequencies, and whether there is little else.

    With a `tolerance` below 1 blocks that lack a little are taken, too: rounding differs with
    the number of blocks.
    """
    samples = blocks.astype(np.float32)
    energy = np.einsum("ij,ij->i", samples, samples)
    parts = samples @ _block_basis()
    parts *= parts
    power = parts[:, :8] + parts[:, 8:]
    rows, columns = power[:, :4].max(axis=1), power[:, 4:].max(axis=1)
    share = tolerance * _LEAST_BLOCK_SHARE * energy
    return power, (rows + columns > share) & (energy > tolerance * _LEAST_ENERGY)


class ToneDetector:
    """
    Hears keys in the audio of up to `capacity` legs; keeps 30 ms to 50 ms of each.

    A tone counts from 40 ms on, once, at its start. It is over when it has been gone for 30 ms,
    so that a lost packet within does not make it two.
    """

    def __init__(self, capacity: int) -> None:
        self._fine = _grid_waves(_WINDOW)
        self._waves = _grid_waves(_HISTORY)
        self._history = np.zeros((capacity, _HISTORY_BLOCKS, BLOCK), np.int16)
        self._newest = np.zeros(capacity, np.int64)
        self._streak = np.zeros(capacity, np.int32)
        self._key = np.full(capacity, -1, np.int32)
        self._gaps = np.zeros(capacity, np.int32)
        self._power = np.zeros((capacity, 2), np.float32)

    def reset(self, slot: int) -> None:
        """Forget what was heard: another leg has the slot."""
        self._history[slot] = 0
        self._streak[slot] = 0
        self._key[slot] = -1
        self._gaps[slot] = 0

    def hear(self, slots: NDArray[np.int64], blocks: Samples) -> list[tuple[int, str, int]]:
        """
        Take the next 10 ms of some legs.

        Args:
            slots: Which legs, each once; shape `(n,)`.
            blocks: Their samples at 8 kHz, shape `(n, BLOCK)`; zeros where they are lost.

        Returns:
            Slot, key and, in samples from the end of this block, where the tone began
            (negative), for each key that is certain now.
        """
        newest = (self._newest[slots] + 1) % _HISTORY_BLOCKS
        self._newest[slots] = newest
        self._history[slots, newest] = blocks
        power, likely = _look(blocks)
        streak = np.where(likely, self._streak[slots] + 1, 0)
        self._streak[slots] = streak
        key = self._key[slots]
        held = key >= 0
        if held.any():
            self._go_on(slots[held], power[held])
        candidates = np.nonzero((streak >= _WINDOW_BLOCKS) & ~held)[0]
        return self._fit(slots[candidates]) if len(candidates) else []

    def holds_key(self, slot: int) -> bool:
        """Whether a key that was heard there is not over yet."""
        return bool(self._key[slot] >= 0)

    def _go_on(self, slots: NDArray[np.int64], power: _Floats) -> None:
        """Count how long each key that was heard has been gone."""
        key = self._key[slots]
        index = np.arange(len(slots))
        now = np.stack((power[index, key // 4], power[index, 4 + key % 4]), axis=1)
        gap = (now < _GAP * self._power[slots]).any(axis=1)
        gaps = np.where(gap, self._gaps[slots] + 1, 0)
        over = gaps >= _GAPS_END
        self._gaps[slots] = np.where(over, 0, gaps)
        self._key[slots[over]] = -1

    def _fit(self, slots: NDArray[np.int64]) -> list[tuple[int, str, int]]:
        """Judge the last 30 ms of legs that may have a key."""
        order = (self._newest[slots, None] + 1 + np.arange(_HISTORY_BLOCKS)) % _HISTORY_BLOCKS
        history = self._history[slots[:, None], order].astype(np.float32)
        window = history[:, -_WINDOW_BLOCKS:]
        energies = np.einsum("ijk,ijk->ij", window, window)
        steady = energies.max(axis=1) < _BLOCK_SPREAD * energies.min(axis=1)
        heard: list[tuple[int, str, int]] = []
        for index in np.nonzero(steady)[0].tolist():
            found = self._judge(history[index].reshape(-1))
            if found is not None:
                slot = int(slots[index])
                key, start, power = found
                self._key[slot], self._gaps[slot], self._power[slot] = key, 0, power
                heard.append((slot, KEYS[key], start - _HISTORY))
        return heard

    def _judge(self, history: _Floats) -> tuple[int, int, tuple[float, float]] | None:
        """Key, index in `history` of its start, and its powers in one block; or `None`."""
        window = history[-_WINDOW:]
        parts = window @ self._fine
        size = len(_GRID)
        power = parts[:size] ** 2 + parts[size:] ** 2
        row = int(power[: size // 2].argmax())
        column = int(power[size // 2 :].argmax())
        tones = self._waves[:, [row, row + size, column + size // 2, column + size // 2 + size]]
        known = tones[-_WINDOW:]
        weights = np.linalg.solve(known.T @ known, known.T @ window)
        fitted = tones @ weights
        residue = window - fitted[-_WINDOW:]
        if float(residue @ residue) > (1 - _LEAST_SHARE) * float(window @ window):
            return None
        low = float(weights[0] ** 2 + weights[1] ** 2)
        high = float(weights[2] ** 2 + weights[3] ** 2)
        if max(low, high) < _LEAST_POWER or not _LEAST_TWIST * low <= high <= _MOST_TWIST * low:
            return None
        # Before its start the tone explains nothing: there the sum still falls.
        gain = np.cumsum(fitted * (2 * history - fitted))
        start = int(gain[: _HISTORY - _WINDOW].argmin()) + 1
        if float(gain[start - 1]) > 0:
            start = 0
        key = row // len(_OFFSETS) * 4 + column // len(_OFFSETS)
        return key, start, (low * BLOCK / 2, high * BLOCK / 2)


def _amplitude(level_dbm0: float) -> float:
    return FULL_SCALE * float(10 ** ((level_dbm0 - FULL_SCALE_DBM0) / 20))


_LEAST_POWER = _amplitude(_LEAST_LEVEL_DBM0) ** 2
_LEAST_ENERGY = _LEAST_POWER * BLOCK / 2 / 2
"A block's, half of it for the sake of noise."
_MOST_TWIST = 10 ** (_MOST_TWIST_DB / 10)
_LEAST_TWIST = 10 ** (_LEAST_TWIST_DB / 10)


def _waves(frequencies_hz: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
    """Cosines, then sines, that end at the same sample: `(n_samples, 2 * frequencies)`."""
    turns = np.outer(np.arange(n_samples) - n_samples, 2 * np.pi * frequencies_hz / _RATE_HZ)
    return np.hstack((np.cos(turns), np.sin(turns)))


@functools.cache
def _grid_waves(n_samples: int) -> _Floats:
    waves: _Floats = _waves(_GRID, n_samples).astype(np.float32)
    waves.setflags(write=False)
    return waves


@functools.cache
def _block_basis() -> _Floats:
    """Scaled so that a squared sum of parts is the energy of that frequency in a block."""
    frequencies = np.array(ROWS_HZ + COLUMNS_HZ)
    basis: _Floats = (_waves(frequencies, BLOCK) * np.sqrt(2 / BLOCK)).astype(np.float32)
    basis.setflags(write=False)
    return basis
