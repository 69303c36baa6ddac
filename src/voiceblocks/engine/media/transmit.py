"""Sends the packets of all legs that are due, paced by tick numbers.

Every leg has a row that is its next packet: the header words are written for all due legs
at once, the payload is silence until a source plays. A leg sends from its start to its end,
so that NATs stay open and the far end never wonders.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voiceblocks.audio.mixing import LAWS
from voiceblocks.engine.media.digits import DigitSender, DigitState
from voiceblocks.engine.media.legs import NEVER, Leg, LegTable, Sender
from voiceblocks.engine.media.messages import SourceEnded
from voiceblocks.engine.media.mixer import Mixer
from voiceblocks.engine.media.sources import Source
from voiceblocks.engine.media.taps import Indexes, Taps
from voiceblocks.recordings.spool import SILENCE_BYTE
from voiceblocks.rtp.batch import MARKER, PLAIN
from voiceblocks.rtp.packet import HEADER_BYTES
from voiceblocks.rtp.timeline import CLOCK_HZ

TICK_MS = 10
_ROW_BYTES = 512
"A header and 60 ms of G.711."


DEFAULT_PTIME_MS = 20
MAX_PTIME_MS = 60


def sending_ptime_ms(asked_ms: int) -> int:
    """What we send when asked for a packet duration; ptime is a wish (RFC 4566 section 6)."""
    is_possible = TICK_MS <= asked_ms <= MAX_PTIME_MS and asked_ms % TICK_MS == 0
    return asked_ms if is_possible else DEFAULT_PTIME_MS


def _nobody(_datagram: object) -> None:
    """Takes the packets of a leg whose peer is not known yet."""


class Transmitter:
    """
    The sending half of a worker.

    Args:
        legs: The table.
        report: Takes `SourceEnded`.
        mixer: Fills the packets of legs that hear others.
        taps: Where what is sent goes, too.
    """

    def __init__(
        self,
        legs: LegTable,
        report: Callable[[SourceEnded], None],
        mixer: Mixer,
        taps: Taps,
    ) -> None:
        self._legs = legs
        self._columns = legs.columns
        self._report = report
        self._mixer = mixer
        self._taps = taps
        self._digits: dict[int, DigitSender] = {}
        self._rows = np.zeros((legs.capacity, _ROW_BYTES), np.uint8)
        self._words = self._rows.view(">u4")
        flat = memoryview(self._rows.reshape(-1).data)
        self._views = [flat[slot * _ROW_BYTES :][:_ROW_BYTES] for slot in range(legs.capacity)]
        self._packets = list(self._views)
        self._payloads = list(self._views)
        self._sources: list[Source | None] = [None] * legs.capacity
        self._senders: list[Sender] = [_nobody] * legs.capacity
        self._clock = 0
        self.packets_sent = 0
        self.packets_dropped = 0

    def begin(self, leg: Leg, tick: int) -> None:
        """
        Send from `tick` on with the leg's format, or stop sending where it says so.

        A stream that goes on as it was keeps its pace, so that a session refresh is not heard.
        """
        columns, slot = self._columns, leg.slot
        ptime_ms = sending_ptime_ms(leg.format.ptime_ms)
        samples = ptime_ms * 8
        word0 = PLAIN | leg.format.payload_type << 16
        goes_on = columns.due[slot] != NEVER and columns.out_samples[slot] == samples
        if not goes_on or columns.out_word0[slot] != word0:
            columns.marker[slot] = MARKER
        if not leg.send:
            columns.due[slot] = NEVER
        elif not goes_on:
            columns.due[slot] = tick
        columns.step[slot] = ptime_ms // TICK_MS
        columns.out_samples[slot] = samples
        columns.out_word0[slot] = word0
        columns.out_law[slot] = LAWS.index(leg.format.codec)
        self._packets[slot] = self._views[slot][: HEADER_BYTES + samples]
        self._payloads[slot] = self._views[slot][HEADER_BYTES : HEADER_BYTES + samples]
        self.silence(leg)
        self.retarget(leg)

    def silence(self, leg: Leg) -> None:
        """Let the next packets be silent, unless something fills them."""
        self._rows[leg.slot, HEADER_BYTES:] = SILENCE_BYTE[leg.format.codec]

    def retarget(self, leg: Leg) -> None:
        """Send where the leg's source lock says now."""
        rtp = leg.rtp
        target = leg.lock.target
        if leg.connected:
            self._senders[leg.slot] = rtp.send
        elif target is None:
            self._senders[leg.slot] = _nobody
        else:
            self._senders[leg.slot] = lambda datagram: rtp.sendto(datagram, target)

    def end(self, leg: Leg) -> None:
        """The leg goes away; its source is reported as not completed."""
        self.stop(leg)
        self._digits.pop(leg.slot, None)
        self._columns.due[leg.slot] = NEVER
        self._senders[leg.slot] = _nobody

    def play(self, leg: Leg, source: Source) -> None:
        """Play a source; the one before it is over."""
        self.stop(leg)
        self.resume(leg, source)

    def resume(self, leg: Leg, source: Source | None) -> None:
        """Go on with a source that played elsewhere."""
        leg.source = source
        self._sources[leg.slot] = source

    def stop(self, leg: Leg, ident: int | None = None) -> None:
        """Stop the leg's source (or only if it is `ident`)."""
        source = leg.source
        if source is not None and ident in (None, source.ident):
            self._end_source(leg, source, completed=False)

    def detach(self, leg: Leg) -> None:
        """Let go of a leg that moves away, without a report."""
        self.resume(leg, None)
        self._digits.pop(leg.slot, None)
        self._columns.due[leg.slot] = NEVER
        self._senders[leg.slot] = _nobody

    def _end_source(self, leg: Leg, source: Source, *, completed: bool) -> None:
        self.resume(leg, None)
        self.silence(leg)
        over = self._clock + (source.last_samples if completed else 0)
        if completed and source.then_recorded:
            self._taps.expect(leg, source.ident, over)
        self._report(SourceEnded(leg.ident, source.ident, completed, over / CLOCK_HZ))

    def send_digits(self, leg: Leg, digits: str) -> None:
        """Send keys, after those that are still to be sent."""
        sender = self._digits.get(leg.slot)
        if sender is None:
            self.resume_digits(leg, (digits, 0, 0, 0))
        else:
            sender.add(digits)

    def resume_digits(self, leg: Leg, state: DigitState | None) -> None:
        """Go on with keys that were being sent elsewhere."""
        if state is not None and state[0]:
            self._digits[leg.slot] = DigitSender(state)

    def digits_of(self, leg: Leg) -> DigitState | None:
        """Keys that a leg has still to send."""
        sender = self._digits.get(leg.slot)
        return sender.state if sender is not None else None

    def tick(self, tick: int, clock: int) -> None:
        """
        Send all packets that are due.

        Args:
            tick: Its number.
            clock: Its position.
        """
        columns = self._columns
        self._clock = clock
        due = np.nonzero(columns.due <= tick)[0]
        if not len(due):
            return
        sequences = columns.out_sequence[due]
        timestamps = columns.out_timestamp[due]
        self._words[due, 0] = columns.out_word0[due] | columns.marker[due] | sequences
        self._words[due, 1] = timestamps
        self._words[due, 2] = columns.out_ssrc[due]
        columns.out_sequence[due] = (sequences + np.uint32(1)) & np.uint32(0xFFFF)
        columns.out_timestamp[due] = timestamps + columns.out_samples[due]
        columns.marker[due] = 0
        columns.due[due] += columns.step[due]
        columns.sent[due] += 1
        if not self._mixer.is_idle:
            self._mixer.fill(due, tick, self._rows)
        slots = due.tolist()
        held = self._press(slots, timestamps.tolist()) if self._digits else []
        self._send(slots)
        tapped = due[columns.out_tapped[due]]
        if len(tapped):
            self._tap(tapped, clock)
        for leg in held:
            self.resume(leg, leg.source)
            self._packets[leg.slot] = self._views[leg.slot][: self._size(leg)]
            self.silence(leg)

    def _size(self, leg: Leg) -> int:
        return HEADER_BYTES + int(self._columns.out_samples[leg.slot])

    def _press(self, slots: list[int], timestamps: list[int]) -> list[Leg]:
        """Let packets be those of keys; returns the legs whose sources wait for that."""
        held = []
        for slot, timestamp in zip(slots, timestamps, strict=True):
            sender, leg = self._digits.get(slot), self._legs.by_slot[slot]
            if sender is None or leg is None:
                continue
            packet = self._views[slot][: self._size(leg)]
            used = sender.fill(packet, leg.format, timestamp)
            if used:
                self._packets[slot] = packet[:used]
                self._sources[slot] = None
                held.append(leg)
            if sender.is_done:
                del self._digits[slot]
        return held

    def _tap(self, slots: Indexes, clock: int) -> None:
        """Put what was just sent into the taps of those who have one."""
        columns = self._columns
        start = clock - columns.out_zero[slots]
        samples = columns.out_samples[slots].astype(np.int64)
        row = columns.out_row[slots]
        is_event = np.array([len(self._packets[slot]) for slot in slots.tolist()])
        is_event = is_event != samples + HEADER_BYTES
        plain = (row >= 0) & (start >= 0) & (clock + samples <= columns.out_end[slots]) & ~is_event
        for length in np.unique(samples[plain]).tolist():
            chosen = plain & (samples == length)
            payloads = self._rows[slots[chosen], HEADER_BYTES : HEADER_BYTES + length]
            self._taps.place_batch(row[chosen], start[chosen], payloads)
        for index in np.nonzero(~plain & ~is_event)[0].tolist():
            slot = int(slots[index])
            leg = self._legs.by_slot[slot]
            if leg is not None:
                self._taps.place_sent(leg, clock, bytes(self._payloads[slot]))

    def _send(self, slots: list[int]) -> None:
        sources, payloads = self._sources, self._payloads
        packets, senders = self._packets, self._senders
        dropped = 0
        ended = []
        for slot in slots:
            source = sources[slot]
            if source is not None:
                payload = payloads[slot]
                offset = source.offset
                after = offset + payload.nbytes
                if after < source.end:
                    payload[:] = source.data[offset:after]
                    source.offset = after
                elif not source.fill(payload):
                    ended.append((slot, source))
            try:
                senders[slot](packets[slot])
            except OSError:
                # Nobody listens there yet, or no more, or the interface is full.
                dropped += 1
        self.packets_sent += len(slots) - dropped
        self.packets_dropped += dropped
        for slot, source in ended:
            leg = self._legs.by_slot[slot]
            if leg is not None:
                self._end_source(leg, source, completed=True)

    def skip_to(self, tick: int) -> None:
        """After a long stall: give up what should have been sent before `tick`."""
        columns = self._columns
        late = np.nonzero(columns.due < tick)[0]
        missed = (tick - columns.due[late]) // columns.step[late]
        columns.due[late] += missed * columns.step[late]
        columns.out_timestamp[late] += (missed * columns.out_samples[late]).astype(np.uint32)
