"""Comfort noise (RFC 3389): what a phone sends instead of a pause.

The level is honoured, the spectrum is not: noise is made white. In a recording it
only shows that the line was alive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voiceblocks.audio.g711 import Samples
from voiceblocks.errors import RemoteRtpError

MAX_COEFFICIENTS = 255
"More than any codec's order; a longer payload is no comfort noise."

_FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class ComfortNoise:
    """One silence descriptor (RFC 3389 section 3)."""

    level_dbov: int
    "0 to -127, relative to the loudest square wave that the codec carries."

    reflection: tuple[float, ...] = ()
    "Reflection coefficients of the spectrum, about -1 to 1."


def parse_comfort_noise(payload: bytes) -> ComfortNoise:
    """
    Read the payload of a comfort noise packet.

    Raises:
        RemoteRtpError: If it is empty or too long.
    """
    if not 1 <= len(payload) <= 1 + MAX_COEFFICIENTS:
        raise RemoteRtpError(f"comfort noise of {len(payload)} bytes")
    # The first bit is reserved and ignored; section 3.2 gives the coefficients' scale.
    return ComfortNoise(
        level_dbov=-(payload[0] & 0x7F),
        reflection=tuple(258 * (code - 127) / 32768 for code in payload[1:]),
    )


def comfort_noise(level_dbov: int, n_samples: int, random: np.random.Generator) -> Samples:
    """
    White noise of this level, clipped where it exceeds full scale.

    Args:
        level_dbov: 0 to -127.
        n_samples: How many.
        random: Where the randomness comes from.
    """
    rms = _FULL_SCALE * 10 ** (level_dbov / 20)
    noise: Samples = np.clip(np.rint(random.normal(0.0, rms, n_samples)), -32768, 32767).astype(
        np.int16
    )
    return noise
