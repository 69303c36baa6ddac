"""Taps: what a leg receives or sends, placed into rows of the arena by wall-clock position.

A tap's samples count from its *zero*, a position (see `rtp.timeline`): the packet boundary of
the stream that is nearest to the end of the source that it follows, or to the command. It ends
where it was told: at the position of a digit, at an instant, or at its limit; its length is
never what happened to arrive. What a leg sends lies where the tick began that sent it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voiceblocks.audio.mixing import transcode
from voiceblocks.engine.media.legs import NEVER, Leg
from voiceblocks.engine.media.messages import OpenTap, TapClosed, TapStats
from voiceblocks.engine.media.pauses import Pauses, mark_pause, pieces_of_silence, wipe
from voiceblocks.engine.media.preroll import begin_preroll, take_preroll
from voiceblocks.engine.media.ring import LAWS, RING_BYTES, RING_SLOTS, Arena, RowState
from voiceblocks.engine.media.ring import silence_bytes as silence_of_laws
from voiceblocks.engine.media.sealing import Sealing, end_sealed, place_sealed, start_sealing
from voiceblocks.recordings.spool import SLOT_SAMPLES
from voiceblocks.rtp.batch import sliding_windows
from voiceblocks.rtp.timeline import CLOCK_HZ, MAX_AHEAD, position_of

GRACE = 1600
"A tap at its limit waits 200 ms for packets that are still on their way."

AT_ONCE = 400
"50 ms: an end so near is now. The control process reads its clock while a tick is under way."

CLEAN_AHEAD = MAX_AHEAD + 1600
"Slots are cleaned so many samples before now reaches them; more than a packet can lie ahead."

Bytes = npt.NDArray[np.uint8]
Indexes = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Tap:
    """One open tap. All positions are absolute."""

    ident: int
    row: int
    law: str
    zero: int
    end: int
    "Nothing is placed from here on; `NEVER` without a limit."
    limited: bool
    "Whether reaching `end` is the limit that was asked for."
    expected_before: int = 0
    received_before: int = 0
    late_before: int = 0
    outgoing: bool = False
    "Of what the leg sends."
    sealing: Sealing | None = None
    "Of a sealed recording, of what the leg receives."
    pauses: Pauses = field(default_factory=Pauses)


class Taps:
    """
    All taps of one worker.

    Args:
        arena: Where the rows are.
        report: Takes the `TapClosed`.
    """

    def __init__(self, arena: Arena, report: Callable[[TapClosed], None]) -> None:
        self._arena = arena
        self._report = report
        self._owners: dict[Tap, Leg] = {}
        self._near_pauses: set[Tap] = set()
        headers = arena.headers
        self._clock = headers["clock"]
        self._clean = headers["clean_slots"]
        self._placed = headers["placed"]
        self._present = headers["present"]
        self._flat_presence = arena.presence.reshape(-1)
        self._windows: dict[int, Bytes] = {}
        self._silence = silence_of_laws()
        self._changed = False
        self._index()

    def __len__(self) -> int:
        return len(self._owners)

    def _index(self) -> None:
        self._changed = False
        # A sealed row is no ring of slots: nothing of it is cleaned, and no clock is told.
        taps = [tap for tap in self._owners if tap.sealing is None]
        self._rows = np.array([tap.row for tap in taps], np.int64)
        self._zeros = np.array([tap.zero for tap in taps], np.int64)
        self._bytes = self._silence[[LAWS.index(tap.law) for tap in taps]][:, None]
        self._next_close = min((tap.end for tap in self._owners), default=NEVER) + GRACE

    def open(self, leg: Leg, command: OpenTap, now: float, utc_us: int) -> None:
        """Begin to place what `leg` receives, or sends, into an ARMED row."""
        leg.load()
        zero = position_of(now)
        preroll = None
        if command.outgoing:
            # Of two taps that are opened together both have one time zero.
            zero = next((tap.zero for tap in leg.taps if abs(tap.zero - zero) <= AT_ONCE), zero)
        else:
            preroll = take_preroll(leg, command.after_source, zero)
            zero = preroll.zero
        limit = command.limit_samples
        header = self._arena.headers[command.row]
        header["zero_s"] = zero / CLOCK_HZ
        header["zero_us"] = utc_us - round((now - zero / CLOCK_HZ) * 1e6)
        header["state"] = RowState.ACTIVE
        tap = Tap(
            ident=command.tap,
            row=command.row,
            law=self._arena.law_of(command.row),
            zero=zero,
            end=NEVER if limit is None else zero + limit,
            limited=limit is not None,
            outgoing=command.outgoing,
        )
        if command.seal_for is not None:
            tap.sealing = start_sealing(self._arena, command.row, command.seal_for)
        if preroll is not None:
            tap.expected_before = preroll.expected_before
            tap.received_before = preroll.received_before
            tap.late_before = preroll.late_before
        self.adopt(leg, tap)
        if preroll is not None:
            for position, payload, law in preroll.packets:
                self._place_into([tap], position, payload, law)

    def expect(self, leg: Leg, source: int, position: int) -> None:
        """
        Keep what `leg` receives from a position on, for a tap that is about to be opened.

        Between the end of a beep and the command that it is time to record lie two ways between
        processes and whatever else the control process does then: the caller does not wait.
        """
        leg.load()
        leg.preroll = begin_preroll(leg, source, position)
        leg.store()

    def adopt(self, leg: Leg, tap: Tap) -> None:
        """Take a tap over as it is: a new one, or one of a leg that moved here."""
        (leg.out_taps if tap.outgoing else leg.taps).append(tap)
        self._owners[tap] = leg
        if tap.pauses.are_near:
            self._near_pauses.add(tap)
        self._changed = True
        leg.judge_out()
        leg.store()

    def give_up(self, leg: Leg) -> None:
        """Forget the taps of a leg that moves away; their rows go with it."""
        for tap in (*leg.taps, *leg.out_taps):
            del self._owners[tap]
            self._near_pauses.discard(tap)
        leg.taps.clear()
        leg.out_taps.clear()
        self._changed = True

    def pause(self, leg: Leg, tap: Tap, at: float) -> None:
        """Keep nothing from an instant on; what came since then and is there is taken back."""
        if tap.pauses.is_open:
            return
        position = max(tap.zero, position_of(at))
        if tap.sealing is None:
            tap.pauses.begin(position)
            wipe(self._arena, tap.row, tap.pauses.spans[-1][0] - tap.zero)
        else:
            # What is sealed cannot be taken back: it begins behind it, a packet later at most.
            placed = tap.zero + int(self._arena.headers[tap.row]["placed"])
            tap.pauses.begin(max(position, placed))
        self._near_pauses.add(tap)
        self._judge(leg)

    def resume(self, leg: Leg, tap: Tap, at: float) -> None:
        """Go on from an instant."""
        if tap.pauses.is_open:
            tap.pauses.end(position_of(at))
            self._mark(tap, tap.pauses.spans[-1][1], is_last=True)
            self._judge(leg)

    @staticmethod
    def _judge(leg: Leg) -> None:
        leg.load()
        leg.judge()
        leg.judge_out()

    def _mark(self, tap: Tap, until: int, *, is_last: bool = False) -> None:
        """Let the row show that the tap was paused until then."""
        after = min(until, tap.end, tap.pauses.spans[-1][1])
        first = tap.pauses.marked_until
        if tap.sealing is None:
            mark_pause(self._arena, tap.row, first - tap.zero, after - tap.zero)
            # To the begin of a slot: the rest of it is marked when it has passed.
            after -= (after - tap.zero) % SLOT_SAMPLES
        else:
            pieces = pieces_of_silence(tap.law, first, after, is_last=is_last)
            for position, silent in pieces:
                place_sealed(self._arena, tap.row, tap.sealing, position - tap.zero, silent)
            after = first + sum(len(silent) for _position, silent in pieces)
        tap.pauses.marked_until = max(first, after)

    def _look_at_pauses(self, position: int) -> None:
        for tap in list(self._near_pauses):
            if tap.pauses.is_open:
                self._mark(tap, position)
            elif position > tap.pauses.spans[-1][1] + AT_ONCE:
                self._near_pauses.discard(tap)
                tap.pauses.are_near = False
                self._owners[tap].judge_out()

    def close_at_timestamp(self, leg: Leg, tap: Tap, timestamp: int, at: float, now: float) -> None:
        """End a tap at an RTP timestamp; at `at` where that timestamp makes no sense."""
        leg.load()
        position = leg.digits.get(timestamp)
        if position is None and leg.timeline.state.anchored:
            position = leg.timeline.position_at(timestamp)
        if position is None or not 0 <= position_of(now) + MAX_AHEAD - position <= 10 * CLOCK_HZ:
            position = position_of(at)
        self.close(leg, tap, position)

    def close_at(self, leg: Leg, tap: Tap, at: float, now: float) -> None:
        """End a tap at an instant; one in the future becomes its new end."""
        position = position_of(at)
        if position <= position_of(now) + AT_ONCE:
            self.close(leg, tap, position)
        elif position < tap.end:
            tap.end, tap.limited = position, False
            leg.judge()
            leg.judge_out()
            self._changed = True

    def close(self, leg: Leg, tap: Tap, position: int, *, limit_reached: bool = False) -> None:
        """End a tap at a position and report it."""
        n_samples = max(0, min(position, tap.end) - tap.zero)
        if tap.limited and position >= tap.end:
            limit_reached = True
        header = self._arena.headers[tap.row]
        if tap.pauses.is_open:
            self._mark(tap, position, is_last=True)
        self._near_pauses.discard(tap)
        if tap.sealing is not None:
            end_sealed(self._arena, tap.row, tap.sealing, n_samples)
        header["n_final"] = n_samples
        header["state"] = RowState.CLOSED
        del self._owners[tap]
        (leg.out_taps if tap.outgoing else leg.taps).remove(tap)
        self._changed = True
        leg.load()
        leg.judge()
        leg.judge_out()
        statistics = leg.statistics
        expected = received = late = 0
        if not tap.outgoing:
            expected = statistics.total_expected - tap.expected_before
            received = statistics.total_received - tap.received_before
            late = leg.packets_late - tap.late_before
        absent = -(-n_samples // SLOT_SAMPLES) - int(header["present"])
        stats = TapStats(
            packets_expected=expected,
            packets_received=received,
            packets_late=late,
            packets_lost=max(0, expected - received),
            absent_ms=max(0, absent) * 20,
            paused_ms=tap.pauses.samples_until(tap.zero + n_samples) // (CLOCK_HZ // 1000),
        )
        self._report(TapClosed(leg.ident, tap.ident, tap.row, n_samples, limit_reached, stats))

    def close_all(self, leg: Leg, at: float) -> None:
        """End all taps of a leg that goes away."""
        for tap in (*leg.taps, *leg.out_taps):
            self.close(leg, tap, position_of(at))

    def tick(self, now: float) -> None:
        """Publish the clock, clean the slots that come next, close what reached its end."""
        if not self._owners:
            return
        if self._changed:
            self._index()
        position = position_of(now)
        rows = self._rows
        clocks = position - self._zeros
        self._clock[rows] = clocks
        self._skip_lost_rounds(clocks)
        while True:
            behind = clocks + CLEAN_AHEAD > self._clean[rows] * SLOT_SAMPLES
            if not behind.any():
                break
            dirty = rows[behind]
            slots = self._clean[dirty] % RING_SLOTS
            self._arena.slots[dirty, slots] = self._bytes[behind]
            self._arena.presence[dirty, slots] = 0
            self._clean[dirty] += 1
        if self._near_pauses:
            self._look_at_pauses(position)
        if position >= self._next_close:
            for tap, leg in list(self._owners.items()):
                if position >= tap.end + GRACE:
                    self.close(leg, tap, tap.end, limit_reached=tap.limited)

    def _skip_lost_rounds(self, clocks: Indexes) -> None:
        """
        After a stop of more than a round (a frozen container), begin with an empty ring.

        Slot by slot, an hour would take seconds. The keeper sees by `clean_slots` that what it
        has not read is gone, so a row is cleaned before that is set.
        """
        wanted = (clocks + CLEAN_AHEAD) // SLOT_SAMPLES
        for index in np.nonzero(wanted - self._clean[self._rows] > RING_SLOTS)[0].tolist():
            row = int(self._rows[index])
            self._arena.presence[row] = 0
            self._arena.slots[row] = self._bytes[index]
            self._clean[row] = wanted[index]

    def place_batch(self, rows: Indexes, starts: Indexes, payloads: Bytes) -> None:
        """
        Place one payload into each of several rows; all within their taps.

        Args:
            rows: int64, `(n,)`, no row twice.
            starts: int64, `(n,)`: position of the first sample, counted from the tap's zero.
            payloads: uint8, `(n, length)`.
        """
        length = payloads.shape[1]
        windows = self._windows.get(length)
        if windows is None:
            windows = self._windows[length] = sliding_windows(self._arena.flat_audio, length)
        offsets = starts % RING_BYTES
        wraps = offsets + length > RING_BYTES
        if wraps.any():
            for index in np.nonzero(wraps)[0]:
                self._place_one(int(rows[index]), int(starts[index]), payloads[index].tobytes())
            whole = ~wraps
            rows, starts, offsets = rows[whole], starts[whole], offsets[whole]
            payloads = payloads[whole]
        windows[rows * RING_BYTES + offsets] = payloads
        ends = starts + length
        first = starts // SLOT_SAMPLES
        last = (ends - 1) // SLOT_SAMPLES
        for step in range(int((last - first).max(initial=-1)) + 1):
            index = rows * RING_SLOTS + np.minimum(first + step, last) % RING_SLOTS
            self._present[rows] += self._flat_presence[index] == 0
            self._flat_presence[index] = 1
        self._placed[rows] = np.maximum(self._placed[rows], ends)

    def place(self, leg: Leg, position: int, payload: bytes) -> None:
        """Place a payload into every tap of a leg, cut to each tap's extent."""
        if leg.preroll is not None and not leg.preroll.keep(position, payload, leg.law):
            leg.preroll = None
        self._place_into(leg.taps, position, payload, leg.law)

    def place_sent(self, leg: Leg, position: int, payload: bytes) -> None:
        """The same for what a leg sends."""
        self._place_into(leg.out_taps, position, payload, leg.format.codec)

    def _place_into(self, taps: list[Tap], position: int, payload: bytes, law: str) -> None:
        for tap in taps:
            first = max(0, tap.zero - position)
            after = min(len(payload), tap.end - position)
            if first >= after:
                continue
            for begins, ends in tap.pauses.heard(position + first, position + after):
                cut = transcode(payload[begins - position : ends - position], law, tap.law)
                start = begins - tap.zero
                if tap.sealing is not None:
                    place_sealed(self._arena, tap.row, tap.sealing, start, cut)
                else:
                    self._place_one(tap.row, start, cut)

    def _place_one(self, row: int, start: int, payload: bytes) -> None:
        end = start + len(payload)
        clean = int(self._clean[row])
        slots = range(start // SLOT_SAMPLES, -(-end // SLOT_SAMPLES))
        if slots.stop > clean or slots.start < clean - RING_SLOTS:
            # Later than the ring was cleaned (the tick is late itself), or long gone.
            return
        offset = start % RING_BYTES
        ring = self._arena.audio[row]
        data = np.frombuffer(payload, np.uint8)
        head = min(len(data), RING_BYTES - offset)
        ring[offset : offset + head] = data[:head]
        ring[: len(data) - head] = data[head:]
        presence = self._arena.presence[row]
        for slot in slots:
            if not presence[slot % RING_SLOTS]:
                presence[slot % RING_SLOTS] = 1
                self._present[row] += 1
        self._placed[row] = max(int(self._placed[row]), end)
