"""Hears our beep in a stream of packets, and when exactly it is over."""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray

from voiceblocks.testing.sounds import SAMPLES_PER_MS, is_beep

BEEP_FRAMES = 8
"So many packets in a row are a beep, and no accident of speech."

LOUD = 64
"Above G.711's silence; what is softer of our beep's fading end lasts less than a millisecond."

_TIMESTAMPS_PER_S = 1000 * SAMPLES_PER_MS


class BeepWatch:
    """Told of each packet of a call, in the order in which they came."""

    def __init__(self) -> None:
        self.run = 0
        "Packets of the beep that is heard now."
        self.heard = 0
        "Beeps that are over."
        self.over: asyncio.Queue[float] = asyncio.Queue()
        "The monotonic second at which each was over."
        self._over_s = 0.0
        self._least_delay_s: dict[int, float] = {}
        "Of each stream: arrival minus timestamp, of the packet that was on its way shortest."

    def hear(self, samples: NDArray[np.int16], at: float, timestamp: int, ssrc: int) -> None:
        """Take a packet that arrived at a monotonic second."""
        due_s = self._due_s(at, timestamp, ssrc)
        is_tone = is_beep(samples)
        if is_tone or self.run:
            # A beep ends anywhere in a packet: in its last one, or where too little of it is
            # left in the next to be told from anything else.
            loud = np.flatnonzero(np.abs(samples) > LOUD)
            if len(loud) and (is_tone or loud[0] < SAMPLES_PER_MS):
                self._over_s = due_s + (int(loud[-1]) + 1) / _TIMESTAMPS_PER_S
        self.count(is_tone=is_tone, now=self._over_s)

    def count(self, *, is_tone: bool, now: float) -> None:
        """Take a packet that was judged; where it is none of the beep, that was over at `now`."""
        if is_tone:
            self.run += 1
            return
        if self.run >= BEEP_FRAMES:
            self.heard += 1
            self.over.put_nowait(now)
        self.run = 0

    def _due_s(self, at: float, timestamp: int, ssrc: int) -> float:
        """When a packet would have come with the least delay seen so far."""
        spoken_at_s = timestamp / _TIMESTAMPS_PER_S
        wrap_s = 2**32 / _TIMESTAMPS_PER_S
        least = self._least_delay_s.get(ssrc, at - spoken_at_s)
        # A timestamp that has wrapped is a whole round earlier.
        spoken_at_s += round((at - spoken_at_s - least) / wrap_s) * wrap_s
        self._least_delay_s[ssrc] = least = min(least, at - spoken_at_s)
        return spoken_at_s + least
