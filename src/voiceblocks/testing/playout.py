"""What comes from a browser in fits and starts, given out in even steps.

No clock: a pull is a step of time. The same rules stand in the console's `phone_audio.js`, for
the other direction.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

_MS: Final = 8
TARGET_MIN: Final = 80 * _MS
TARGET_MAX: Final = 200 * _MS
_TARGET_STEP: Final = 20 * _MS
MOST: Final = 500 * _MS
"Of older sound than this nobody speaks any more."

_TRIM_MIN: Final = 10 * _MS
_TRIM_SHARE: Final = 4
"Of what is too much, this part goes at a time."
_FADE: Final = 5 * _MS
_LOOK_EVERY: Final = 1000 * _MS
_CALM: Final = 30_000 * _MS
_PAUSE: Final = 500 * _MS
"A gap that is longer was no jitter: nothing was sent."


class Playout:
    """
    A jitter buffer that adapts: deeper after a gap, shallower while all comes in time.

    All in samples of 8 kHz. A piece that was waited for in vain is silence.
    """

    def __init__(self) -> None:
        self._pieces: deque[NDArray[np.int16]] = deque()
        self._depth = 0
        self._target = TARGET_MIN
        self._filling = True
        self._dry_for = _PAUSE
        self._calm_for = 0
        self._looked = 0
        self._lowest = MOST

    @property
    def depth(self) -> int:
        """How much waits."""
        return self._depth

    @property
    def target(self) -> int:
        """How much is gathered before something is given out."""
        return self._target

    def push(self, samples: NDArray[np.int16]) -> None:
        """Take what came; the oldest is forgotten where too much waits."""
        if len(samples):
            self._pieces.append(samples)
            self._depth += len(samples)
        if self._depth > MOST:
            self._take(self._depth - MOST)

    def pull(self, count: int) -> NDArray[np.int16]:
        """Return the next `count` samples."""
        if self._filling:
            if self._depth < max(self._target, count):
                self._dry_for += count
                return np.zeros(count, np.int16)
            self._begin_again()
        if self._depth < count:
            self._filling, self._dry_for = True, count - self._depth
            rest = self._take(self._depth)
            return np.concatenate([rest, np.zeros(count - len(rest), np.int16)])
        given = self._take(count)
        self._adapt(count)
        return given

    def _begin_again(self) -> None:
        self._filling = False
        if self._dry_for < _PAUSE:
            self._target = min(TARGET_MAX, self._target + _TARGET_STEP)
        self._calm_for = self._looked = 0
        self._lowest = MOST

    def _adapt(self, count: int) -> None:
        self._lowest = min(self._lowest, self._depth)
        self._looked += count
        self._calm_for += count
        if self._calm_for >= _CALM:
            self._calm_for = 0
            self._target = max(TARGET_MIN, self._target - _TARGET_STEP)
        if self._looked >= _LOOK_EVERY:
            excess = self._lowest - self._target
            if excess > 0:
                self._trim(max(_TRIM_MIN, excess // _TRIM_SHARE))
            self._looked, self._lowest = 0, MOST

    def _trim(self, count: int) -> None:
        """Leave so much out, faded from what is before it to what is behind."""
        ahead = self._take(count + _FADE)
        slope = np.arange(1, _FADE + 1) / (_FADE + 1)
        joint = ahead[:_FADE] * (1 - slope) + ahead[count:] * slope
        self._pieces.appendleft(np.rint(joint).astype(np.int16))
        self._depth += _FADE

    def _take(self, count: int) -> NDArray[np.int16]:
        taken: list[NDArray[np.int16]] = [np.zeros(0, np.int16)]
        self._depth -= count
        while count:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            taken.append(piece)
            count -= len(piece)
        return np.concatenate(taken)
