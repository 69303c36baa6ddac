"""Voices of many speakers that can be told apart in a mixture.

Each speaker has two frequencies of its own. What a listener recorded is decomposed into
passages: who was heard, from when to when, and how loud.

    phone_a.media.repeat(voice(0, 1000))
    phone_b.media.repeat(voice(1, 1000))
    ...
    passages = who_is_heard(phone_c.media.audio())
    assert {passage.speaker for passage in passages} == {0, 1}      # not itself: 2

Survives G.711, a lost packet, our MP3, and a mixture of all `SPEAKERS` at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE
from voiceblocks.audio.tones import tone

SPEAKERS: Final = 16
SAMPLE_RATE_HZ: Final = 8000

LEVEL_DBFS: Final = -26.0
"""Of each of the two tones. Ten speakers together never clip, whatever their phases; sixteen
hardly ever do, unless they begin at the same sample."""

_LOW_HZ: Final = 330.0
_HIGH_HZ: Final = 1715.0
_STEP_HZ: Final = 85.0
"""330 to 1605 and 1715 to 2990 Hz: what the MP3's low-pass leaves alone, each at least 10 Hz
from the 1000 Hz of the beep."""

_FRAME = 640
_HOP = 40
"Windows of 80 ms every 5 ms."

AUDIBLE_DBFS: Final = -50.0
"A tone that is softer is not heard, even alone."

_EVEN_DB: Final = 9.0
"The two tones of a speaker are about as loud as each other; a stranger's sound is not."

SHORTEST_MS: Final = 60.0
"A passage that is shorter is not reported."

BRIDGED_MS: Final = 60.0
"A gap up to this long does not end a passage: a lost packet or two. See `hearing.gaps`."


@dataclass(frozen=True, slots=True)
class Passage:
    """One speaker, heard without a break."""

    speaker: int
    from_ms: float
    "Within 5 ms where the voice begins or ends at once."
    to_ms: float
    level_dbfs: float
    "Of each of its tones, the median; `LEVEL_DBFS` if nothing changed it."

    @property
    def lasts_ms(self) -> float:
        """How long."""
        return self.to_ms - self.from_ms


def frequencies_of(speaker: int) -> tuple[float, float]:
    """The two tones of a speaker in Hz."""
    if not 0 <= speaker < SPEAKERS:
        raise ValueError(f"there are speakers 0 to {SPEAKERS - 1}")
    return _LOW_HZ + _STEP_HZ * speaker, _HIGH_HZ + _STEP_HZ * speaker


def voice(speaker: int, duration_ms: float, level_dbfs: float = LEVEL_DBFS) -> Samples:
    """
    A speaker's voice at 8 kHz.

    Of 1000 ms, or any multiple of 200 ms, it may be repeated without a click.
    """
    return tone(frequencies_of(speaker), duration_ms, level_dbfs)


def levels(
    samples: NDArray[np.int16], from_ms: float = 0.0, to_ms: float | None = None
) -> dict[int, float]:
    """
    How loud each audible speaker is in a part of a recording: median level of its tones.

    Args:
        samples: 8 kHz.
        from_ms: Where the part begins.
        to_ms: Where it ends; at the end of the recording if omitted.
    """
    part = samples[round(from_ms * 8) : None if to_ms is None else round(to_ms * 8)]
    heard = np.median(_levels(part), axis=0)
    return {speaker: float(level) for speaker, level in enumerate(heard) if level > AUDIBLE_DBFS}


def who_is_heard(
    samples: NDArray[np.int16], speakers: Iterable[int] = range(SPEAKERS)
) -> list[Passage]:
    """
    All passages in a recording, in order of their beginning.

    Args:
        samples: 8 kHz.
        speakers: Whom to look for.
    """
    heard = _levels(samples)
    passages: list[Passage] = []
    for speaker in speakers:
        passages += _passages(speaker, heard[:, speaker])
    return sorted(passages, key=lambda passage: passage.from_ms)


def _passages(speaker: int, level: NDArray[np.float64]) -> list[Passage]:
    """A window at the edge of a voice is half full, so 6 dB down: there it begins or ends."""
    found = []
    audible = np.flatnonzero(level > AUDIBLE_DBFS)
    if not len(audible):
        return []
    hop_ms = _HOP * 1000 / SAMPLE_RATE_HZ
    breaks = np.flatnonzero(np.diff(audible) * hop_ms > BRIDGED_MS)
    for run in np.split(audible, breaks + 1):
        whole = float(np.median(level[run]))
        full = run[level[run] > whole - 6.02]
        from_ms, to_ms = float(full[0] * hop_ms), float(full[-1] * hop_ms)
        if to_ms - from_ms >= SHORTEST_MS:
            found.append(Passage(speaker, from_ms, to_ms, whole))
    return found


def _levels(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """
    Level of each speaker in dBFS, shape `(windows, SPEAKERS)`.

    Window `i` is centred on sample `i * _HOP`. Where the two tones differ too much, or one is
    missing, the softer one counts.
    """
    padded = np.concatenate([np.zeros(_FRAME // 2), samples, np.zeros(_FRAME // 2)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    taper = np.hanning(_FRAME + 2)[1:-1]
    low_and_high = list(zip(*map(frequencies_of, range(SPEAKERS)), strict=True))
    turns = np.exp(
        -2j * np.pi / SAMPLE_RATE_HZ * np.outer(np.arange(_FRAME), np.concatenate(low_and_high))
    )
    amplitude = 2 * np.abs((windows * taper) @ turns) / taper.sum() / (FULL_SCALE - 1)
    level: NDArray[np.float64] = 20 * np.log10(np.maximum(amplitude, 1e-6))
    low, high = level[:, :SPEAKERS], level[:, SPEAKERS:]
    softer = np.minimum(low, high)
    even = np.abs(low - high) <= _EVEN_DB
    both: NDArray[np.float64] = np.where(even, (low + high) / 2, softer - _EVEN_DB)
    return both
