"""What mixes and tone detectors hear of a leg: decoded audio by absolute position, played out.

A leg that somebody listens to has an *ear*: a row (its slot) of a ring of samples in which
audio lies at its position (see `rtp.timeline`), as in a tap. Every tick each ear plays its
next block of 10 ms: the audio that lies its *delay* before the clock. The delay follows the
jitter of that leg alone: a packet that comes after its audio should have been played makes it
grow at once, and a few seconds in which all came early let it shrink, rather while nobody
speaks. What is missing is concealed.

The clock is that of the ticks, not of their lateness: a late tick finds more in the ring, and
plays the block that it should have played.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voiceblocks.audio import mixing
from voiceblocks.engine.media.concealment import LONGEST, conceal
from voiceblocks.engine.media.legs import Columns
from voiceblocks.rtp.timeline import CLOCK_HZ, MAX_AHEAD, position_of

BLOCK = 80
"Samples of a tick."

HISTORY = 8
"Blocks kept after they were played: a packet of 60 ms is six of them."

RING = 8192
_MASK = RING - 1
_CLEAN_AHEAD = 2 * MAX_AHEAD
ABSENT = -32768
"No code of G.711 decodes to this."

MAX_DELAY = 2400
"300 ms: nobody talks over more, and what comes later is lost."

JITTER_FACTOR = 3.5
"""The most that packets spread, in units of RFC 3550's jitter: it is a third of it where the
delay is uniform. Late packets correct it."""
_LEAST_JITTER = 20
"Less than 2.5 ms is the phase between a sender and our ticks."

_MARGIN = 40
"5 ms more than the packet that was late."
_SPARE = 120
"15 ms: what the earliest packets come too early before a delay shrinks."
_WINDOW_TICKS = 400
"4 s; so long, too, a delay that should shrink waits for silence."
_QUIET = 300
"-41 dBFS."
_NEVER_LATE = 1 << 40
_RISE = (np.arange(BLOCK, dtype=np.float32) + 0.5) / BLOCK

Samples = npt.NDArray[np.int16]
Indexes = npt.NDArray[np.int64]


class Ears:
    """
    All ears of one worker, by slot.

    `slots` are those that are open; `played` (int16, `(HISTORY, capacity, BLOCK)`) holds their
    latest blocks at `tick % HISTORY`. `raw` are the blocks of this tick for `slots` before
    concealment, with zeros where nothing came; `ends` the positions at which they end.
    """

    def __init__(self, columns: Columns) -> None:
        capacity = len(columns.due)
        self._columns = columns
        # Rows that never were an ear cost no memory: the kernel maps them when they are touched.
        self._flat = np.zeros(capacity * RING, np.int16)
        self.slots = np.zeros(0, np.int64)
        self.played = np.zeros((HISTORY, capacity, BLOCK), np.int16)
        self.raw = np.zeros((0, BLOCK), np.int16)
        self.ends = np.zeros(0, np.int64)
        self.delay = np.zeros(capacity, np.int64)
        self.concealed = np.zeros(capacity, np.int64)
        "Samples."
        self._missing = np.full(capacity, LONGEST, np.int64)
        "Samples since audio was there; `LONGEST` where it has been silence for long."
        self._spare = np.full(capacity, _NEVER_LATE, np.int64)
        "Least time between arrival and playing in this window; negative: too late."
        self._wanted = np.zeros(capacity, np.int64)
        "Samples by which the delay should shrink."
        self._window_ends = np.zeros(capacity, np.int64)
        self._offset = 1 << 62
        self._clean = 0
        self.clock = 0
        "Position of this tick."
        self.tick_number = -1

    def open(self, slot: int) -> None:
        """Begin to hear a leg; fine when it is heard already."""
        columns = self._columns
        if columns.ear[slot]:
            return
        columns.ear[slot] = True
        self._flat[slot * RING : (slot + 1) * RING] = ABSENT
        self.played[:, slot] = 0
        self.delay[slot] = self._least_delay(np.array([slot]))[0]
        self.concealed[slot] = 0
        self._missing[slot] = LONGEST
        self._spare[slot] = _NEVER_LATE
        self._wanted[slot] = 0
        self._window_ends[slot] = self.tick_number + _WINDOW_TICKS
        self.slots = np.append(self.slots, slot)

    def close(self, slot: int) -> None:
        """Stop hearing a leg."""
        self._columns.ear[slot] = False
        self.slots = self.slots[self.slots != slot]

    def place_batch(
        self, slots: Indexes, positions: Indexes, payloads: npt.NDArray[np.uint8]
    ) -> None:
        """
        Take one payload for each of several ears.

        Args:
            slots: int64, `(n,)`, none twice.
            positions: int64, `(n,)`, of their first samples.
            payloads: uint8, `(n, length)`, in the legs' laws.
        """
        samples = mixing.decode(self._columns.law[slots], payloads)
        self._write(slots, positions, samples)

    def place(self, slot: int, position: int, payload: bytes, law: str) -> None:
        """Take one payload of any law."""
        codes = np.frombuffer(payload, np.uint8)[None]
        samples = mixing.decode(np.array([mixing.LAWS.index(law)]), codes)
        self._write(np.array([slot]), np.array([position]), samples)

    def _write(self, slots: Indexes, positions: Indexes, samples: Samples) -> None:
        offsets = (positions[:, None] + np.arange(samples.shape[1])) & _MASK
        self._flat[(slots * RING)[:, None] + offsets] = samples
        next_read = self.clock - self.delay[slots] - BLOCK
        self._spare[slots] = np.minimum(self._spare[slots], positions - next_read)

    def tick(self, tick: int, now: float) -> None:
        """Set the clock and clean what comes next; before anything is placed."""
        position = position_of(now)
        self._offset = min(self._offset, position - tick * BLOCK)
        self.clock = clock = tick * BLOCK + self._offset
        went_on = tick == self.tick_number + 1
        self.tick_number = tick
        if not len(self.slots):
            self._clean = clock + _CLEAN_AHEAD
            return
        if not went_on:
            self.played[:] = 0
        count = clock + _CLEAN_AHEAD - self._clean
        if count > 0:
            self._clean += count
            offsets = (self._clean - min(count, RING) + np.arange(min(count, RING))) & _MASK
            self._flat[(self.slots * RING)[:, None] + offsets] = ABSENT

    def play(self) -> None:
        """Play the next block of each ear; after everything was placed."""
        slots = self.slots
        if not len(slots):
            return
        self.ends = self.clock - self.delay[slots]
        blocks = self._read(slots, self.ends)
        changed = self._adapt(slots)
        if changed is not None:
            chosen = slots[changed]
            ends = self.clock - self.delay[chosen]
            after = self._read(chosen, ends)
            blocks[changed] = _crossfade(blocks[changed], after)
            self.ends[changed] = ends
        absent = blocks == ABSENT
        missing = self._missing[slots]
        gaps = absent.any(axis=1)
        played = self.raw = np.where(absent, np.int16(0), blocks) if gaps.any() else blocks
        was_silent = missing >= LONGEST
        is_damaged = (gaps | (missing > 0)) & ~was_silent
        self._missing[slots] = np.where(gaps, LONGEST, 0)
        if was_silent.any():
            # Audio that begins, or that an ear finds when it opens, rises within a whole block.
            gain = np.where(gaps[was_silent, None], 0, _RISE)
            played = played.copy()
            played[was_silent] = np.rint(played[was_silent] * gain)
        if is_damaged.any():
            played = played.copy()
            for index in np.nonzero(is_damaged)[0].tolist():
                self._conceal(index, int(slots[index]), int(missing[index]), played, absent)
        self.played[self.tick_number % HISTORY, slots] = played

    def _conceal(
        self,
        index: int,
        slot: int,
        missing: int,
        played: Samples,
        absent: npt.NDArray[np.bool_],
    ) -> None:
        order = (self.tick_number - np.arange(HISTORY - 1, 0, -1)) % HISTORY
        before = self.played[order, slot].reshape(-1)
        block, after = conceal(before, played[index], absent[index], missing)
        played[index] = block
        self._missing[slot] = after
        self.concealed[slot] += int(absent[index].sum())

    def _read(self, slots: Indexes, ends: Indexes) -> Samples:
        offsets = (ends[:, None] + np.arange(-BLOCK, 0)) & _MASK
        return self._flat[(slots * RING)[:, None] + offsets]

    def _least_delay(self, slots: Indexes) -> Indexes:
        """A packet, and what its leg's packets spread."""
        packet = self._columns.samples[slots]
        packet = np.where(packet > 0, np.maximum(packet, BLOCK), 2 * BLOCK)
        jitter = self._columns.jitter[slots]
        spread = np.where(jitter < _LEAST_JITTER, 0, np.rint(jitter * JITTER_FACTOR))
        return np.minimum(packet + spread.astype(np.int64), MAX_DELAY)

    def _adapt(self, slots: Indexes) -> Indexes | None:
        """Change delays; returns the indexes of those that changed."""
        spare = self._spare[slots]
        over = (self._window_ends[slots] <= self.tick_number) | (spare < 0)
        if not over.any() and not self._wanted[slots].any():
            return None
        late = spare < 0
        delay = self.delay[slots]
        least = self._least_delay(slots)
        # One late packet shows that there is jitter, and RFC 3550's figure how much: what grew
        # by the lateness of each would lose several packets on its way there.
        grown = np.minimum(np.maximum(delay - spare + _MARGIN, least), MAX_DELAY)
        known = over & (spare < _NEVER_LATE)
        excess = np.maximum(np.minimum((spare - _SPARE + 1) // 2, delay - least), 0)
        wanted = np.where(late, 0, np.where(known, excess, self._wanted[slots]))
        turn = over | late
        self._spare[slots[turn]] = _NEVER_LATE
        self._window_ends[slots[turn]] = self.tick_number + _WINDOW_TICKS
        waited = self._window_ends[slots] - self.tick_number <= 1
        quiet = np.abs(self.played[self.tick_number % HISTORY - 1, slots]).max(axis=1) < _QUIET
        shrinks = (wanted > 0) & (quiet | waited)
        after = np.where(late, grown, np.where(shrinks, delay - wanted, delay))
        self._wanted[slots] = np.where(shrinks, 0, wanted)
        self.delay[slots] = after
        changed = np.nonzero(after != delay)[0]
        return changed if len(changed) else None


def _crossfade(before: Samples, after: Samples) -> Samples:
    """From one to the other within a block; what is absent in one of them is the other's."""
    mixed = before + (after.astype(np.float32) - before) * _RISE
    mixed = np.where(before == ABSENT, after, np.where(after == ABSENT, before, mixed))
    return np.rint(mixed).astype(np.int16)


def ms_of(samples: int) -> int:
    """Samples as milliseconds."""
    return samples * 1000 // CLOCK_HZ
