"""Digits as named telephone-events (RFC 4733).

An event is a run of packets that share the RTP timestamp of its start, while the
duration field grows; the last packet is sent three times with the E bit. Any of
them may be lost, doubled or late, so the timestamp is what tells two events apart
(the marker bit gets lost with its packet).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.sequence import uint32_add

DIGITS = "0123456789*#ABCD"
"Event codes 0 to 15 in order (RFC 4733 section 3.2)."

MAX_SEGMENT_UNITS = 0xFFFF
"A longer event goes on in a new segment, with a new timestamp (section 2.5.1.3)."

END_REPEATS = 3
"The final packet is sent this often (section 2.5.1.4)."

_REMEMBERED_EVENTS = 16
_PAYLOAD = struct.Struct("!BBH")


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """The payload of one telephone-event packet (RFC 4733 section 2.3)."""

    event: int
    "0 to 255; 0 to 15 are digits."
    end: bool
    volume: int
    "Power below 0 dBm0, 0 to 63."
    duration: int
    "Timestamp units since the start of this segment, 16 bits."

    @classmethod
    def parse(cls, payload: bytes | bytearray | memoryview) -> TelephoneEvent:
        """
        Read a payload; what follows the first event is ignored.

        Raises:
            RemoteRtpError: When it is shorter than four bytes.
        """
        if len(payload) < _PAYLOAD.size:
            raise RemoteRtpError("telephone-event payload is truncated")
        event, flags, duration = _PAYLOAD.unpack_from(payload)
        return cls(event=event, end=bool(flags & 0x80), volume=flags & 0x3F, duration=duration)

    def serialize(self) -> bytes:
        """Return the four bytes."""
        return _PAYLOAD.pack(self.event, (0x80 if self.end else 0) | self.volume, self.duration)


@dataclass(frozen=True, slots=True)
class DetectedDigit:
    """A digit, at the first packet that was seen of it."""

    digit: str
    timestamp: int
    "RTP timestamp of the start of the event (of its first segment seen)."


class DigitDetector:
    """
    Finds each digit of one RTP stream exactly once (decision 18: at its first packet).

    Start a new one when the SSRC changes.
    """

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=_REMEMBERED_EVENTS)
        self._last_code = -1
        self._last_timestamp = 0

    def receive(self, event: TelephoneEvent, timestamp: int, marker: bool) -> DetectedDigit | None:
        """
        Take one telephone-event packet, in any order.

        Args:
            event: Its payload.
            timestamp: Its RTP timestamp.
            marker: Its marker bit, set on the first packet of an event only.

        Returns:
            The digit, if this packet is the first one of it; `None` also for events
            that are no digits (flash hook, tones).
        """
        if event.event >= len(DIGITS) or timestamp in self._seen:
            return None
        continues = (
            not marker
            and event.event == self._last_code
            and timestamp == uint32_add(self._last_timestamp, MAX_SEGMENT_UNITS)
        )
        self._seen.append(timestamp)
        self._last_code = event.event
        self._last_timestamp = timestamp
        if continues:
            return None
        return DetectedDigit(DIGITS[event.event], timestamp)

    def dump(self) -> tuple[list[int], int, int]:
        """State for a leg that moves (decision 14); `restore` takes it."""
        return list(self._seen), self._last_code, self._last_timestamp

    @classmethod
    def restore(cls, state: tuple[list[int], int, int]) -> DigitDetector:
        """Continue where `dump` was taken."""
        detector = cls()
        seen, detector._last_code, detector._last_timestamp = state
        detector._seen.extend(seen)
        return detector


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """One packet of an event that we send."""

    at_ms: int
    "When to send it, after the start of the event."
    timestamp_offset: int
    "Add this to the RTP timestamp of the start of the event."
    marker: bool
    payload: bytes


def event_packets(
    digit: str, duration_ms: int, ptime_ms: int = 20, volume: int = 10
) -> Iterator[ScheduledEvent]:
    """
    Yield the packets that send `digit`, in order.

    One packet each `ptime_ms`, the last one `END_REPEATS` times with the E bit. Events
    longer than 8.19 s become segments. The clock rate is 8000.

    Args:
        digit: One of `DIGITS`.
        duration_ms: More than 0; the tone's length.
        ptime_ms: Time between packets.
        volume: Power below 0 dBm0, 0 to 63.
    """
    code = DIGITS.index(digit)
    total = duration_ms * 8
    step = ptime_ms * 8
    segment_start = 0
    elapsed = 0
    marker = True
    while elapsed < total:
        elapsed = min(elapsed + step, total)
        at_ms = elapsed // 8
        if elapsed - segment_start > MAX_SEGMENT_UNITS:
            full = TelephoneEvent(code, False, volume, MAX_SEGMENT_UNITS)
            yield ScheduledEvent(at_ms, segment_start, marker, full.serialize())
            segment_start += MAX_SEGMENT_UNITS
        end = elapsed == total
        payload = TelephoneEvent(code, end, volume, elapsed - segment_start).serialize()
        for repeat in range(END_REPEATS if end else 1):
            yield ScheduledEvent(at_ms + repeat * ptime_ms, segment_start, marker, payload)
            marker = False
