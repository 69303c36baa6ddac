"""The worker on a made-up clock: exact positions under every impairment."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.engine.media.harness import (
    PCMA,
    PCMU,
    Bench,
    Peer,
    assert_in_place,
    find,
    ramp,
)
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.taps import transcode
from voiceblocks.rtp.packet import RtpPacket
from voiceblocks.rtp.rtcp import (
    Goodbye,
    SenderReport,
    SourceDescription,
    ntp_time,
    parse_compound,
    serialize_compound,
)
from voiceblocks.rtp.telephone_event import TelephoneEvent, event_packets

LEAD_IN = 10


def test_loss_leaves_silence_of_its_length_and_is_counted(bench: Bench):
    """Nothing moves because something is missing."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    gone = {3, 4, 5, 11, 29, 38}
    bench.talk(peer, 50, first=LEAD_IN, deliver=lambda index, data: [] if index in gone else [data])
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == 50 * 160
    assert find(audio, LEAD_IN) == 0
    assert_in_place(audio, [LEAD_IN + index for index in range(50) if index not in gone])
    hole = 3 * 160
    assert set(audio[hole : hole + 480]) == {0xFF}
    stats = bench.stats()
    assert (stats.packets_expected, stats.packets_received, stats.packets_lost) == (50, 44, 6)
    assert stats.absent_ms == 120


def test_doubled_and_reordered_packets_lie_where_they_belong(bench: Bench):
    """Order of arrival has no influence, across the wraps of sequence number and timestamp."""
    peer = bench.open()
    held: list[bytes] = []

    def shuffle(index: int, data: bytes) -> list[bytes]:
        if index % 7 == 3:
            held.append(data)
            return []
        if held and index % 7 == 6:
            return [data, data, held.pop()]
        return [data]

    bench.record()
    bench.talk(peer, 91, deliver=shuffle)
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == 91 * 160
    assert_in_place(audio, list(range(91)))
    assert bench.stats().packets_lost == 0


