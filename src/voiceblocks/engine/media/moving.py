"""A leg as bytes, for its way to another worker with its sockets (decision 14)."""

from __future__ import annotations

import socket

import msgspec

from voiceblocks.engine.media.digits import DigitState
from voiceblocks.engine.media.legs import Leg, LegTable
from voiceblocks.engine.media.messages import Format, StreamState
from voiceblocks.engine.media.sources import ClipCache, Source, SourceState
from voiceblocks.engine.media.taps import Tap
from voiceblocks.rtp.rtcp import ReceiverStatistics
from voiceblocks.rtp.source_lock import Address, SourceLock
from voiceblocks.rtp.telephone_event import DigitDetector
from voiceblocks.rtp.timeline import Timeline, TimelineState

VERSION = 4


class LegState(msgspec.Struct, frozen=True, array_like=True):
    """All of a leg that is not a socket."""

    version: int
    format: Format
    send: bool
    receive: bool
    cname: str
    stream: StreamState
    sent: int
    due_at: float
    "Monotonic time of the next packet."
    lock: tuple[str, Address | None, Address | None, int | None]
    connected: bool
    remote_rtcp: Address | None
    rtcp_source: Address | None
    timeline: TimelineState
    statistics: ReceiverStatistics
    detector: tuple[list[int], int, int]
    digits: list[tuple[int, int]]
    heard_ssrc: int | None
    law: str
    payload_type: int
    packet_samples: int
    packets_late: int
    heard_at: float
    rtcp_heard_at: float
    opened_at: float
    next_report_at: float
    next_silent_at: float
    source: SourceState | None
    taps: list[Tap]
    sending_digits: DigitState | None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LegState)


def dump_leg(leg: Leg, legs: LegTable, due_at: float, digits: DigitState | None) -> bytes:
    """
    Return the state of a leg; a mix stays behind.

    Args:
        leg: Which.
        legs: Its table.
        due_at: Monotonic time of its next packet.
        digits: Keys that it has still to send.
    """
    leg.load()
    columns, slot = legs.columns, leg.slot
    return _encoder.encode(
        LegState(
            version=VERSION,
            format=leg.format,
            send=leg.send,
            receive=leg.receive,
            cname=leg.cname,
            stream=leg.stream_state(),
            sent=int(columns.sent[slot]),
            due_at=due_at,
            lock=leg.lock.dump(),
            connected=leg.connected,
            remote_rtcp=leg.remote_rtcp,
            rtcp_source=leg.rtcp_source,
            timeline=leg.timeline.state,
            statistics=leg.statistics,
            detector=leg.detector.dump(),
            digits=list(leg.digits.items()),
            heard_ssrc=leg.heard_ssrc,
            law=leg.law,
            payload_type=leg.payload_type,
            packet_samples=leg.packet_samples,
            packets_late=leg.packets_late,
            heard_at=float(columns.heard_at[slot]),
            rtcp_heard_at=leg.rtcp_heard_at,
            opened_at=leg.opened_at,
            next_report_at=leg.next_report_at,
            next_silent_at=leg.next_silent_at,
            source=leg.source.dump() if leg.source is not None else None,
            taps=[*leg.taps, *leg.out_taps],
            sending_digits=digits,
        )
    )


def load_leg(
    ident: int,
    data: bytes,
    rtp: socket.socket,
    rtcp: socket.socket,
    legs: LegTable,
    cache: ClipCache,
) -> tuple[Leg, LegState, Source | None]:
    """
    Add a leg from its state. Taps, source and sockets are still to be put in place.

    Raises:
        msgspec.DecodeError: When the bytes are of another version.
    """
    state = _decoder.decode(data)
    leg = legs.add(ident, rtp, rtcp, state.format, SourceLock.restore(state.lock), state.cname)
    leg.send, leg.receive = state.send, state.receive
    leg.connected = state.connected
    leg.told_source = leg.lock.source
    leg.remote_rtcp, leg.rtcp_source = state.remote_rtcp, state.rtcp_source
    leg.timeline = Timeline(state.timeline, ends_windows=False)
    leg.statistics = state.statistics
    leg.detector = DigitDetector.restore(state.detector)
    leg.digits.update(state.digits)
    leg.heard_ssrc = state.heard_ssrc
    leg.law, leg.payload_type = state.law, state.payload_type
    leg.packet_samples = state.packet_samples
    leg.packets_late = state.packets_late
    leg.rtcp_heard_at, leg.opened_at = state.rtcp_heard_at, state.opened_at
    leg.next_report_at, leg.next_silent_at = state.next_report_at, state.next_silent_at
    columns, slot = legs.columns, leg.slot
    columns.sent[slot] = state.sent
    columns.heard_at[slot] = state.heard_at
    columns.out_ssrc[slot] = state.stream.ssrc
    columns.out_sequence[slot] = state.stream.sequence
    columns.out_timestamp[slot] = state.stream.timestamp
    leg.store()
    source = Source.restore(state.source, cache) if state.source is not None else None
    return leg, state, source
