"""Both laws of G.711 as tables of two rows, so that one look-up serves legs of mixed laws."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio import g711
from voiceblocks.audio.g711 import Codes, Samples

LAWS: Final = ("PCMU", "PCMA")
"Rows of the tables."

_CODES = np.arange(256, dtype=np.uint8)
_SAMPLES = np.arange(65536, dtype=np.uint16).view(np.int16)
_DECODE = np.stack((g711.ulaw_decode(_CODES), g711.alaw_decode(_CODES))).reshape(-1)
_ENCODE = np.stack((g711.ulaw_encode(_SAMPLES), g711.alaw_encode(_SAMPLES))).reshape(-1)
_TRANSCODE: Final = {
    ("PCMU", "PCMA"): g711.alaw_encode(g711.ulaw_decode(_CODES)).tobytes(),
    ("PCMA", "PCMU"): g711.ulaw_encode(g711.alaw_decode(_CODES)).tobytes(),
}
_OFFSET = 65536
_LOUDEST = 32767

Sums = NDArray[np.int32]
Laws = NDArray[np.int64]


def decode(laws: Laws, codes: Codes) -> Samples:
    """
    Samples of payloads.

    Args:
        laws: Row of `LAWS` for each payload, `(n,)`.
        codes: `(n, length)`.
    """
    samples: Samples = _DECODE[(laws << 8)[:, None] + codes]
    return samples


def encode(laws: Laws, sums: Sums) -> Codes:
    """
    Payloads of sums; what is too loud is clipped.

    Args:
        laws: Row of `LAWS` for each payload, `(n,)`.
        sums: `(n, length)`.
    """
    clipped = np.clip(sums, -_LOUDEST - 1, _LOUDEST) & (_OFFSET - 1)
    return _ENCODE[laws[:, None] * _OFFSET + clipped]


def transcode(payload: bytes, law: str, wanted: str) -> bytes:
    """Change the law of a payload."""
    return payload if law == wanted else payload.translate(_TRANSCODE[law, wanted])
