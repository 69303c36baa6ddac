"""RTCP: reports about a stream, its name, and its end (RFC 3550 section 6)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.sequence import UINT16_RANGE, uint16_distance, uint32_distance

SENDER_REPORT = 200
RECEIVER_REPORT = 201
SOURCE_DESCRIPTION = 202
GOODBYE = 203

SDES_CNAME = 1
MAX_PACKETS = 64
"Of one datagram: real ones hold two or three, nonsense of bare headers holds hundreds."

MAX_DROPOUT = 3000
MAX_MISORDER = 100
NTP_EPOCH_S = 2_208_988_800
"Seconds from 1900 to 1970."

_REPORT = struct.Struct("!IIIIII")
_SENDER = struct.Struct("!QIII")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says about one stream (section 6.4.1)."""

    ssrc: int
    fraction_lost: int
    "Of 256, since the last report."
    packets_lost: int
    "In all; 24 bits, signed."
    highest_sequence: int
    "Extended by the cycles in the upper half."
    jitter: int
    "Timestamp units."
    lsr: int
    "Middle 32 bits of the NTP time in the last sender report, 0 if none came."
    dlsr: int
    "Delay since that, in 1/65536 s."


@dataclass(frozen=True, slots=True)
class SenderReport:
    """Packet type 200."""

    ssrc: int
    ntp: int
    "64 bits: seconds since 1900 and their fraction."
    timestamp: int
    "RTP timestamp of the same instant."
    packet_count: int
    octet_count: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """Packet type 201."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """Packet type 202, its CNAME items only."""

    cnames: tuple[tuple[int, str], ...]
    "Pairs of SSRC and canonical name."


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Packet type 203."""

    ssrcs: tuple[int, ...]


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye


def parse_compound(data: bytes | bytearray | memoryview) -> list[RtcpPacket]:
    """
    Read one datagram; packets of other types are passed over.

    Raises:
        RemoteRtpError: When any packet in it is malformed, or there is none, or `MAX_PACKETS`
            are not all.
    """
    data = bytes(data)
    packets: list[RtcpPacket] = []
    start = count = 0
    if not data:
        raise RemoteRtpError("RTCP datagram is empty")
    while start < len(data):
        count += 1
        if count > MAX_PACKETS:
            raise RemoteRtpError("RTCP datagram holds too many packets")
        if len(data) - start < 4:
            raise RemoteRtpError("RTCP header is truncated")
        first, kind, words = struct.unpack_from("!BBH", data, start)
        end = start + 4 + 4 * words
        if first >> 6 != 2:
            raise RemoteRtpError("RTCP version is not 2")
        if end > len(data):
            raise RemoteRtpError("RTCP packet is truncated")
        body = data[start + 4 : end]
        if first & 0x20:
            if not body or not 0 < body[-1] <= len(body):
                raise RemoteRtpError("RTCP padding length is invalid")
            body = body[: -body[-1]]
        packet = _parse_one(kind, first & 0x1F, body)
        if packet is not None:
            packets.append(packet)
        start = end
    return packets


def _parse_one(kind: int, count: int, body: bytes) -> RtcpPacket | None:
    if kind == SENDER_REPORT:
        if len(body) < 4 + _SENDER.size:
            raise RemoteRtpError("RTCP sender report is truncated")
        (ssrc,) = struct.unpack_from("!I", body)
        ntp, timestamp, packets, octets = _SENDER.unpack_from(body, 4)
        blocks = _blocks(body, 4 + _SENDER.size, count)
        return SenderReport(ssrc, ntp, timestamp, packets, octets, blocks)
    if kind == RECEIVER_REPORT:
        if len(body) < 4:
            raise RemoteRtpError("RTCP receiver report is truncated")
        (ssrc,) = struct.unpack_from("!I", body)
        return ReceiverReport(ssrc, _blocks(body, 4, count))
    if kind == SOURCE_DESCRIPTION:
        return _parse_sdes(body, count)
    if kind == GOODBYE:
        if len(body) < 4 * count:
            raise RemoteRtpError("RTCP bye is truncated")
        return Goodbye(struct.unpack_from(f"!{count}I", body))
    return None


