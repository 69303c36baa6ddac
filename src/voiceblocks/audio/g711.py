"""G.711: μ-law and A-law as two table look-ups a direction.

Arrays: `int16` samples and `uint8` codes, shape `(n,)`, 8000 a second. The tables
follow the decision values of ITU-T G.711 as its reference software (G.191) reads
them: the magnitude of a negative sample is its one's complement, so -1 encodes as
zero. The well-known Sun code negates after an arithmetic shift instead and turns
-1 to -3 into -8.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
Codes = NDArray[np.uint8]

SILENCE: Final = {"PCMU": 0xFF, "PCMA": 0xD5}
"The code of the quietest sample. Zero bytes are full-scale noise in μ-law."

_ULAW_BIAS = 33
_ULAW_MAX = 0x1FFF
"Largest biased magnitude in 14-bit μ-law; what is louder is clipped."


def _segment(magnitude: NDArray[np.int32], first: int) -> NDArray[np.int32]:
    """How often each value must be halved to fall below `2 * first` (its segment number)."""
    segment = np.zeros_like(magnitude)
    limit = 2 * first
    while bool((magnitude >= limit).any()):
        segment += magnitude >= limit
        limit *= 2
    return segment


def _all_samples() -> NDArray[np.int32]:
    """Every int16 value, at the index that its bits have as uint16."""
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _build_ulaw_encode() -> Codes:
    sample = _all_samples()
    magnitude = np.where(sample < 0, ~sample, sample) >> 2
    magnitude = np.minimum(magnitude + _ULAW_BIAS, _ULAW_MAX)
    segment = _segment(magnitude, 32)
    mantissa = (magnitude >> (segment + 1)) & 0x0F
    code = 0x7F - ((segment << 4) | mantissa)
    encoded: Codes = np.where(sample < 0, code, code | 0x80).astype(np.uint8)
    return encoded


def _build_ulaw_decode() -> Samples:
    code = ~np.arange(256, dtype=np.int32)
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 0x07)) - 0x84
    decoded: Samples = np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)
    return decoded


def _build_alaw_encode() -> Codes:
    sample = _all_samples()
    magnitude = np.where(sample < 0, ~sample, sample) >> 4
    segment = _segment(magnitude, 8)
    # Segments 0 and 1 share a step size.
    mantissa = (magnitude >> np.maximum(segment - 1, 0)) & 0x0F
    code = (segment << 4) | mantissa
    encoded: Codes = (np.where(sample < 0, code, code | 0x80) ^ 0x55).astype(np.uint8)
    return encoded


def _build_alaw_decode() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code >> 4) & 0x07
    mantissa = (code & 0x0F) + np.where(segment > 0, 16, 0)
    magnitude = ((mantissa << 4) + 8) << np.maximum(segment - 1, 0)
    decoded: Samples = np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)
    return decoded


_ULAW_ENCODE = _build_ulaw_encode()
_ULAW_DECODE = _build_ulaw_decode()
_ALAW_ENCODE = _build_alaw_encode()
_ALAW_DECODE = _build_alaw_decode()


def ulaw_encode(samples: Samples) -> Codes:
    """Samples to μ-law codes (PCMU, RFC 3551 payload type 0)."""
    return _ULAW_ENCODE[samples.view(np.uint16)]


def ulaw_decode(codes: Codes) -> Samples:
    """μ-law codes to samples, at most ±32124."""
    return _ULAW_DECODE[codes]


def alaw_encode(samples: Samples) -> Codes:
    """Samples to A-law codes (PCMA, RFC 3551 payload type 8)."""
    return _ALAW_ENCODE[samples.view(np.uint16)]


def alaw_decode(codes: Codes) -> Samples:
    """A-law codes to samples, at most ±32256; there is no zero, the quietest is ±8."""
    return _ALAW_DECODE[codes]
