"""Mixes: each leg in one hears the sum of the others.

Every tick the latest block of each ear is faded in or out, as its leg begins or stops to speak,
and summed for each mix. A packet of a leg is made of the sums of the ticks that it spans, less
what the leg itself put into them. Bridges and rooms are the same thing here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from voiceblocks.audio import mixing
from voiceblocks.engine.media.ears import BLOCK, HISTORY, Ears, ms_of
from voiceblocks.engine.media.legs import Leg, LegTable
from voiceblocks.engine.media.messages import JoinMix, LegLeftMix
from voiceblocks.rtp.packet import HEADER_BYTES

if TYPE_CHECKING:
    from voiceblocks.engine.media.transmit import Transmitter

NOWHERE = -1
_BLOCK_RISE = (np.arange(BLOCK, dtype=np.float32) + 1) / BLOCK

Bytes = npt.NDArray[np.uint8]
Indexes = npt.NDArray[np.int64]


class Mixer:
    """
    All mixes of one worker; one exists as long as a leg is in it.

    Args:
        legs: The table.
        ears: Of the same legs.
        report: Takes `LegLeftMix`.
        listens: Whether a leg's ear stays open without a mix.
    """

    def __init__(
        self,
        legs: LegTable,
        ears: Ears,
        report: Callable[[LegLeftMix], None],
        listens: Callable[[Leg], bool],
    ) -> None:
        capacity = legs.capacity
        self._legs = legs
        self._columns = legs.columns
        self._ears = ears
        self._report = report
        self._listens = listens
        self._rows: dict[int, int] = {}
        self._free = list(range(capacity - 1, -1, -1))
        self._idents: dict[int, int] = {}
        "Mix of each slot that is in one."
        self._sizes: dict[int, int] = {}
        self._row = np.full(capacity, NOWHERE, np.int64)
        self._sums = np.zeros((HISTORY, capacity, BLOCK), np.int32)
        self._own = np.zeros((HISTORY, capacity, BLOCK), np.int16)
        "What each leg put into its mix."
        self._speaks = np.zeros(capacity, np.float32)
        self._hears = np.zeros(capacity, np.float32)
        self._speech_gain = np.zeros(capacity, np.float32)
        self._heard_gain = np.zeros(capacity, np.float32)
        self._leaving: dict[int, int] = {}
        "Slots that fade out, and the tick after which they are gone."
        self._members = np.zeros(0, np.int64)
        self._starts = np.zeros(0, np.int64)
        self._used = np.zeros(0, np.int64)

    @property
    def n_mixes(self) -> int:
        """Mixes with somebody in them."""
        return len(self._rows)

    @property
    def is_idle(self) -> bool:
        """Whether no leg is in any mix."""
        return not len(self._members)

    @property
    def is_leaving(self) -> bool:
        """Whether some leg fades out."""
        return bool(self._leaving)

    def has(self, leg: Leg) -> bool:
        """Whether a leg is in a mix."""
        return leg.slot in self._idents

    def join(self, leg: Leg, command: JoinMix) -> None:
        """Put a leg into a mix, or change what it does there; it leaves the one it was in."""
        slot = leg.slot
        if self._idents.get(slot) != command.mix or slot in self._leaving:
            self.remove(leg)
            self._enter(leg, command.mix)
        self._speaks[slot] = command.speaks
        self._hears[slot] = command.hears

    def _enter(self, leg: Leg, mix: int) -> None:
        slot = leg.slot
        row = self._rows.get(mix)
        if row is None:
            row = self._rows[mix] = self._free.pop()
            self._sums[:, row] = 0
            self._sizes[mix] = 0
        self._sizes[mix] += 1
        self._idents[slot] = mix
        self._row[slot] = row
        self._own[:, slot] = 0
        self._speech_gain[slot] = self._heard_gain[slot] = 0
        self._ears.open(slot)
        self._index()

    def leave(self, leg: Leg, mix: int) -> None:
        """Let a leg fade out of a mix; fine when it is not there."""
        slot = leg.slot
        if self._idents.get(slot) == mix and slot not in self._leaving:
            self._speaks[slot] = self._hears[slot] = 0
            step = int(self._columns.step[slot])
            self._leaving[slot] = self._ears.tick_number + step + 1

    def remove(self, leg: Leg) -> None:
        """Take a leg out at once: it goes away, or into another mix."""
        slot = leg.slot
        mix = self._idents.pop(slot, None)
        if mix is None:
            return
        self._leaving.pop(slot, None)
        self._row[slot] = NOWHERE
        self._sizes[mix] -= 1
        if not self._sizes[mix]:
            del self._sizes[mix]
            self._free.append(self._rows.pop(mix))
        self._index()
        ears = self._ears
        self._report(
            LegLeftMix(
                leg=leg.ident,
                mix=mix,
                concealed_ms=ms_of(int(ears.concealed[slot])),
                delay_ms=ms_of(int(ears.delay[slot])),
            )
        )
        if not self._listens(leg):
            ears.close(slot)

    def _index(self) -> None:
        members = np.array(list(self._idents), np.int64)
        members = members[np.argsort(self._row[members], kind="stable")]
        self._members = members
        self._used, self._starts = np.unique(self._row[members], return_index=True)

    def tick(self, tick: int) -> None:
        """Sum the blocks that the ears have just played."""
        members = self._members
        if not len(members):
            return
        now = tick % HISTORY
        blocks = self._ears.played[now, members]
        gain, wanted = self._speech_gain[members], self._speaks[members]
        steady = (gain == wanted).all()
        if not (steady and wanted.all()):
            change = (wanted - gain)[:, None] * _BLOCK_RISE
            blocks = np.rint(blocks * (gain[:, None] + change)).astype(np.int16)
            self._speech_gain[members] = wanted
        self._own[now, members] = blocks
        summed = np.add.reduceat(blocks.astype(np.int32), self._starts, axis=0)
        self._sums[now, self._used] = summed

    def forget_past(self) -> None:
        """After a stall: what lies before it is no part of any packet any more."""
        self._sums[:] = 0
        self._own[:] = 0

    def fill(self, due: Indexes, tick: int, rows: Bytes) -> None:
        """Write what they hear into the next packets of those of `due` that are in a mix."""
        columns = self._columns
        listening = due[self._row[due] != NOWHERE]
        if not len(listening):
            return
        steps = columns.step[listening]
        for step in np.unique(steps).tolist():
            slots = listening[steps == step]
            order = np.arange(tick - step + 1, tick + 1) % HISTORY
            heard = self._sums[order[:, None], self._row[slots]] - self._own[order[:, None], slots]
            heard = heard.transpose(1, 0, 2).reshape(len(slots), step * BLOCK)
            gain, wanted = self._heard_gain[slots], self._hears[slots]
            if not (wanted.all() and (gain == wanted).all()):
                rise = (np.arange(step * BLOCK, dtype=np.float32) + 1) / (step * BLOCK)
                change = (wanted - gain)[:, None] * rise
                heard = np.rint(heard * (gain[:, None] + change)).astype(np.int32)
                self._heard_gain[slots] = wanted
            payloads = mixing.encode(columns.out_law[slots], heard)
            rows[slots, HEADER_BYTES : HEADER_BYTES + step * BLOCK] = payloads

    def end_leavings(self, tick: int, transmitter: Transmitter) -> None:
        """Take out those that have faded out."""
        for slot, until in list(self._leaving.items()):
            leg = self._legs.by_slot[slot]
            if tick >= until and leg is not None:
                self.remove(leg)
                transmitter.silence(leg)
