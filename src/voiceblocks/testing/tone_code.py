"""Audio that says which second of itself it is.

Each second begins with the same short sweep, by which its start is found to the
sample, and goes on with a pair of tones of its own, by which it is known. So a test
can say in words what became of the audio: which second was lost, doubled, moved.

```
0 ms      100              990  1000
|  sweep  |  tone pair k    |    |  sweep …
```

Data flows `encode_seconds` -> whatever is being tested -> `decode_seconds` ->
`explain`. Survives G.711, our MP3, and lost packets filled with silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import FULL_SCALE, rms_dbfs
from voiceblocks.audio.tones import edges, tone

SAMPLE_RATE_HZ: Final = 8000

SECONDS: Final = 256
"How many seconds have a tone pair of their own; then the first comes again."

LEVEL_DBFS: Final = -16.0
"Of each tone."

TOLERANCE_MS: Final = 5.0
"A second that lies no further from its place is in it."

_SWEEP_SAMPLES = 800
_SWEEP_HZ = (500.0, 2900.0)
_TONE_END = 7920
_FADE_SAMPLES = 40

_LOW_HZ: Final = np.array([420.0 + 70.0 * step for step in range(16)])
_HIGH_HZ: Final = np.array([1650.0 + 95.0 * step for step in range(16)])
"Steps wide enough for a 40 ms window; up to 3075 Hz, which the MP3's low-pass leaves alone."

_FRAME = 320
_HOP = 80
"Windows of 40 ms every 10 ms tell which pair sounds when."

_PAIR_SHARE = 0.6
"Share of a window's energy that the pair must have; noise and speech stay below it."

_SWEEP_FOUND = 0.45
"Normalised correlation at a sweep; 0.55 is left of one that lost three of five packets."

_AUDIBLE = 30.0
"RMS below which a window counts as silent: -58 dBFS."

_HEARD_MIN_HOPS = 4
"A pair that sounds for less than 40 ms is not called a second: windows over an edge may err."

HEARD_ENOUGH_MS: Final = 600.0
"""Of the 890 ms of tones; what is less is called damaged. A lost packet spoils the windows
around it, too: of 1024 seconds with 5 % loss the worst kept 690 ms, with 10 % 550 ms."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One second that was found."""

    second_index: int
    "Which one, 0 to `SECONDS` - 1."

    starts_at_ms: float
    """Where it starts, within 0.5 ms where its sweep was found; else judged from where its
    tones begin, within 20 ms. Negative where its beginning was cut off."""

    level_dbfs: float
    "RMS of what was heard of its tones; `LEVEL_DBFS` + 3 if untouched."

    heard_ms: float
    "How much of its 890 ms of tones was heard."


@dataclass(frozen=True, slots=True)
class Expected:
    """One second and where it should be."""

    second_index: int
    starts_at_ms: float


def expected_seconds(first: int, count: int, starts_at_ms: float = 0.0) -> list[Expected]:
    """What `encode_seconds(first, count)` looks like where it begins at `starts_at_ms`."""
    return [
        Expected((first + offset) % SECONDS, starts_at_ms + 1000.0 * offset)
        for offset in range(count)
    ]


