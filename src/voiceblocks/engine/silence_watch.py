"""Notices that a caller who is recorded has said nothing for a while.

It reads the spool, which lies half a second behind the call, and so costs the media worker nothing.
A recording is then ended in the past: exactly where the silence had lasted long enough.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voiceblocks.audio.codecs import codec_named
from voiceblocks.audio.silence import is_sound, mean_squares
from voiceblocks.errors import StoreError
from voiceblocks.recordings.spool import SLOT_SAMPLES, SpoolReader, open_spool

PERIOD_S = 0.2
SLOT_S = 0.02
SLOTS_PER_S = 50

_AT_ONCE = 500
"Slots: ten seconds."


class SilenceWatch:
    """
    Counts silence in slots of 20 ms; what was lost on the way is silence, too.

    Where the recording was paused nothing is counted: nobody knows what was said.

    Args:
        limit_slots: So long must it last.
    """

    def __init__(self, limit_slots: int) -> None:
        self._limit = limit_slots
        self.seen_slots = 0
        self._quiet_from = 0

    def take(
        self, slots: npt.NDArray[np.int16], paused: npt.NDArray[np.uint8] | None = None
    ) -> int | None:
        """
        Hear the next slots, shape `(n, SLOT_SAMPLES)`.

        Args:
            slots: Their samples.
            paused: Not 0 for those in which the recording was paused.

        Returns:
            The slot at which the silence had lasted long enough, once it has.
        """
        telling = is_sound(mean_squares(slots))
        if paused is not None:
            telling = telling | (paused != 0)
        for index in np.nonzero(telling)[0].tolist():
            slot = self.seen_slots + index
            if slot - self._quiet_from >= self._limit:
                break
            if paused is not None and paused[index]:
                self._quiet_from += 1
            else:
                self._quiet_from = slot + 1
        self.seen_slots += len(slots)
        end = self._quiet_from + self._limit
        return end if self.seen_slots >= end else None


async def until_silent(spool_path: Path, limit_s: int) -> float:
    """
    Wait until a recording has been silent for `limit_s`.

    Args:
        spool_path: Where it grows; may not exist yet.
        limit_s: Seconds, counted from the last sound or from the beginning.

    Returns:
        The instant at which it had been: monotonic seconds, some moments ago.
    """
    watch = SilenceWatch(limit_s * SLOTS_PER_S)
    while True:
        await asyncio.sleep(PERIOD_S)
        # A disk that hangs must not hold up calls.
        instant = await asyncio.to_thread(_look, spool_path, watch)
        if instant is not None:
            return instant


def _look(spool_path: Path, watch: SilenceWatch) -> float | None:
    try:
        with open_spool(spool_path) as spool:
            return _look_at(spool, watch)
    except (StoreError, OSError):
        # Not made yet; or a disk in trouble, which the end of the recording will tell.
        return None


def _look_at(spool: SpoolReader, watch: SilenceWatch) -> float | None:
    while (count := min(_AT_ONCE, spool.n_slots() - watch.seen_slots)) > 0:
        samples = codec_named(spool.law).decode(spool.payload(watch.seen_slots, count))
        paused = spool.paused(watch.seen_slots, count)
        end = watch.take(samples.reshape(count, SLOT_SAMPLES), paused)
        if end is not None:
            return spool.header.zero_s + end * SLOT_S
    return None
