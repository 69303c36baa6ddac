"""Keys that come as tones in the audio of legs that agreed on no telephone-event.

Each tick the detector takes the latest block of every leg whose format says
`listens_for_tones`, with the position at which the block ends, so that a key has a position
and an RTP timestamp, and a recording can end exactly where it begins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voiceblocks.audio.dtmf import ToneDetector
from voiceblocks.engine.media.ears import Ears
from voiceblocks.engine.media.legs import Leg, LegTable
from voiceblocks.engine.media.messages import DigitReceived
from voiceblocks.rtp.sequence import uint32_add


class ToneListener:
    """
    Hears keys in the ears of legs.

    Args:
        legs: The table.
        ears: Of the same legs.
        report: Takes `DigitReceived`.
    """

    def __init__(self, legs: LegTable, ears: Ears, report: Callable[[DigitReceived], None]) -> None:
        self._legs = legs
        self._ears = ears
        self._report = report
        self._detector = ToneDetector(legs.capacity)
        self._listening = np.zeros(legs.capacity, bool)

    def update(self, leg: Leg) -> None:
        """Begin or stop to listen to a leg, as its format says."""
        if leg.format.listens_for_tones and not self._listening[leg.slot]:
            self._listening[leg.slot] = True
            self._detector.reset(leg.slot)
            self._ears.open(leg.slot)
        elif not leg.format.listens_for_tones:
            self._listening[leg.slot] = False

    def listens(self, leg: Leg) -> bool:
        """Whether a leg's ear is needed here."""
        return bool(self._listening[leg.slot])

    def forget(self, leg: Leg) -> None:
        """The leg goes away."""
        self._listening[leg.slot] = False

    def tick(self, now: float) -> None:
        """Hear the blocks of this tick, just as they came: what is lost is silence."""
        ears = self._ears
        index = np.nonzero(self._listening[ears.slots])[0]
        if not len(index):
            return
        slots = ears.slots[index]
        ends = dict(zip(slots.tolist(), ears.ends[index].tolist(), strict=True))
        for slot, digit, offset in self._detector.hear(slots, ears.raw[index]):
            leg = self._legs.by_slot[slot]
            if leg is not None:
                leg.load()
                position = ends[slot] + offset
                state = leg.timeline.state
                timestamp = uint32_add(state.timestamp, position - state.position)
                leg.remember_digit(timestamp, position)
                self._report(DigitReceived(leg.ident, digit, now, timestamp))
