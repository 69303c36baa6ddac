"""What counts as silence in a telephone call, for all who ask."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.level import FULL_SCALE

SILENCE_DBFS: Final = -50.0
"Quieter is silence: soft speech has -40, the noise of a line -60."

_LEAST_MEAN_SQUARE: Final = FULL_SCALE**2 / 2 * 10 ** (SILENCE_DBFS / 10)


def mean_squares(blocks: NDArray[np.int16]) -> NDArray[np.float64]:
    """Mean energy of a sample in each block; blocks have the shape `(n, length)`."""
    values = blocks.astype(np.float64)
    means: NDArray[np.float64] = np.einsum("ij,ij->i", values, values) / max(1, blocks.shape[1])
    return means


def is_sound(means: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of these `mean_squares` are more than silence."""
    return means >= _LEAST_MEAN_SQUARE
