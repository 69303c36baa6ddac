"""Keys that are heard in recorded audio: found at its end, or silenced in all of it.

A key that ends a recording mostly ends it exactly where it begins (`rtp.telephone_event`,
`engine.media.tones`). Not so where it came by SIP INFO, which has no place in the audio, and
where a gateway lets some of the tone through before it becomes an event.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.dtmf import BLOCK, COLUMNS_HZ, KEYS, ROWS_HZ, ToneDetector, first_to_hear

LOOKED_AT: Final = 16_000
"The key that ended a recording is looked for in its last two seconds."

_RATE_HZ = 8000
_SHORTEST_TAIL = 80
"10 ms: less of a tone than that is a click."
_LONGEST_TAIL = 400
"50 ms: what is longer the detector finds."
_TAIL_STEP = 40
_LEAST_SHARE = 0.9
_LEAST_MEAN_SQUARE = 200.0**2
_MOST_TWIST = 10.0
_BEFORE = 16
"2 ms: what is silenced begins so much before a tone."
_HELD_BLOCKS = 6
"60 ms: a key is known at most 50 ms after it began."

Samples = NDArray[np.int16]


def where_key_begins(samples: Samples, key: str) -> int:
    """
    Where the key that ended a recording begins in its audio.

    Args:
        samples: The end of the recording, 8 kHz, shape `(n,)`; `LOOKED_AT` are enough.
        key: One of `dtmf.KEYS`.

    Returns:
        An index; `len(samples)` where the key is not heard.
    """
    first = max(0, len(samples) - LOOKED_AT)
    heard = samples[first:]
    # The detector needs blocks; what is in front of the audio is silence.
    padding = -len(heard) % BLOCK
    blocks = np.concatenate((np.zeros(padding, np.int16), heard)).reshape(-1, BLOCK)
    detector = ToneDetector(1)
    slot = np.zeros(1, np.int64)
    for number in range(first_to_hear(blocks), len(blocks)):
        for _slot, found, offset in detector.hear(slot, blocks[number : number + 1]):
            if found == key:
                start = (number + 1) * BLOCK + offset - padding
                return first + max(0, start - _tail(heard[: max(0, start)], key))
    return len(samples) - _tail(heard, key)


def _tail(samples: Samples, key: str) -> int:
    """How many samples at the end are nothing but this key, too short for the detector."""
    row, column = divmod(KEYS.index(key), 4)
    longest = 0
    for length in range(_SHORTEST_TAIL, min(_LONGEST_TAIL, len(samples)) + 1, _TAIL_STEP):
        part = samples[-length:].astype(np.float64)
        energy = float(part @ part)
        if energy < _LEAST_MEAN_SQUARE * length:
            return longest
        turns = np.outer(np.arange(length), (ROWS_HZ[row], COLUMNS_HZ[column]))
        angles = 2 * np.pi / _RATE_HZ * turns
        waves = np.hstack((np.cos(angles), np.sin(angles)))
        weights = np.linalg.lstsq(waves, part, rcond=None)[0]
        low = float(weights[0] ** 2 + weights[2] ** 2)
        high = float(weights[1] ** 2 + weights[3] ** 2)
        residue = part - waves @ weights
        if float(residue @ residue) > (1 - _LEAST_SHARE) * energy:
            return longest
        if not low / _MOST_TWIST <= high <= low * _MOST_TWIST:
            return longest
        longest = length
    return longest


class KeySilencer:
    """Makes keys silent in a stream of samples, 60 ms later than they come."""

    def __init__(self) -> None:
        self._detector = ToneDetector(1)
        self._slot = np.zeros(1, np.int64)
        self._held = np.zeros((0, BLOCK), np.int16)
        self._rest = np.zeros(0, np.int16)

    def feed(self, samples: Samples) -> Samples:
        """Take the next samples, shape `(n,)`; return what is settled, in order, none twice."""
        waiting = np.concatenate((self._rest, samples))
        whole = len(waiting) // BLOCK * BLOCK
        self._rest = waiting[whole:]
        blocks = waiting[:whole].reshape(-1, BLOCK)
        audio = np.concatenate((self._held, blocks)).reshape(-1)
        at = self._held.size
        for block in blocks:
            at += BLOCK
            for _slot, _key, offset in self._detector.hear(self._slot, block[None, :]):
                audio[max(0, at + offset - _BEFORE) : at] = 0
            if self._detector.holds_key(0):
                audio[at - BLOCK : at] = 0
        held = min(len(audio), _HELD_BLOCKS * BLOCK)
        self._held = audio[len(audio) - held :].reshape(-1, BLOCK).copy()
        return audio[: len(audio) - held]

    def flush(self) -> Samples:
        """Return what is left; the stream is over."""
        left = np.concatenate((self._held.reshape(-1), self._rest))
        if self._detector.holds_key(0):
            left[len(left) - len(self._rest) :] = 0
        self._held, self._rest = self._held[:0], self._rest[:0]
        return left