def tones_of(second_index: int) -> tuple[float, float]:
    """The two frequencies of a second in Hz; neighbours share neither."""
    low = second_index % 16
    high = (second_index + second_index // 16) % 16
    return float(_LOW_HZ[low]), float(_HIGH_HZ[high])


def _second_of(low: NDArray[np.intp], high: NDArray[np.intp]) -> NDArray[np.intp]:
    """The inverse of `tones_of`, on positions in the tables of tones."""
    return 16 * ((high - low) % 16) + low


def _sweep() -> NDArray[np.float64]:
    seconds = np.arange(_SWEEP_SAMPLES) / SAMPLE_RATE_HZ
    start, end = _SWEEP_HZ
    slope = (end - start) / (_SWEEP_SAMPLES / SAMPLE_RATE_HZ)
    wave = np.sin(2 * np.pi * (start + slope / 2 * seconds) * seconds)
    amplitude = 10 ** ((LEVEL_DBFS + 3) / 20) * FULL_SCALE
    shaped: NDArray[np.float64] = amplitude * wave * edges(_SWEEP_SAMPLES, _FADE_SAMPLES)
    return shaped


def encode_seconds(first: int, count: int) -> Samples:
    """
    Seconds `first` to `first + count - 1` of tone code, 8 kHz, shape `(8000 * count,)`.

    After `SECONDS` the code repeats.
    """
    audio = np.zeros((count, SAMPLE_RATE_HZ), np.int16)
    sweep = np.rint(_sweep()).astype(np.int16)
    tones_ms = (_TONE_END - _SWEEP_SAMPLES) * 1000 / SAMPLE_RATE_HZ
    for offset in range(count):
        pair = tones_of((first + offset) % SECONDS)
        audio[offset, :_SWEEP_SAMPLES] = sweep
        audio[offset, _SWEEP_SAMPLES:_TONE_END] = tone(pair, tones_ms, LEVEL_DBFS, fade_ms=5)
    return audio.reshape(-1)


def decode_seconds(samples: Samples) -> list[Heard]:
    """
    Find all seconds in 8 kHz audio, in the order in which they sound.

    A second without any recognisable tones is not found, however well its sweep is.
    """
    if len(samples) < _FRAME:
        return []
    signal = samples.astype(np.float64)
    sweeps = _find_sweeps(signal)
    labels = _label_windows(signal)
    found = []
    for start, end in _runs(labels, sweeps):
        index = int(labels[start])
        hops = np.flatnonzero(labels[start:end] == index) + start
        if len(hops) < _HEARD_MIN_HOPS:
            continue
        first, last = int(hops[0]) * _HOP, int(hops[-1]) * _HOP + _FRAME
        # About half of a window must sound for it to be known.
        heard_ms = (len(hops) * _HOP + _HOP) * 1000 / SAMPLE_RATE_HZ
        found.append(
            Heard(
                second_index=index,
                starts_at_ms=_start_of(sweeps, first, last) * 1000 / SAMPLE_RATE_HZ,
                level_dbfs=rms_dbfs(samples[first + _FRAME // 4 : last - _FRAME // 4]),
                heard_ms=heard_ms,
            )
        )
    return found


def _start_of(sweeps: list[int], first: int, last: int) -> int:
    """The sample at which the second starts whose tones were heard from `first` to `last`."""
    before = [sweep for sweep in sweeps if sweep < first + _FRAME]
    # The sweep before belongs to this second unless its tones would end too late.
    if before and last - before[-1] <= _TONE_END + _FRAME:
        return before[-1]
    after = [sweep for sweep in sweeps if abs(sweep - last) <= 3 * _FRAME]
    if after:
        return after[0] - SAMPLE_RATE_HZ
    return first + _FRAME // 4 - _SWEEP_SAMPLES


def _find_sweeps(signal: NDArray[np.float64]) -> list[int]:
    """Where sweeps start, by normalised cross-correlation; never two within half a second."""
    template = _sweep()
    padded = np.concatenate([np.zeros(_SWEEP_SAMPLES), signal, np.zeros(_SWEEP_SAMPLES)])
    size = 1 << (len(padded) + _SWEEP_SAMPLES).bit_length()
    spectrum = np.fft.rfft(padded, size) * np.conj(np.fft.rfft(template, size))
    n_lags = len(padded) - _SWEEP_SAMPLES
    product = np.fft.irfft(spectrum, size)[:n_lags]
    energy = np.concatenate([[0.0], np.cumsum(padded**2)])
    local = energy[_SWEEP_SAMPLES : _SWEEP_SAMPLES + n_lags] - energy[:n_lags]
    floor = _AUDIBLE**2 * _SWEEP_SAMPLES / 4
    score = product / np.sqrt(np.maximum(local, floor) * np.dot(template, template))
    sweeps: list[int] = []
    guard = _SWEEP_SAMPLES // 2
    for lag in np.flatnonzero(score >= _SWEEP_FOUND):
        low = max(int(lag) - guard, 0)
        if score[lag] == score[low : lag + guard + 1].max():
            sweeps.append(int(lag) - _SWEEP_SAMPLES)
    return sweeps


def _label_windows(signal: NDArray[np.float64]) -> NDArray[np.intp]:
    """The second whose tones sound in each window, -1 where none does."""
    windows = np.lib.stride_tricks.sliding_window_view(signal, _FRAME)[::_HOP]
    taper = np.hanning(_FRAME + 2)[1:-1]
    turns = np.exp(
        -2j
        * np.pi
        / SAMPLE_RATE_HZ
        * np.outer(np.arange(_FRAME), np.concatenate([_LOW_HZ, _HIGH_HZ]))
    )
    power = np.abs((windows * taper) @ turns) ** 2
    low, high = power[:, :16].argmax(axis=1), power[:, 16:].argmax(axis=1)
    pair = power[:, :16].max(axis=1), power[:, 16:].max(axis=1)
    # Mean squares, as if the pair and the whole window sounded all through it.
    tonal = 2 * (pair[0] + pair[1]) / taper.sum() ** 2
    total = ((windows * taper) ** 2).sum(axis=1) / (taper**2).sum()
    known = (
        (total > _AUDIBLE**2)
        & (tonal >= _PAIR_SHARE * total)
        & (np.minimum(*pair) > 0.1 * np.maximum(*pair))
    )
    return np.where(known, _second_of(low, high), -1)


def _runs(labels: NDArray[np.intp], sweeps: Sequence[int]) -> list[tuple[int, int]]:
    """
    Spans of windows that belong to one second.

    A span ends where another second sounds or a sweep begins, not at a gap.
    """
    cuts = {max(sweep, 0) // _HOP for sweep in sweeps}
    spans: list[tuple[int, int]] = []
    start = current = -1
    for position, label in enumerate(labels):
        if current >= 0 and (position in cuts or (label >= 0 and label != current)):
            spans.append((start, position))
            current = -1
        if label >= 0 and current < 0:
            start, current = position, int(label)
    if current >= 0:
        spans.append((start, len(labels)))
    return spans


def explain(
    heard: Sequence[Heard],
    expected: Sequence[Expected],
    tolerance_ms: float = TOLERANCE_MS,
    heard_enough_ms: float = HEARD_ENOUGH_MS,
) -> list[str]:
    """
    Say in words how what was heard differs from what was expected.

    Args:
        heard: From `decode_seconds`.
        expected: From `expected_seconds`, at most `SECONDS` of them, each once.
        tolerance_ms: How far a second may lie from its place.
        heard_enough_ms: How much of a second's tones must be heard.

    Returns:
        One sentence for each kind of damage and second, or run of seconds that moved
        together, in order of time; empty if all is as expected.
    """
    complaints: list[tuple[float, str]] = []
    moved: list[tuple[Expected, float]] = []
    for second in expected:
        copies = [one for one in heard if one.second_index == second.second_index]
        if not copies:
            complaints.append((second.starts_at_ms, f"second {second.second_index} is missing"))
            continue
        # The copy nearest to its place is the original.
        best = min(copies, key=lambda one: abs(one.starts_at_ms - second.starts_at_ms))
        if len(copies) > 1:
            places = " and ".join(f"{one.starts_at_ms:.0f} ms" for one in copies)
            text = f"second {second.second_index} is heard {len(copies)} times, at {places}"
            complaints.append((second.starts_at_ms, text))
        if best.heard_ms < heard_enough_ms:
            text = f"only {best.heard_ms:.0f} ms of second {second.second_index} are heard"
            complaints.append((second.starts_at_ms, text))
        moved.append((second, best.starts_at_ms - second.starts_at_ms))
    complaints += _moves(moved, tolerance_ms)
    known = {second.second_index for second in expected}
    for one in heard:
        if one.second_index not in known:
            text = f"second {one.second_index} is heard at {one.starts_at_ms:.0f} ms, unexpected"
            complaints.append((one.starts_at_ms, text))
    return [text for _at, text in sorted(complaints, key=lambda complaint: complaint[0])]


def _moves(
    shifts: Iterable[tuple[Expected, float]], tolerance_ms: float
) -> list[tuple[float, str]]:
    """Runs of seconds that are late or early by the same, within the tolerance."""
    runs: list[list[tuple[Expected, float]]] = []
    for second, shift in shifts:
        if runs and abs(runs[-1][0][1] - shift) <= tolerance_ms:
            runs[-1].append((second, shift))
        else:
            runs.append([(second, shift)])
    sentences = []
    for run in runs:
        shift = float(np.median([shift for _second, shift in run]))
        if abs(shift) <= tolerance_ms:
            continue
        first, last = run[0][0], run[-1][0]
        who = f"second {first.second_index} is"
        if len(run) > 1:
            who = f"seconds {first.second_index} to {last.second_index} are"
        how = "late" if shift > 0 else "early"
        sentences.append((first.starts_at_ms, f"{who} {abs(shift):.0f} ms {how}"))
    return sentences


def check(samples: Samples, first: int, count: int, starts_at_ms: float = 0.0) -> list[str]:
    """`explain` for audio that should hold `encode_seconds(first, count)` from `starts_at_ms`."""
    return explain(decode_seconds(samples), expected_seconds(first, count, starts_at_ms))
