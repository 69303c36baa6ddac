"""Fills short holes in speech: the last period of what came before, again and ever fainter."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

LONGEST = 480
"60 ms: then it is silence."

_SHORTEST_PERIOD = 20
_LONGEST_PERIOD = 160
"400 Hz to 50 Hz."
_TEMPLATE = 160
_FADE = 32
"4 ms from what was made up to what came."

Samples = npt.NDArray[np.int16]


def conceal(
    before: Samples, block: Samples, absent: npt.NDArray[np.bool_], missing: int
) -> tuple[Samples, int]:
    """
    Fill what is absent in a block, and go over to what is there without a click.

    Args:
        before: What was played until now, at least 320 samples.
        block: With anything where it is absent.
        absent: Which samples are, same shape.
        missing: How long audio has been absent before this block; 0 where it was there.

    Returns:
        The block, and how long audio has been absent at its end, at most `LONGEST`.
    """
    size = len(block)
    period = _period(before)
    steps = np.arange(size)
    made = before[len(before) - period + steps % period].astype(np.float32)
    lost_for = missing
    out = block.astype(np.float32)
    fade_left = _FADE if missing else 0
    bounds = [0, *(np.nonzero(np.diff(absent))[0] + 1).tolist(), size]
    # What was played last is fainter already: only the difference to it still counts.
    past = 1 - min(missing, LONGEST) / LONGEST
    for first, after in itertools.pairwise(bounds):
        part = slice(first, after)
        gain = np.maximum(0, 1 - (lost_for + steps[: after - first]) / LONGEST)
        gain = gain / past if past > 0 else gain * 0
        if absent[first]:
            out[part] = made[part] * gain
            lost_for = min(LONGEST, lost_for + after - first)
            fade_left = _FADE
        else:
            if fade_left:
                count = min(fade_left, after - first)
                rise = (np.arange(count) + 0.5) / count
                fading = made[first : first + count] * gain[:count]
                out[first : first + count] = out[first : first + count] * rise + fading * (1 - rise)
            fade_left = 0
            lost_for = 0
    return np.rint(np.clip(out, -32767, 32767)).astype(np.int16), lost_for


def _period(before: Samples) -> int:
    """The distance at which the end of this resembles itself most."""
    values = before.astype(np.float32)
    template = values[-_TEMPLATE:]
    span = values[-_TEMPLATE - _LONGEST_PERIOD : -_SHORTEST_PERIOD]
    match = np.correlate(span, template, "valid")
    power = np.cumsum(np.concatenate(([0], span.astype(np.float64) ** 2)))
    energy = power[_TEMPLATE:] - power[:-_TEMPLATE] + 1.0
    score = np.where(match > 0, match * match / energy, 0)
    return _LONGEST_PERIOD - int(score.argmax())
