"""Receives the packets of all legs: the expected ones as a batch, all others one by one.

The fast path is for a packet that continues its stream exactly: the next sequence number
and timestamp, the same SSRC, payload type and size, from the locked source (the kernel
drops what others send to a connected socket). Whatever differs goes to `inspector`.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable

import numpy as np

from voiceblocks.engine.media.ears import Ears
from voiceblocks.engine.media.inspector import Inspector
from voiceblocks.engine.media.legs import Leg, LegTable
from voiceblocks.engine.media.sockets import Sockets
from voiceblocks.engine.media.taps import Indexes, Taps
from voiceblocks.rtp.batch import header_words, new_arena
from voiceblocks.rtp.packet import HEADER_BYTES
from voiceblocks.rtp.timeline import (
    JUMP_LATE,
    MAX_AHEAD,
    MAX_LATE,
    STALE_LEAD,
    STALE_S,
    position_of,
)

MAX_BATCH = 1024
"Datagrams of one pass; a socket gives one of them."

MAX_PASSES = 8
"""Passes of one tick: what a flooded socket holds beyond that waits, and others do not. A
backlog still drains sixteen times as fast as it grew."""

MAX_JUDGED = 150
"""Datagrams that are judged one by one (some 40 microseconds each) in one tick. Beyond them no
further pass is made, so that not even many peers who flood delay the others by a tick."""

Receiver = Callable[[memoryview], int]


class Reception:
    """
    The receiving half of a worker.

    Args:
        legs: The table.
        taps: Where audio goes.
        ears: Where audio goes that is heard in here.
        inspector: Judges what the fast path does not take.
        sockets: Beneath it.
    """

    def __init__(
        self, legs: LegTable, taps: Taps, ears: Ears, inspector: Inspector, sockets: Sockets
    ) -> None:
        self._legs = legs
        self._columns = legs.columns
        self._taps = taps
        self._ears = ears
        self._inspector = inspector
        self._sockets = sockets
        self._epoll = sockets.poller()
        self._arena = new_arena(MAX_BATCH)
        self._views = [memoryview(row.data) for row in self._arena]
        self._fast: dict[int, tuple[Receiver, int]] = {}
        self._careful: dict[int, Leg] = {}
        self._others: dict[int, Callable[[float], None]] = {}
        self._some_are_stale = False
        self._judged = 0
        self.packets_received = 0
        self.packets_dropped = 0

    def watch(self, fd: int, on_readable: Callable[[float], None]) -> None:
        """Call `on_readable(now)` when another descriptor is readable."""
        self._others[fd] = on_readable
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Undo `watch`."""
        del self._others[fd]
        self._epoll.unregister(fd)

    def add(self, leg: Leg) -> None:
        """Watch a leg's RTP socket."""
        leg.rtp.setblocking(False)
        self._careful[leg.rtp.fileno()] = leg
        self._epoll.register(leg.rtp.fileno(), select.EPOLLIN)

    def remove(self, leg: Leg) -> None:
        """Stop watching; closing alone would not, while the control process has a duplicate."""
        fd = leg.rtp.fileno()
        self._fast.pop(fd, None)
        self._careful.pop(fd, None)
        self._epoll.unregister(fd)

    def close(self) -> None:
        """Look at no socket any more."""
        self._epoll.close()

    def relearn(self, leg: Leg) -> None:
        """Hear everybody again: the source lock was opened."""
        if leg.connected:
            self._sockets.disconnect(leg.rtp)
        leg.connected = leg.drained = False
        self._be_careful(leg)

    def _be_careful(self, leg: Leg) -> None:
        fd = leg.rtp.fileno()
        self._fast.pop(fd, None)
        self._careful[fd] = leg
        leg.judge()

    def tick(self, now: float) -> None:
        """Read what has come, until nothing is left or the limits of one tick are reached."""
        fast_of = self._fast.get
        self._judged = 0
        for passed in range(MAX_PASSES):
            ready = self._epoll.poll(0, MAX_BATCH)
            if not ready or self._judged > MAX_JUDGED:
                return
            sizes: list[int] = []
            slots: list[int] = []
            others: list[int] = []
            views = self._views
            count = 0
            for fd, _event in ready:
                entry = fast_of(fd)
                if entry is None:
                    others.append(fd)
                    continue
                receive, slot = entry
                try:
                    size = receive(views[count])
                except OSError:
                    # Nothing there after all, or an ICMP error about what we sent.
                    continue
                sizes.append(size)
                slots.append(slot)
                count += 1
            if count:
                self._receive_batch(sizes, slots, now)
            for fd in others:
                leg = self._careful.get(fd)
                if leg is not None:
                    self._read_carefully(leg, now)
                elif passed == 0 and fd in self._others:
                    # Reports come every few seconds: one a tick is plenty.
                    self._others[fd](now)

    def _receive_batch(self, sizes: list[int], slots: list[int], now: float) -> None:
        columns = self._columns
        count = len(slots)
        self.packets_received += count
        slot = np.array(slots)
        word0, timestamp, ssrc = header_words(self._arena, count)
        samples = columns.samples[slot]
        position = columns.position[slot]
        lead = position_of(now) - position - samples
        row = columns.tap_row[slot]
        start = position - columns.tap_zero[slot]
        expected = (
            columns.fast[slot]
            & (word0 == columns.word0[slot] | columns.sequence[slot])
            & (timestamp == columns.timestamp[slot])
            & (ssrc == columns.ssrc[slot])
            & (np.array(sizes) == columns.length[slot])
            & (lead >= -MAX_AHEAD)
            & (lead <= JUMP_LATE)
            & ((row < 0) | (start >= 0))
            & (position + samples <= columns.tap_end[slot])
        )
        stale = lead > STALE_LEAD
        if self._some_are_stale or stale.any():
            expected &= self._not_stale_for_long(slot, stale, now)
        taken = np.nonzero(expected)[0]
        unexpected = len(taken) < count
        if unexpected:
            slot, timestamp, samples = slot[taken], timestamp[taken], samples[taken]
            position, lead, row, start = position[taken], lead[taken], row[taken], start[taken]
        columns.sequence[slot] = (columns.sequence[slot] + np.uint32(1)) & np.uint32(0xFFFF)
        columns.timestamp[slot] = timestamp + samples.astype(np.uint32)
        columns.position[slot] = position + samples
        columns.least_lead[slot] = np.minimum(columns.least_lead[slot], lead)
        columns.highest[slot] += 1
        columns.received[slot] += 1
        columns.heard_at[slot] = now
        # Transit time modulo 2**32, as a signed number (RFC 3550 appendix A.8).
        transit = (np.uint32(position_of(now) & 0xFFFFFFFF) - timestamp).view(np.int32)
        change = np.abs(transit - columns.transit[slot])
        columns.jitter[slot] += (change - columns.jitter[slot]) / 16
        columns.transit[slot] = transit
        too_late = lead + samples > MAX_LATE
        if too_late.any():
            columns.late[slot] += too_late
            row = np.where(too_late, -1, row)
        self._place(row, start, samples, taken)
        if self._columns.sealed.any():
            self._seal(slot, position, samples, taken, too_late)
        if len(self._ears.slots):
            self._hear(slot, position, samples, taken)
        if unexpected:
            for index in np.nonzero(~expected)[0].tolist():
                leg = self._legs.by_slot[slots[index]]
                if leg is not None:
                    data = self._views[index][: sizes[index]]
                    self._judge(leg, data, None, now)

    def _not_stale_for_long(self, slot: Indexes, stale: Indexes, now: float) -> Indexes:
        """
        Keep `late_since` for streams later than 200 ms, and say which of them still may be.

        Without this a worker that is late itself would inspect every packet, and stay late.
        """
        late_since = self._columns.late_since
        since = late_since[slot]
        since = np.where(stale, np.where(since < 0, now, since), -1.0)
        late_since[slot] = since
        self._some_are_stale = bool((late_since >= 0).any())
        return ~stale | (now - since < STALE_S)

    def _place(self, row: Indexes, start: Indexes, samples: Indexes, index: Indexes) -> None:
        tapped = row >= 0
        if not tapped.any():
            return
        for length in np.unique(samples[tapped]).tolist():
            chosen = tapped & (samples == length)
            payloads = self._arena[index[chosen], HEADER_BYTES : HEADER_BYTES + length]
            self._taps.place_batch(row[chosen], start[chosen], payloads)

    def _seal(
        self, slot: Indexes, position: Indexes, samples: Indexes, index: Indexes, too_late: Indexes
    ) -> None:
        """Place the payloads of sealed taps, one by one: each is a box of its own."""
        for taken in np.nonzero(self._columns.sealed[slot] & ~too_late)[0].tolist():
            leg = self._legs.by_slot[int(slot[taken])]
            if leg is not None:
                end = HEADER_BYTES + int(samples[taken])
                payload = bytes(self._views[int(index[taken])][HEADER_BYTES:end])
                self._taps.place(leg, int(position[taken]), payload)

    def _hear(self, slot: Indexes, position: Indexes, samples: Indexes, index: Indexes) -> None:
        heard = self._columns.ear[slot]
        for length in np.unique(samples[heard]).tolist():
            chosen = heard & (samples == length)
            payloads = self._arena[index[chosen], HEADER_BYTES : HEADER_BYTES + length]
            self._ears.place_batch(slot[chosen], position[chosen], payloads)

    def _read_carefully(self, leg: Leg, now: float) -> None:
        """Read a socket whose packets may come from anybody."""
        view = self._views[0]
        try:
            size, source = leg.rtp.recvfrom_into(view)
        except BlockingIOError:
            size = -1
        except OSError:
            return
        if size >= 0:
            self.packets_received += 1
            self._judge(leg, view[:size], source, now)
        if leg.connected and not leg.drained and self._is_empty(leg.rtp):
            leg.drained = True
            fd = leg.rtp.fileno()
            del self._careful[fd]
            self._fast[fd] = (leg.rtp.recv_into, leg.slot)
            leg.judge()

    def _is_empty(self, sock: socket.socket) -> bool:
        try:
            sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _judge(
        self, leg: Leg, data: memoryview, source: tuple[str, int] | None, now: float
    ) -> None:
        self._judged += 1
        was_connected = leg.connected
        if not self._inspector.receive(leg, data, source, now):
            self.packets_dropped += 1
        if leg.connected and not was_connected:
            with contextlib.suppress(KeyError):
                self._careful[leg.rtp.fileno()] = leg
