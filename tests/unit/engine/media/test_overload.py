"""What peers, strangers and a stopped machine may cost a tick."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from tests.unit.engine.media.harness import Bench, assert_in_place, find, ramp
from voiceblocks.engine.media import receive, reports
from voiceblocks.engine.media.lateness import Lateness
from voiceblocks.rtp.packet import RtpPacket

LEAD_IN = 5
"Packets before a recording begins."


def test_an_hour_in_a_freezer_is_an_hour_of_silence_and_a_moment_of_work(bench: Bench):
    """A container may be paused: what was placed is kept, what comes after lies in its place."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.talk(peer, 50, first=LEAD_IN)
    for kept in bench.kept.values():
        kept.append_until(50)
    bench.now += 3600
    bench.tick_number += 360_000
    bench.worker.skip_to(bench.tick_number)
    peer.pause(3600 * 8000)
    begun = time.process_time()
    bench.tick()
    assert time.process_time() - begun < 1
    bench.talk(peer, 50, first=LEAD_IN + 50)
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == pytest.approx((100 * 160) + 3600 * 8000, abs=320)
    assert_in_place(audio[: 50 * 160], list(range(LEAD_IN, LEAD_IN + 50)))
    assert find(audio, LEAD_IN + 60) == pytest.approx((60 * 160) + 3600 * 8000, abs=320)
    assert (audio[51 * 160 : 3600 * 8000] == 0xFF).all()


def test_peers_who_flood_leave_the_others_their_tick(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """What cannot be judged in one tick waits in the socket of who sent it."""
    monkeypatch.setattr(receive, "MAX_JUDGED", 10)
    flooders = [bench.open(ident=ident) for ident in range(1, 5)]
    honest = bench.open(ident=5)
    for _packet in range(LEAD_IN):
        for flooder in flooders:
            flooder.send(flooder.packet(ramp(0)))
        bench.talk(honest, 1, first=_packet)
    bench.record(ident=5)
    before = bench.worker.stats(Lateness(), 1.0).packets_received
    for flooder in flooders:
        for nonsense in range(60):
            flooder.send(flooder.packet(b"x" * 160, sequence=nonsense * 7777 & 0xFFFF))
    bench.talk(honest, 1, first=LEAD_IN)
    ticks = 2
    received = bench.worker.stats(Lateness(), 1.0).packets_received - before
    assert received <= ticks * (10 + 2 * len(flooders) + 1)
    bench.talk(honest, 20, first=LEAD_IN + 1)
    bench.close_tap(ident=5)
    assert_in_place(bench.audio(), list(range(LEAD_IN, LEAD_IN + 21)))


def test_reports_of_strangers_are_not_even_read(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    """RTCP ports are open to the world: what one datagram may cost is one look at its sender."""
    parsed: list[bytes] = []

    def parse(data: bytes) -> list[object]:
        parsed.append(data)
        return []

    monkeypatch.setattr(reports, "parse_compound", parse)
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        for _datagram in range(20):
            stranger.sendto(b"stranger", bench.rtcp_address)
        bench.tick(30)
    assert not parsed
    for _datagram in range(20):
        peer.sock.sendto(b"peer", bench.rtcp_address)
    bench.tick(3)
    assert parsed == [b"peer"] * 3


def test_a_stranger_who_is_first_does_not_keep_the_leg(bench: Bench):
    """He sends to every port of ours all the time; the caller whom SDP named gets the call back."""
    peer = bench.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        template = RtpPacket(0, 100, 5, 99, b"\x7e" * 160)

        def spray(index: int, data: bytes) -> list[bytes]:
            for extra in range(3):
                number = 100 + index * 3 + extra
                packet = replace(template, sequence=number, timestamp=number * 160)
                stranger.sendto(packet.serialize(), peer.target)
            return [data]

        spray(0, b"")
        spray(1, b"")
        bench.tick(2)
        bench.talk(peer, LEAD_IN, deliver=lambda index, data: spray(index + 2, data))
        bench.record()
        bench.talk(
            peer, 30, first=LEAD_IN, deliver=lambda index, data: spray(index + 2 + LEAD_IN, data)
        )
    bench.close_tap()
    assert_in_place(bench.audio(), list(range(LEAD_IN, LEAD_IN + 30)))
    assert len([packet for packet in peer.listen() if packet.ssrc == 7]) >= 30


def test_a_caller_behind_a_nat_gets_the_fast_path_after_a_while(bench: Bench):
    """A lock on another host than SDP said is in doubt for some seconds, not for ever."""
    peer = bench.open(signalled=lambda _peer: ("192.0.2.77", 4000))
    bench.talk(peer, 20)
    leg = bench.worker._legs.by_ident[1]
    assert leg.lock.is_doubtful
    assert not leg.connected
    bench.talk(peer, 260, first=20)
    assert leg.connected
    assert leg.drained