@pytest.mark.parametrize("length", [80, 160, 240, 320, 480])
def test_packet_durations_both_ways(bench: Bench, length: int):
    """10 to 60 ms: received whole, and sent at their pace when negotiated."""
    peer = bench.open(msgspec.structs.replace(PCMU, ptime_ms=length // 8))
    bench.talk(peer, LEAD_IN, length=length)
    bench.record()
    bench.talk(peer, 24_000 // length, first=LEAD_IN, length=length)
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == 24_000
    assert_in_place(audio, list(range(LEAD_IN, LEAD_IN + 24_000 // length)), length)
    heard = peer.listen()
    assert {len(packet.payload) for packet in heard} == {length}
    assert len(heard) == pytest.approx(LEAD_IN + 24_000 // length, abs=2)


def test_a_pause_of_the_sender_is_a_pause_in_the_recording(bench: Bench):
    """Silence suppression keeps the time; comfort noise packets are not audio."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.talk(peer, 10, first=LEAD_IN)
    peer.send(peer.packet(b"\x40", advance=False, payload_type=13))
    peer.pause(8000)
    bench.tick(100)
    bench.talk(peer, 10, first=LEAD_IN + 60)
    bench.close_tap()
    audio = bench.audio()
    assert_in_place(audio, [*range(LEAD_IN, LEAD_IN + 10), *range(LEAD_IN + 60, LEAD_IN + 70)])
    assert set(audio[1600:9600]) == {0xFF}
    assert len(audio) == 70 * 160
    assert bench.stats().absent_ms == 1000


def test_a_restarted_or_jumping_stream_goes_on_without_a_seam(bench: Bench):
    """A new SSRC, and timestamps that jump either way, continue where the clock is."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    jumps = [0, 0x40000000, -0x60000000, -3000, 5000, -800_000]
    for part, jump in enumerate(jumps):
        bench.talk(peer, 10, first=LEAD_IN + part * 10)
        peer.pause(jump)
        if part == 3:
            peer.ssrc, peer.sequence = 0x9999, 5
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == 60 * 160
    # A jump of 5000 ticks looks like a pause that ends too early: it is anchored anew.
    assert_in_place(audio, list(range(LEAD_IN, LEAD_IN + 60)))


def test_a_stopped_timestamp_is_followed_after_a_while(bench: Bench):
    """A sender that does not count its pauses is placed at now again, within half a second."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.talk(peer, 10, first=LEAD_IN)
    bench.tick(100)
    bench.talk(peer, 50, first=LEAD_IN + 10)
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == (10 + 50 + 50) * 160
    assert_in_place(audio, list(range(LEAD_IN + 35, LEAD_IN + 60)))
    assert find(audio, LEAD_IN + 59) == len(audio) - 160


@pytest.mark.parametrize(("ppm", "seconds"), [(500, 60), (-500, 60)])
def test_a_drifting_clock_keeps_the_length_within_20_ms(bench: Bench, ppm: int, seconds: int):
    """The mapping is slewed, sample by sample, and no packet goes missing."""
    peer = bench.open()
    bench.talk(peer, 50)
    bench.record()
    period_s = 0.02 * (1 - ppm * 1e-6)
    next_at, sent, start = bench.now, 0, bench.now
    while bench.now < start + seconds:
        while next_at <= bench.now:
            peer.send(peer.packet(ramp(sent)))
            next_at += period_s
            sent += 1
        bench.tick()
    timestamp = peer.timestamp
    bench.close_tap(timestamp=timestamp)
    audio = bench.audio()
    assert len(audio) == pytest.approx(seconds * 8000, abs=320)
    assert abs(sent * 160 - seconds * 8000) > 100
    assert bench.stats().packets_lost == 0
    assert bench.stats().absent_ms == 0


def test_a_late_burst_is_still_placed_and_what_is_too_late_is_counted(bench: Bench):
    """A stall of 400 ms delays audio, a stall of 800 ms costs what is older than 480 ms."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    held: list[bytes] = []

    def stall(index: int, data: bytes) -> list[bytes]:
        held.append(data)
        if 20 <= index < 40 or 60 <= index < 100:
            return []
        burst, held[:] = held[:], []
        return burst

    bench.talk(peer, 120, first=LEAD_IN, deliver=stall)
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == 120 * 160
    kept = [*range(60), *range(79, 120)]
    assert_in_place(audio, [LEAD_IN + index for index in kept])
    assert 10 <= bench.stats().packets_late <= 20


def test_a_digit_ends_a_tap_exactly_at_its_timestamp(bench: Bench):
    """Once per digit, at its first packet; nothing of the event and after it is kept."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.talk(peer, 30, first=LEAD_IN)
    start = peer.timestamp
    for packet in event_packets("#", 100):
        data = peer.packet(
            packet.payload,
            advance=False,
            payload_type=101,
            marker=packet.marker,
            timestamp=start + packet.timestamp_offset,
        )
        peer.send(data)
        bench.tick(2)
    peer.pause(800 + 320)
    bench.talk(peer, 5, first=80)
    (digit,) = bench.of(m.DigitReceived)
    assert (digit.leg, digit.digit, digit.timestamp) == (1, "#", start)
    bench.close_tap(timestamp=digit.timestamp)
    audio = bench.audio()
    assert audio.tobytes() == b"".join(ramp(packet) for packet in range(LEAD_IN, LEAD_IN + 30))


def test_events_are_silence_in_the_recording(bench: Bench):
    """Audio before and after a digit keeps its place; the digit itself is not heard."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.talk(peer, 5, first=LEAD_IN)
    event = TelephoneEvent(5, True, 10, 800).serialize()
    for _ in range(5):
        peer.send(peer.packet(event, advance=False, payload_type=101))
        bench.tick(2)
    peer.pause(800)
    bench.talk(peer, 5, first=LEAD_IN + 10)
    bench.close_tap()
    audio = bench.audio()
    assert_in_place(audio, [*range(LEAD_IN, LEAD_IN + 5), *range(LEAD_IN + 10, LEAD_IN + 15)])
    assert set(audio[800:1600]) == {0xFF}
    assert [digit.digit for digit in bench.of(m.DigitReceived)] == ["5"]


@pytest.mark.parametrize("talking", [True, False])
def test_a_tap_closes_itself_at_its_limit(bench: Bench, talking: bool):
    """Exactly the limit, also while nothing is received; late packets are waited for."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record(limit=8000)
    held: list[bytes] = []

    def late(index: int, data: bytes) -> list[bytes]:
        if index == 49:
            held.append(data)
        return [] if index == 49 else [data, *held] if index == 58 else [data]

    if talking:
        bench.talk(peer, 70, first=LEAD_IN, deliver=late)
    else:
        bench.tick(140)
    (closed,) = bench.of(m.TapClosed)
    assert closed.limit_reached
    assert closed.n_samples == 8000
    audio = bench.audio()
    assert len(audio) == 8000
    if talking:
        assert_in_place(audio, list(range(LEAD_IN, LEAD_IN + 50)))
    else:
        assert set(audio) == {0xFF}


def test_a_recording_longer_than_the_ring_is_whole(bench: Bench):
    """The ring goes round several times; unaligned packets cross its end."""
    peer = bench.open()
    bench.record()
    bench.tick()
    bench.talk(peer, 1500)
    bench.close_tap()
    audio = bench.audio()
    positions = [find(audio, packet) for packet in range(100)]
    assert positions == [positions[0] + packet * 160 for packet in range(100)]
    tail = b"".join(ramp(packet) for packet in range(1400, 1500))
    assert audio.tobytes().endswith(tail)
    assert len(audio) == pytest.approx(1500 * 160, abs=100)


def test_laws_are_kept_apart(bench: Bench):
    """A-law into an A-law spool as it is; a peer that changes its law is transcoded."""
    peer = bench.open(PCMA)
    bench.talk(peer, LEAD_IN)
    bench.record(law="PCMA")
    bench.talk(peer, 10, first=LEAD_IN)
    peer.send(peer.packet(b"\xff" * 160, payload_type=0))
    bench.tick(2)
    bench.talk(peer, 5, first=LEAD_IN + 11)
    bench.close_tap()
    audio = bench.audio()
    assert_in_place(audio, [*range(LEAD_IN, LEAD_IN + 10), *range(LEAD_IN + 11, LEAD_IN + 16)])
    assert set(audio[1600:1760]) == {0xD5}


def test_two_taps_of_one_leg(bench: Bench):
    """A second recording may begin while the first one goes on."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record(tap=1)
    bench.talk(peer, 10, first=LEAD_IN)
    bench.record(tap=2, law="PCMA")
    bench.talk(peer, 10, first=LEAD_IN + 10)
    bench.close_tap(1)
    bench.talk(peer, 10, first=LEAD_IN + 20)
    bench.close_tap(2)
    assert_in_place(bench.audio(1), list(range(LEAD_IN, LEAD_IN + 20)))
    assert len(bench.audio(2)) == 20 * 160


def test_a_stranger_can_neither_inject_nor_draw_the_stream_away(bench: Bench):
    """Not with the right SSRC and numbers, not with others; the peer hears us all the time."""
    peer = bench.open()
    stranger = bench.open(ident=2)
    stranger.target = peer.target
    bench.talk(peer, LEAD_IN)
    bench.record()

    def disturb(_index: int, data: bytes) -> list[bytes]:
        packet = RtpPacket.parse(data)
        stranger.send(replace(packet, payload=b"\x7e" * 160).serialize())
        stranger.send(stranger.packet(b"\x7d" * 160))
        return [data]

    bench.talk(peer, 30, first=LEAD_IN, deliver=disturb)
    bench.close_tap()
    assert bench.audio().tobytes() == b"".join(ramp(p) for p in range(LEAD_IN, LEAD_IN + 30))
    assert 38 <= len([packet for packet in peer.listen() if packet.ssrc == 7]) <= 40


def test_a_new_port_of_the_nat_is_followed_after_real_silence(bench: Bench):
    """The same stream from another port, after two seconds of nothing."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.tick(350)
    moved = bench.open(ident=2)
    moved.target, moved.ssrc = peer.target, peer.ssrc
    moved.sequence, moved.timestamp = peer.sequence, (peer.timestamp + 28_000) & 0xFFFFFFFF
    bench.talk(moved, 20, first=LEAD_IN)
    bench.close_tap()
    audio = bench.audio()
    assert_in_place(audio, list(range(LEAD_IN + 2, LEAD_IN + 20)))
    assert len([packet for packet in moved.listen() if packet.ssrc == 7]) >= 10


def test_prompts_play_whole_and_in_order(bench: Bench):
    """Clips follow one another without a gap; the end is reported after the last packet."""
    peer = bench.open()
    first, second = bench.tmp_path / "a", bench.tmp_path / "b"
    first.write_bytes(ramp(1) + ramp(2)[:100])
    second.write_bytes(ramp(3) + ramp(4))
    bench.tick(4)
    bench.obey(m.StartSource(1, 5, [str(first), str(second)]))
    bench.tick(12)
    (ended,) = bench.of(m.SourceEnded)
    assert (ended.leg, ended.source, ended.completed) == (1, 5, True)
    heard = b"".join(packet.payload for packet in peer.listen())
    whole = ramp(1) + ramp(2)[:100] + ramp(3) + ramp(4)
    assert heard.strip(b"\xff") == whole
    stamps = [packet.timestamp for packet in peer.heard]
    assert stamps == [(0xFFFF_FF60 + 160 * index) & 0xFFFFFFFF for index in range(len(stamps))]
    sequences = [packet.sequence for packet in peer.heard]
    assert sequences == [(65_530 + index) & 0xFFFF for index in range(len(sequences))]
    assert [packet.marker for packet in peer.heard][:2] == [True, False]


def test_a_source_can_be_stopped_replaced_looped_or_missing(bench: Bench):
    """Every source is reported once."""
    peer = bench.open()
    clip = bench.tmp_path / "a"
    clip.write_bytes(ramp(1))
    bench.obey(m.StartSource(1, 1, [str(clip)], True))
    bench.tick(20)
    bench.obey(m.StartSource(1, 2, [str(clip)], True))
    bench.tick(20)
    bench.obey(m.StopSource(1, 1))
    bench.obey(m.StopSource(1, 2))
    bench.obey(m.StartSource(1, 3, [str(clip), str(bench.tmp_path / "missing")]))
    bench.obey(m.StartSource(9, 4, [str(clip)]))
    ended = [(event.source, event.completed) for event in bench.of(m.SourceEnded)]
    assert ended == [(ident, False) for ident in (1, 2, 3, 4)]
    assert ramp(1) * 8 in b"".join(packet.payload for packet in peer.listen())


@settings(max_examples=10, deadline=None)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(4, 40),
            st.sampled_from([PCMU, PCMA]),
            st.booleans(),
            st.integers(0, 30),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_renegotiated_stream_keeps_the_time(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[int, m.Format, bool, int, bool]],
):
    """
    A re-INVITE changes codec or address, or holds and resumes, in the middle of a recording.

    Each part lies where it was spoken, within 20 ms, and the length is the time that passed.
    """
    bench = Bench(tmp_path_factory.mktemp("bench"))
    peer = bench.open()
    bench.talk(peer, LEAD_IN, first=100)
    bench.record()
    start = bench.now
    spoken_at: list[tuple[int, float]] = []
    bench.talk(peer, 10, first=110)
    spoken_at.append((110, 0.0))
    for number, (talks, fmt, moves, held, restarts) in enumerate(changes):
        if held:
            bench.obey(m.UpdateLeg(1, fmt, peer.address, None, False, False))
            bench.tick(2 * held)
            peer.pause(160 * held)
        if moves:
            stamps = peer.ssrc, peer.sequence, peer.timestamp
            peer = Peer(peer.target, fmt)
            bench.peers.append(peer)
            if restarts:
                peer.ssrc += 1 + number
            else:
                peer.ssrc, peer.sequence, peer.timestamp = stamps
        peer.payload_type = fmt.payload_type
        bench.obey(m.UpdateLeg(1, fmt, peer.address, None, True, True))
        first = 120 + 41 * number
        spoken_at.append((first, bench.now - start))
        bench.talk(peer, talks, first=first)
    ended = bench.now
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == pytest.approx((ended - start) * 8000, abs=160)
    laws = ["PCMU", *(fmt.codec for _talks, fmt, *_rest in changes)]
    for (packet, at_s), law in zip(spoken_at, laws, strict=True):
        wanted = transcode(ramp(packet), law, "PCMU")
        position = audio.tobytes().find(wanted)
        assert position >= 0, packet
        assert position == pytest.approx(at_s * 8000, abs=160)
    bench.close()


def test_a_leg_on_hold_is_silent_both_ways_and_comes_back(bench: Bench):
    """An update changes direction, law and address, and the stream goes on."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.obey(m.UpdateLeg(1, PCMU, peer.address, None, False, False))
    peer.listen().clear()
    bench.record()
    bench.talk(peer, 10, first=LEAD_IN)
    assert not peer.listen()
    bench.obey(m.UpdateLeg(1, PCMA, peer.address, None, True, True))
    peer.payload_type = 8
    bench.talk(peer, 10, first=LEAD_IN + 10)
    bench.close_tap()
    heard = peer.listen()
    assert {packet.payload_type for packet in heard} == {8}
    assert {packet.payload for packet in heard} == {b"\xd5" * 160}
    assert len(bench.audio()) == 20 * 160


def test_a_silent_leg_is_reported_every_30_s_and_rtcp_counts_as_life(bench: Bench):
    """No RTP and no RTCP for 30 s; silence suppression with RTCP is no silence."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.tick(6500)
    silent = bench.of(m.LegSilent)
    assert [event.silent_s for event in silent] == pytest.approx([30, 60], abs=1.1)
    rtcp = bytes.fromhex("80c90001") + peer.ssrc.to_bytes(4, "big")
    for _ in range(4):
        peer.sock.sendto(rtcp, bench.rtcp_address)
        bench.tick(1000)
    assert bench.of(m.LegSilent) == silent


def test_a_leg_that_moves_loses_nothing_either_way(bench: Bench):
    """Sockets, stream, source, digits and tap go on in another worker of the same arena."""
    other = Bench(bench.tmp_path, bench.arena)
    peer = bench.open()
    clip = bench.tmp_path / "a"
    clip.write_bytes(b"".join(ramp(packet) for packet in range(100)))
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.obey(m.StartSource(1, 3, [str(clip)]))
    homes = [bench, other, bench, other]
    for part, home in enumerate(homes):
        home.talk(peer, 15, first=LEAD_IN + part * 15)
        if part == len(homes) - 1:
            break
        home.obey(m.DetachLeg(1))
        (detached, fds) = home.detached.pop()
        after = homes[part + 1]
        after.now = home.now - 0.01
        after.tick()
        after.obey(m.AttachLeg(1, detached.state), *fds)
    other.close_tap()
    bench.events += other.events
    audio = bench.audio()
    assert audio.tobytes() == b"".join(ramp(p) for p in range(LEAD_IN, LEAD_IN + 60))
    heard = b"".join(packet.payload for packet in peer.listen())
    start = heard.index(ramp(0))
    assert heard[start:] == clip.read_bytes()[: len(heard) - start]
    sequences = [packet.sequence for packet in peer.heard]
    assert sequences == [(65_530 + index) & 0xFFFF for index in range(len(sequences))]
    assert len(sequences) >= LEAD_IN + 59
    assert bench.stats().packets_lost == 0
    other.close()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    junk=st.lists(
        st.one_of(
            st.binary(max_size=64),
            st.binary(min_size=12, max_size=40).map(lambda data: b"\x80" + data),
            st.tuples(st.sampled_from([0, 8, 13, 101]), st.binary(max_size=20)).map(
                lambda pair: RtpPacket(pair[0], 9, 9, 9, pair[1]).serialize()
            ),
        ),
        max_size=6,
    )
)
def test_garbage_never_raises(bench: Bench, junk: list[bytes]):
    """Malformed RTP, RTCP and events on both sockets are dropped and counted."""
    if not bench.events:
        bench.peer = bench.open()
        bench.events.append(None)
    for data in junk:
        bench.peer.send(data)
        bench.peer.sock.sendto(data, bench.rtcp_address)
    bench.tick(3)


def test_rtcp_reports_are_sent_heard_and_ended_with_a_bye(bench: Bench):
    """Every five seconds a report with what was lost, and a goodbye at the end."""
    reports = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reports.bind(("127.0.0.1", 0))
    reports.setblocking(False)
    peer = bench.open()
    bench.obey(m.UpdateLeg(1, PCMU, peer.address, reports.getsockname(), True, True))
    sender = SenderReport(peer.ssrc, ntp_time(5_000_000), 1, 2, 3)
    bench.talk(peer, 5)
    reports.sendto(serialize_compound([sender]), bench.rtcp_address)
    bench.talk(peer, 500, first=5, deliver=lambda index, data: [data] if index % 10 else [])
    bench.obey(m.CloseLeg(1))
    heard = []
    with contextlib.suppress(BlockingIOError):
        while True:
            heard.append(parse_compound(reports.recv(2000)))
    reports.close()
    assert len(heard) == 3
    report, names = heard[1]
    assert isinstance(report, SenderReport)
    assert names == SourceDescription(((7, "bench@test"),))
    assert report.packet_count * 160 == report.octet_count > 0
    (block,) = report.blocks
    assert block.ssrc == peer.ssrc
    assert block.lsr == sender.ntp >> 16 & 0xFFFFFFFF
    assert block.packets_lost > 20
    assert block.jitter < 200
    assert heard[-1][-1] == Goodbye((7,))


def test_a_stalled_worker_goes_on_where_it_was(bench: Bench):
    """Packets that waited in the socket are placed by their timestamps, none is sent twice."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    bench.talk(peer, 20, first=LEAD_IN)
    for index in range(15):
        peer.send(peer.packet(ramp(LEAD_IN + 20 + index)))
    bench.now += 0.3
    bench.tick_number += 30
    bench.talk(peer, 20, first=LEAD_IN + 35)
    bench.close_tap()
    audio = bench.audio()
    assert_in_place(audio, list(range(LEAD_IN, LEAD_IN + 55)))
    assert len(audio) == 55 * 160
    stamps = [packet.timestamp for packet in peer.heard]
    assert len(set(stamps)) == len(stamps)


def test_a_long_stall_is_given_up_in_time(bench: Bench):
    """What should have been sent is skipped, and the timestamps tell how much."""
    peer = bench.open()
    bench.talk(peer, 5)
    count, last = len(peer.heard), peer.heard[-1]
    bench.tick_number += 200
    bench.now += 2
    bench.worker.skip_to(bench.tick_number)
    bench.tick(4)
    after = peer.heard[count : count + 2]
    assert after[0].sequence == (last.sequence + 1) & 0xFFFF
    gap = (after[0].timestamp - last.timestamp) & 0xFFFFFFFF
    assert gap == pytest.approx(2 * 8000, abs=320)
    assert after[1].timestamp == (after[0].timestamp + 160) & 0xFFFFFFFF


def test_commands_about_a_leg_that_is_gone_are_ignored(bench: Bench):
    """They were on their way when it ended; a tap is answered all the same."""
    for command in (
        m.UpdateLeg(9, PCMU, None, None, True, True),
        m.CloseLeg(9),
        m.StopSource(9, 1),
        m.CloseTap(9, 1, bench.now),
        m.DetachLeg(9),
        m.OpenTap(9, 4, 4, "none"),
    ):
        bench.obey(command)
    assert bench.events == [m.TapClosed(9, 4, 4, 0, False, m.TapStats())]


def test_a_leg_without_an_address_learns_it_from_the_peer(bench: Bench):
    """Late offers and useless SDP: nothing is sent until three packets in sequence came."""
    peer = bench.open(signalled=lambda _peer: None)
    bench.talk(peer, 3)
    assert not peer.heard
    bench.talk(peer, 5)
    assert peer.heard


@settings(max_examples=25, deadline=None)
@given(
    late_ticks=st.lists(st.integers(0, 1), min_size=80, max_size=80),
    lost=st.sets(st.integers(0, 79), max_size=30),
    doubled=st.sets(st.integers(0, 79), max_size=20),
    pauses=st.dictionaries(st.integers(1, 79), st.integers(1, 60), max_size=2),
    jumps=st.dictionaries(
        st.integers(1, 79), st.tuples(st.integers(-(2**31), 2**31 - 1), st.booleans()), max_size=2
    ),
)
def test_the_length_is_the_time_that_passed(
    tmp_path_factory: pytest.TempPathFactory,
    late_ticks: list[int],
    lost: set[int],
    doubled: set[int],
    pauses: dict[int, int],
    jumps: dict[int, tuple[int, bool]],
):
    """
    Under loss, lateness, reordering, repetition, silence suppression, jumps and restarts.

    A finishing digit ends the tap at an RTP timestamp; still its length is wall-clock time,
    within 20 ms.
    """
    bench = Bench(tmp_path_factory.mktemp("bench"))
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    start = bench.now
    waiting: list[tuple[int, bytes]] = []

    def pass_20_ms() -> None:
        for _ in range(2):
            for entry in [entry for entry in waiting if entry[0] <= bench.tick_number]:
                waiting.remove(entry)
                peer.send(entry[1])
            bench.tick()

    for index in range(80):
        if index in pauses:
            peer.pause(160 * pauses[index])
            for _ in range(pauses[index]):
                pass_20_ms()
        if index in jumps:
            peer.pause(jumps[index][0])
            if jumps[index][1]:
                peer.ssrc += 1
        data = peer.packet(ramp(index))
        if index not in lost:
            due = bench.tick_number + late_ticks[index]
            waiting += [(due, data)] * (2 if index in doubled else 1)
        pass_20_ms()
    ended = bench.now
    stamp = peer.timestamp
    peer.send(peer.packet(TelephoneEvent(11, False, 10, 160).serialize(), payload_type=101))
    bench.tick()
    (digit,) = bench.of(m.DigitReceived)
    assert digit.timestamp == stamp
    bench.obey(m.CloseTap(1, 1, digit.at, digit.timestamp))
    (closed,) = bench.of(m.TapClosed)
    assert closed.n_samples == pytest.approx((ended - start) * 8000, abs=160)
    bench.close()


def test_thousands_of_random_datagrams_do_no_harm(bench: Bench):
    """Seeded noise with and without plausible headers, between the packets of a call."""
    random = np.random.default_rng(4000)
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()

    def noise(_index: int, data: bytes) -> list[bytes]:
        out = [data]
        for _ in range(40):
            junk = bytearray(random.bytes(int(random.integers(0, 64))))
            if len(junk) > 1 and random.random() < 0.7:
                junk[0] = 0x80 | junk[0] & 0x3F
                junk[1] = int(random.choice([0, 8, 13, 101, 128])) | junk[1] & 0x80
            if len(junk) >= 12 and random.random() < 0.5:
                junk[2:12] = data[2:12]
            out.append(bytes(junk))
        return out

    bench.talk(peer, 100, first=LEAD_IN, deliver=noise)
    bench.talk(peer, 20, first=LEAD_IN + 100)
    bench.close_tap()
    assert len(bench.audio()) == 120 * 160


def test_a_session_refresh_is_not_heard(bench: Bench):
    """A re-INVITE that changes nothing disturbs neither the pace nor what is recorded."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record()
    for part in range(5):
        bench.talk(peer, 5, first=LEAD_IN + part * 5)
        bench.obey(m.UpdateLeg(1, PCMU, peer.address, None, True, True))
        bench.tick()
        peer.pause(80)
        bench.tick()
        peer.pause(80)
    bench.close_tap()
    audio = bench.audio()
    parts = [range(LEAD_IN + part * 5, LEAD_IN + part * 5 + 5) for part in range(5)]
    for part, packets in enumerate(parts):
        assert find(audio, packets[0]) == part * 6 * 160
        assert_in_place(audio, list(packets))
    assert len(peer.heard) == pytest.approx(LEAD_IN + 30, abs=1)
    assert sum(packet.marker for packet in peer.heard) == 1


def test_an_end_in_the_future_is_waited_for_and_a_near_one_is_now(bench: Bench):
    """The control process's clock may be some milliseconds ahead of the tick."""
    peer = bench.open()
    bench.talk(peer, LEAD_IN)
    bench.record(tap=1)
    bench.record(tap=2)
    bench.talk(peer, 10, first=LEAD_IN)
    bench.obey(m.CloseTap(1, 1, bench.now + 0.004))
    bench.obey(m.CloseTap(1, 2, bench.now + 0.4))
    assert [event.n_samples for event in bench.of(m.TapClosed)] == [1632]
    bench.talk(peer, 40, first=LEAD_IN + 10)
    closed = bench.of(m.TapClosed)[-1]
    assert (closed.tap, closed.n_samples, closed.limit_reached) == (2, 1600 + 3200, False)
    assert_in_place(bench.audio(2), list(range(LEAD_IN, LEAD_IN + 30)))
