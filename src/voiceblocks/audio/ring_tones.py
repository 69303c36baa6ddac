"""What a caller hears while it rings at the far end, by country (ITU-T E.180, Supplement 2).

A country that is not in the table, or whose tone is the commonest one, has `DEFAULT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE
from voiceblocks.audio.tones import edges

LEVEL_DBFS: Final = -18.0
"Of all frequencies together: a little more than speech has, less than a beep."

_MODULATION_DEPTH: Final = 0.8
_FADE_SAMPLES: Final = 40
_SAMPLES_PER_MS: Final = 8


@dataclass(frozen=True, slots=True)
class RingTone:
    """One cadence, repeated until somebody answers."""

    frequencies_hz: tuple[float, ...]
    "Sounding together."

    cadence_ms: tuple[int, ...]
    "Tone, silence, tone, silence, …"

    modulation_hz: float = 0.0
    "Of the amplitude; 0 where it is steady."


DEFAULT: Final = RingTone((425,), (1000, 4000))

_DOUBLE: Final = (400, 200, 400, 2000)
_NORTH_AMERICA: Final = RingTone((440, 480), (2000, 4000))
_BRITISH: Final = RingTone((400, 450), _DOUBLE)

RING_TONES: Final = MappingProxyType(
    {
        "AE": _BRITISH,
        "AR": RingTone((425,), (1000, 4500)),
        "AT": RingTone((420,), (1000, 5000)),
        "AU": RingTone((413, 438), _DOUBLE),
        "BE": RingTone((425,), (1000, 3000)),
        "BG": DEFAULT,
        "BR": DEFAULT,
        "CA": _NORTH_AMERICA,
        "CH": DEFAULT,
        "CL": RingTone((400,), (1000, 3000)),
        "CN": RingTone((450,), (1000, 4000)),
        "CO": DEFAULT,
        "CR": RingTone((450,), (1200, 4800)),
        "CZ": DEFAULT,
        "DE": DEFAULT,
        "DK": DEFAULT,
        "EE": DEFAULT,
        "ES": RingTone((425,), (1500, 3000)),
        "FI": DEFAULT,
        "FR": RingTone((440,), (1500, 3500)),
        "GB": _BRITISH,
        "GR": DEFAULT,
        "HK": RingTone((440, 480), (400, 200, 400, 3000)),
        "HR": DEFAULT,
        "HU": RingTone((425,), (1240, 3760)),
        "ID": DEFAULT,
        "IE": _BRITISH,
        "IL": RingTone((400,), (1000, 3000)),
        "IN": RingTone((400,), _DOUBLE, 25),
        "IS": RingTone((425,), (1200, 4700)),
        "IT": DEFAULT,
        "JP": RingTone((400,), (1000, 2000), 16),
        "KR": RingTone((440, 480), (1000, 2000)),
        "LT": DEFAULT,
        "LU": DEFAULT,
        "MO": DEFAULT,
        "MX": DEFAULT,
        "MY": RingTone((425,), _DOUBLE),
        "NL": DEFAULT,
        "NO": DEFAULT,
        "NZ": _BRITISH,
        "PE": DEFAULT,
        "PH": RingTone((425, 480), (1000, 4000)),
        "PK": RingTone((400,), (1000, 2000)),
        "PL": DEFAULT,
        "PT": RingTone((425,), (1000, 5000)),
        "RO": RingTone((425,), (1860, 4140)),
        "RU": RingTone((425,), (800, 3200)),
        "SA": RingTone((425,), (1200, 4600)),
        "SE": RingTone((425,), (1000, 5000)),
        "SG": RingTone((425,), _DOUBLE, 24),
        "SK": DEFAULT,
        "TH": RingTone((400,), (1000, 4000)),
        "TR": RingTone((450,), (2000, 4000)),
        "TW": RingTone((440, 480), (1000, 2000)),
        "UA": DEFAULT,
        "US": _NORTH_AMERICA,
        "VE": DEFAULT,
        "VN": DEFAULT,
        "ZA": RingTone((400,), _DOUBLE, 33),
    }
)
"By ISO 3166 code. Rounded to whole frames of 20 ms where a country is finer."


def ring_tone_of(country: str) -> RingTone:
    """The tone of an ISO 3166 country, in either case; `DEFAULT` where it is not known."""
    return RING_TONES.get(country.upper(), DEFAULT)


def ring_tone_samples(ring_tone: RingTone) -> Samples:
    """One period at 8 kHz: begins with the tone, ends with silence, so it loops without a click."""
    parts = []
    for index, duration_ms in enumerate(ring_tone.cadence_ms):
        n_samples = duration_ms * _SAMPLES_PER_MS
        is_tone = index % 2 == 0
        parts.append(_sound(ring_tone, n_samples) if is_tone else np.zeros(n_samples, np.int16))
    return np.concatenate(parts)


def _sound(ring_tone: RingTone, n_samples: int) -> Samples:
    radians = 2 * np.pi * np.arange(n_samples) / (1000 * _SAMPLES_PER_MS)
    wave = sum(np.sin(radians * frequency) for frequency in ring_tone.frequencies_hz)
    if ring_tone.modulation_hz:
        wave = wave * (1 - _MODULATION_DEPTH * np.cos(radians * ring_tone.modulation_hz))
    # dBFS as in `level`: of a sine of that power.
    gain = 10 ** (LEVEL_DBFS / 20) * FULL_SCALE / np.sqrt(2 * np.mean(wave**2))
    faded = wave * gain * edges(n_samples, _FADE_SAMPLES)
    return np.asarray(np.rint(faded), np.int16)