def _blocks(body: bytes, start: int, count: int) -> tuple[ReportBlock, ...]:
    if len(body) < start + count * _REPORT.size:
        raise RemoteRtpError("RTCP report blocks are truncated")
    blocks = []
    for index in range(count):
        ssrc, lost, highest, jitter, lsr, dlsr = _REPORT.unpack_from(
            body, start + index * _REPORT.size
        )
        total = ((lost & 0xFFFFFF) ^ 0x800000) - 0x800000
        blocks.append(ReportBlock(ssrc, lost >> 24, total, highest, jitter, lsr, dlsr))
    return tuple(blocks)


def _parse_sdes(body: bytes, count: int) -> SourceDescription:
    cnames = []
    position = 0
    for _chunk in range(count):
        if len(body) < position + 5:
            raise RemoteRtpError("RTCP source description is truncated")
        (ssrc,) = struct.unpack_from("!I", body, position)
        position += 4
        while position < len(body) and body[position]:
            length = body[position + 1] if position + 1 < len(body) else len(body)
            if position + 2 + length > len(body):
                raise RemoteRtpError("RTCP source description item is truncated")
            if body[position] == SDES_CNAME:
                text = body[position + 2 : position + 2 + length]
                cnames.append((ssrc, text.decode("utf-8", "replace")))
            position += 2 + length
        # The list of items ends with one to four zero bytes, up to the next word.
        position = (position // 4 + 1) * 4
    return SourceDescription(tuple(cnames))


def serialize_compound(packets: Sequence[RtcpPacket]) -> bytes:
    """Return one datagram; the first should be a report (section 6.1)."""
    return b"".join(_serialize_one(packet) for packet in packets)


def _serialize_one(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            body = struct.pack("!I", packet.ssrc) + _SENDER.pack(
                packet.ntp, packet.timestamp, packet.packet_count, packet.octet_count
            )
            return _framed(SENDER_REPORT, len(packet.blocks), body + _pack(packet.blocks))
        case ReceiverReport():
            body = struct.pack("!I", packet.ssrc)
            return _framed(RECEIVER_REPORT, len(packet.blocks), body + _pack(packet.blocks))
        case SourceDescription():
            body = b""
            for ssrc, name in packet.cnames:
                text = name.encode()[:255]
                chunk = struct.pack("!IBB", ssrc, SDES_CNAME, len(text)) + text
                body += chunk + bytes(4 - len(chunk) % 4)
            return _framed(SOURCE_DESCRIPTION, len(packet.cnames), body)
        case Goodbye():
            body = struct.pack(f"!{len(packet.ssrcs)}I", *packet.ssrcs)
            return _framed(GOODBYE, len(packet.ssrcs), body)


def _framed(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def _pack(blocks: Sequence[ReportBlock]) -> bytes:
    return b"".join(
        _REPORT.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.packets_lost & 0xFFFFFF,
            block.highest_sequence,
            block.jitter,
            block.lsr,
            block.dlsr,
        )
        for block in blocks
    )


def ntp_time(utc_us: int) -> int:
    """The 64-bit NTP timestamp of UTC microseconds."""
    seconds, micros = divmod(utc_us, 1_000_000)
    return (seconds + NTP_EPOCH_S) << 32 | (micros << 32) // 1_000_000


class Order(Enum):
    """Where a packet stands in its stream (appendix A.1)."""

    NEWER = "newer"
    OLDER = "older"
    "Late, or seen before."
    JUMP = "jump"
    "Its sequence number makes no sense yet; a second one in sequence restarts the count."


@dataclass(slots=True)
class ReceiverStatistics:
    """
    What was received of one SSRC; plain numbers, so that a leg can move (decision 14).

    The media worker keeps `highest`, `received`, `transit` and `jitter` of the ordinary
    case in columns and writes them back here before it uses anything else.
    """

    base: int = -1
    "Extended sequence number of the first packet, -1 before."
    highest: int = 0
    "Extended highest sequence number."
    received: int = 0
    transit: float = 0.0
    jitter: float = 0.0
    bad_sequence: int = -1
    expected_prior: int = 0
    received_prior: int = 0
    lsr: int = 0
    lsr_at: float = 0.0
    carried_expected: int = 0
    carried_received: int = 0

    def receive(self, sequence: int, timestamp: int | None, now: float) -> Order:
        """
        Count one packet.

        Args:
            sequence: Its sequence number.
            timestamp: Its RTP timestamp (8000 Hz) for the jitter; `None` leaves jitter alone,
                as for events, whose timestamp is not the time of the packet.
            now: When it arrived.
        """
        if self.base < 0:
            self._restart(sequence)
            self.received = 1
            if timestamp is not None:
                self.transit = _transit(timestamp, now)
            return Order.NEWER
        delta = uint16_distance(sequence, self.highest & 0xFFFF)
        if -MAX_MISORDER < delta <= 0:
            self.received += 1
            return Order.OLDER
        if not 0 < delta < MAX_DROPOUT:
            if sequence != self.bad_sequence:
                self.bad_sequence = (sequence + 1) & 0xFFFF
                return Order.JUMP
            self._restart(sequence)
            delta = 0
        self.highest += delta
        self.received += 1
        if timestamp is not None:
            transit = _transit(timestamp, now)
            difference = abs(transit - self.transit)
            # A wrapped or jumped timestamp says nothing about the network.
            if difference < 8000 * 10:
                self.jitter += (difference - self.jitter) / 16
            self.transit = transit
        return Order.NEWER

    def forget_stream(self) -> None:
        """Begin with another SSRC; the totals go on."""
        self.carried_expected, self.carried_received = self.total_expected, self.total_received
        self.base = self.bad_sequence = -1
        self.received = self.lsr = 0
        self.jitter = 0.0

    @property
    def total_expected(self) -> int:
        """Packets sent in all streams so far."""
        return self.carried_expected + self.expected

    @property
    def total_received(self) -> int:
        """Packets received in all streams so far, repeated ones included."""
        return self.carried_received + self.received

    def _restart(self, sequence: int) -> None:
        self.carried_expected, self.carried_received = self.total_expected, self.total_received
        self.base = self.highest = sequence + UINT16_RANGE
        self.received = 0
        self.bad_sequence = -1
        self.expected_prior = self.received_prior = 0

    @property
    def expected(self) -> int:
        """Packets that the sender has sent, as far as we can tell (appendix A.3)."""
        return self.highest - self.base + 1 if self.base >= 0 else 0

    def on_sender_report(self, ntp: int, now: float) -> None:
        """Remember when the sender reported, for LSR and DLSR."""
        self.lsr = ntp >> 16 & 0xFFFFFFFF
        self.lsr_at = now

    def report(self, ssrc: int, now: float) -> ReportBlock:
        """Build the next report block; the fraction lost counts from the one before."""
        expected = self.expected
        interval = expected - self.expected_prior
        lost = interval - (self.received - self.received_prior)
        self.expected_prior, self.received_prior = expected, self.received
        fraction = min(255, (lost << 8) // interval) if interval > 0 and lost > 0 else 0
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=fraction,
            packets_lost=max(-0x800000, min(0x7FFFFF, expected - self.received)),
            highest_sequence=(self.highest - UINT16_RANGE if self.base >= 0 else 0) & 0xFFFFFFFF,
            jitter=int(self.jitter),
            lsr=self.lsr,
            dlsr=int((now - self.lsr_at) * 65536) & 0xFFFFFFFF if self.lsr else 0,
        )


def _transit(timestamp: int, now: float) -> float:
    return float(uint32_distance(round(now * 8000) & 0xFFFFFFFF, timestamp))
