"""Sends the packets of all legs that are due, paced by tick numbers.

Every leg has a row that is its next packet: the header words are written for all due legs
at once, the payload is silence until a source plays. A leg sends from its start to its end,
so that NATs stay open and the far end never wonders.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voiceblocks.engine.media.legs import NEVER, Leg, LegTable, Sender
from voiceblocks.engine.media.messages import SourceEnded
from voiceblocks.engine.media.sources import Source
from voiceblocks.recordings.spool import SILENCE_BYTE
from voiceblocks.rtp.batch import MARKER, PLAIN
from voiceblocks.rtp.packet import HEADER_BYTES

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
    """

    def __init__(self, legs: LegTable, report: Callable[[SourceEnded], None]) -> None:
        self._legs = legs
        self._columns = legs.columns
        self._report = report
        self._rows = np.zeros((legs.capacity, _ROW_BYTES), np.uint8)
        self._words = self._rows.view(">u4")
        flat = memoryview(self._rows.reshape(-1).data)
        self._views = [flat[slot * _ROW_BYTES :][:_ROW_BYTES] for slot in range(legs.capacity)]
        self._packets = list(self._views)
        self._payloads = list(self._views)
        self._sources: list[Source | None] = [None] * legs.capacity
        self._senders: list[Sender] = [_nobody] * legs.capacity
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
        self._packets[slot] = self._views[slot][: HEADER_BYTES + samples]
        self._payloads[slot] = self._views[slot][HEADER_BYTES : HEADER_BYTES + samples]
        self._silence(leg)
        self.retarget(leg)

    def _silence(self, leg: Leg) -> None:
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
        self._columns.due[leg.slot] = NEVER
        self._senders[leg.slot] = _nobody

    def _end_source(self, leg: Leg, source: Source, *, completed: bool) -> None:
        self.resume(leg, None)
        self._silence(leg)
        self._report(SourceEnded(leg.ident, source.ident, completed))

    def tick(self, tick: int) -> None:
        """Send all packets that are due at `tick`."""
        columns = self._columns
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
        self._send(due.tolist())

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
