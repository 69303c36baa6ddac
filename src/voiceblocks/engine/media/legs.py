"""The legs of one worker: NumPy columns for what every tick touches, objects for the rest.

A leg has a *slot*, its index in every column. The receive columns hold what the next packet
of a leg should look like; `Leg.load` and `Leg.store` copy them to and from the sans-I/O
objects (`Timeline`, `ReceiverStatistics`), which judge everything that looks different.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceblocks.audio.mixing import LAWS
from voiceblocks.engine.media.messages import Format, LegClosed, StreamState
from voiceblocks.rtp.batch import PLAIN
from voiceblocks.rtp.packet import HEADER_BYTES
from voiceblocks.rtp.rtcp import ReceiverStatistics
from voiceblocks.rtp.sequence import uint16_add
from voiceblocks.rtp.source_lock import SourceLock
from voiceblocks.rtp.telephone_event import DigitDetector
from voiceblocks.rtp.timeline import NO_LEAD, Timeline

if TYPE_CHECKING:
    from voiceblocks.engine.media.preroll import Preroll
    from voiceblocks.engine.media.sources import Source
    from voiceblocks.engine.media.taps import Tap

STATIC_PAYLOAD_TYPES = {0: "PCMU", 8: "PCMA"}
COMFORT_NOISE = 13
NEVER = 1 << 60
"A position, or a tick, that never comes."

SAMPLES_PER_MS = 8

_REMEMBERED_DIGITS = 16


class Columns:
    """
    One array of `capacity` for each fact.

    Receiving: `fast` (bool: the next packet may take the vectorised path), `word0` (u4: first
    header word without sequence number), `sequence`, `timestamp`, `ssrc` (u4), `length` (i8:
    bytes of a datagram), `samples` (i8), `position` (i8: of the next packet), `least_lead` (i8),
    `late_since` (f8), `highest`, `received`, `late` (i8: packets too late to be placed),
    `transit`, `jitter`, `heard_at` (f8). Tap: `tap_row` (i8, -1:
    none, or paused), `tap_zero`, `tap_end` (i8 positions: so far it holds). Ear: `ear`
    (bool: somebody listens), `law` (i8: row of `mixing.LAWS` of what comes).

    Sending: `due` (i8: tick of the next packet), `step` (i8: ticks from packet to packet),
    `out_word0`, `out_sequence`, `out_timestamp`, `out_ssrc`, `out_samples` (u4), `marker`
    (u4: MARKER for the next packet, or 0), `sent` (i8: packets), `out_law` (i8),
    `out_tapped` (bool), `out_row` (i8, -1: not the fast way), `out_zero`, `out_end` as for a tap.
    """

    def __init__(self, capacity: int) -> None:
        self.fast = np.zeros(capacity, bool)
        self.word0 = np.zeros(capacity, np.uint32)
        self.sequence = np.zeros(capacity, np.uint32)
        self.timestamp = np.zeros(capacity, np.uint32)
        self.ssrc = np.zeros(capacity, np.uint32)
        self.length = np.zeros(capacity, np.int64)
        self.samples = np.zeros(capacity, np.int64)
        self.position = np.zeros(capacity, np.int64)
        self.least_lead = np.full(capacity, NO_LEAD, np.int64)
        self.late_since = np.full(capacity, -1.0)
        self.late = np.zeros(capacity, np.int64)
        self.highest = np.zeros(capacity, np.int64)
        self.received = np.zeros(capacity, np.int64)
        self.transit = np.zeros(capacity, np.float64)
        self.jitter = np.zeros(capacity, np.float64)
        self.heard_at = np.zeros(capacity, np.float64)
        self.tap_row = np.full(capacity, -1, np.int64)
        self.tap_zero = np.zeros(capacity, np.int64)
        self.tap_end = np.zeros(capacity, np.int64)
        self.sealed = np.zeros(capacity, bool)
        self.ear = np.zeros(capacity, bool)
        self.law = np.zeros(capacity, np.int64)
        self.due = np.full(capacity, NEVER, np.int64)
        self.step = np.full(capacity, 2, np.int64)
        self.out_word0 = np.zeros(capacity, np.uint32)
        self.out_sequence = np.zeros(capacity, np.uint32)
        self.out_timestamp = np.zeros(capacity, np.uint32)
        self.out_ssrc = np.zeros(capacity, np.uint32)
        self.out_samples = np.zeros(capacity, np.uint32)
        self.marker = np.zeros(capacity, np.uint32)
        self.sent = np.zeros(capacity, np.int64)
        self.out_tapped = np.zeros(capacity, bool)
        self.out_row = np.full(capacity, -1, np.int64)
        self.out_zero = np.zeros(capacity, np.int64)
        self.out_end = np.zeros(capacity, np.int64)
        self.out_law = np.zeros(capacity, np.int64)


class Leg:
    """One leg: its sockets and everything that is not touched by every packet."""

    def __init__(
        self,
        ident: int,
        slot: int,
        columns: Columns,
        rtp: socket.socket,
        rtcp: socket.socket,
        fmt: Format,
        lock: SourceLock,
        cname: str,
    ) -> None:
        self.ident = ident
        self.slot = slot
        self.rtp = rtp
        self.rtcp = rtcp
        self.format = fmt
        self.lock = lock
        self.cname = cname
        self.send = True
        self.receive = True
        self.remote_rtcp: tuple[str, int] | None = None
        self.rtcp_source: tuple[str, int] | None = None
        "Who sent the last RTCP that we believed."
        self.told_source: tuple[str, int] | None = None
        "The source that the control process knows of."
        self.locked_at = 0.0
        "When its source was found last."
        self.connected = False
        "Whether the kernel drops what others than the locked source send."
        self.drained = False
        "Whether all that had come before the socket was connected has been read."
        self.timeline = Timeline(ends_windows=False)
        self.statistics = ReceiverStatistics()
        self.detector = DigitDetector()
        self.digits: OrderedDict[int, int] = OrderedDict()
        "Positions of the latest digits by their timestamps."
        self.heard_ssrc: int | None = None
        self.law = fmt.codec
        "Law of the audio that came last."
        self.payload_type = fmt.payload_type
        self.source: Source | None = None
        self.taps: list[Tap] = []
        "Of what it receives."
        self.out_taps: list[Tap] = []
        "Of what it sends."
        self.preroll: Preroll | None = None
        "What came since the end of a source, for a tap that is about to be opened."
        self.packets_late = 0
        self.rtcp_heard_at = 0.0
        self.opened_at = 0.0
        self.next_report_at = 0.0
        self.next_silent_at = 0.0
        self._columns = columns

    def kind_of(self, payload_type: int) -> str | None:
        """`"PCMU"`, `"PCMA"`, `"event"`, `"noise"`, or `None` for what we do not know."""
        fmt = self.format
        if payload_type == fmt.payload_type:
            return fmt.codec
        if payload_type == fmt.event_payload_type:
            return "event"
        if payload_type in (fmt.comfort_noise_payload_type, COMFORT_NOISE):
            return "noise"
        return STATIC_PAYLOAD_TYPES.get(payload_type)

    @property
    def packet_samples(self) -> int:
        """Samples in the audio packet that came last in order; 0 before the first."""
        return int(self._columns.samples[self.slot])

    @packet_samples.setter
    def packet_samples(self, value: int) -> None:
        self._columns.samples[self.slot] = value
        self._columns.length[self.slot] = value + HEADER_BYTES

    @property
    def is_recorded(self) -> bool:
        """Whether what it receives is kept, so that its time must not jump."""
        return bool(self.taps) or self.preroll is not None

    def load(self) -> None:
        """Copy the receive columns into `timeline` and `statistics`."""
        columns, slot = self._columns, self.slot
        state = self.timeline.state
        state.timestamp = int(columns.timestamp[slot])
        state.position = int(columns.position[slot])
        state.least_lead = int(columns.least_lead[slot])
        state.late_since = float(columns.late_since[slot])
        self.packets_late = int(columns.late[slot])
        statistics = self.statistics
        statistics.highest = int(columns.highest[slot])
        statistics.received = int(columns.received[slot])
        statistics.transit = float(columns.transit[slot])
        statistics.jitter = float(columns.jitter[slot])

    def store(self) -> None:
        """Copy them back, and say whether the next packet may take the fast path."""
        columns, slot = self._columns, self.slot
        state = self.timeline.state
        columns.timestamp[slot] = state.timestamp
        columns.position[slot] = state.position
        columns.least_lead[slot] = state.least_lead
        columns.late_since[slot] = state.late_since
        columns.late[slot] = self.packets_late
        statistics = self.statistics
        columns.highest[slot] = statistics.highest
        columns.sequence[slot] = uint16_add(statistics.highest, 1)
        columns.received[slot] = statistics.received
        columns.transit[slot] = statistics.transit
        columns.jitter[slot] = statistics.jitter
        columns.ssrc[slot] = self.heard_ssrc or 0
        columns.word0[slot] = PLAIN | self.payload_type << 16
        self.judge()

    def judge(self) -> None:
        """Decide whether the next packet may take the fast path; sets the tap columns too."""
        columns, slot = self._columns, self.slot
        state = self.timeline.state
        tap = self.taps[0] if self.taps else None
        columns.fast[slot] = (
            self.connected
            and self.drained
            and self.receive
            and state.anchored
            and state.slew == 0
            and self.preroll is None
            and len(self.taps) <= 1
            and (tap is None or tap.law == self.law)
        )
        columns.law[slot] = LAWS.index(self.law)
        is_sealed = tap is not None and tap.sealing is not None
        columns.sealed[slot] = is_sealed
        columns.tap_zero[slot] = 0 if tap is None else tap.zero
        columns.tap_row[slot], columns.tap_end[slot] = self._target(
            None if is_sealed else tap, int(columns.position[slot])
        )

    @staticmethod
    def _target(tap: Tap | None, position: int) -> tuple[int, int]:
        """Into which row the next packet goes (-1: none), and up to where that is so."""
        if tap is None:
            return -1, NEVER
        is_paused, until = tap.pauses.window(position)
        return (-1 if is_paused else tap.row), (until if is_paused else min(until, tap.end))

    def judge_out(self) -> None:
        """The same for what the leg sends: set the columns of its tap."""
        columns, slot = self._columns, self.slot
        tap = self.out_taps[0] if self.out_taps else None
        columns.out_tapped[slot] = tap is not None
        is_plain = len(self.out_taps) == 1 and tap is not None and tap.law == self.format.codec
        is_plain = is_plain and tap is not None and not tap.pauses.are_near
        columns.out_row[slot] = tap.row if is_plain and tap is not None else -1
        columns.out_zero[slot] = 0 if tap is None else tap.zero
        columns.out_end[slot] = NEVER if tap is None else tap.end

    def closed(self) -> LegClosed:
        """Its counters, to be told at its end."""
        self.load()
        statistics = self.statistics
        return LegClosed(
            leg=self.ident,
            codec=self.law,
            source=self.lock.source,
            ssrc=self.heard_ssrc or 0,
            packets_expected=statistics.total_expected,
            packets_received=statistics.total_received,
            packets_late=self.packets_late,
            jitter_ms=statistics.jitter / SAMPLES_PER_MS,
            packets_sent=int(self._columns.sent[self.slot]),
        )

    def remember_digit(self, timestamp: int, position: int) -> None:
        """Keep where a digit began, so that a tap can end there whatever the stream does next."""
        self.digits[timestamp] = position
        if len(self.digits) > _REMEMBERED_DIGITS:
            self.digits.popitem(last=False)

    def stream_state(self) -> StreamState:
        """Where the outgoing stream stands."""
        columns, slot = self._columns, self.slot
        return StreamState(
            ssrc=int(columns.out_ssrc[slot]),
            sequence=int(columns.out_sequence[slot]),
            timestamp=int(columns.out_timestamp[slot]),
        )


class LegTable:
    """Finds legs by number and by slot, and hands slots out."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.columns = Columns(capacity)
        self.by_ident: dict[int, Leg] = {}
        self.by_slot: list[Leg | None] = [None] * capacity
        self._free = list(range(capacity - 1, -1, -1))

    def __len__(self) -> int:
        return len(self.by_ident)

    def add(
        self,
        ident: int,
        rtp: socket.socket,
        rtcp: socket.socket,
        fmt: Format,
        lock: SourceLock,
        cname: str,
    ) -> Leg:
        """
        Add a leg; its columns start clean.

        Raises:
            IndexError: When all slots are taken (the control process keeps count).
        """
        slot = self._free.pop()
        leg = Leg(ident, slot, self.columns, rtp, rtcp, fmt, lock, cname)
        self.by_ident[ident] = leg
        self.by_slot[slot] = leg
        columns = self.columns
        columns.least_lead[slot] = NO_LEAD
        columns.late_since[slot] = -1.0
        for name in (
            "late",
            "highest",
            "received",
            "transit",
            "jitter",
            "sent",
            "marker",
            "position",
        ):
            getattr(columns, name)[slot] = 0
        columns.length[slot] = columns.samples[slot] = 0
        leg.judge()
        return leg

    def remove(self, leg: Leg) -> None:
        """Take a leg out; its sockets are the caller's to close or pass on."""
        del self.by_ident[leg.ident]
        self.by_slot[leg.slot] = None
        self.columns.fast[leg.slot] = False
        self.columns.due[leg.slot] = NEVER
        self.columns.tap_row[leg.slot] = -1
        self.columns.sealed[leg.slot] = False
        self.columns.ear[leg.slot] = False
        self.columns.out_tapped[leg.slot] = False
        self._free.append(leg.slot)


Sender = Callable[[Any], Any]
"Sends one datagram; raises `OSError` where it cannot."
