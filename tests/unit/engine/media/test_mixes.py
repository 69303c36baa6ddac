"""Mixes on a made-up clock: who hears whom, how late, and how well."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from tests.unit.engine.media.harness import PCMA, PCMU, Bench, Peer
from voiceblocks.audio.codecs import codec_named
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.engine.media import messages as m

TONES_HZ = (440.0, 620.0, 830.0, 1150.0, 1480.0, 1750.0, 2100.0, 2500.0)
MIX = 77


@dataclass
class Phone:
    """A peer that says a tone, packet by packet, with a delay for each."""

    peer: Peer
    fmt: m.Format
    tone_hz: float | None
    samples: int = 160
    delay_of: Callable[[], float] = lambda: 0.0
    spoken: int = 0
    on_their_way: list[tuple[float, bytes]] = field(default_factory=list)
    phase: int = 0

    def sound(self) -> np.ndarray:
        """The next packet's samples."""
        times = np.arange(self.spoken, self.spoken + self.samples) / 8000
        self.spoken += self.samples
        if self.tone_hz is None:
            return np.zeros(self.samples, np.int16)
        return np.rint(6000 * np.sin(2 * np.pi * self.tone_hz * times)).astype(np.int16)

    def speak(self, tick: int, now: float) -> None:
        """Send what is due."""
        if tick % (self.samples // 80) == self.phase % (self.samples // 80):
            data = self.peer.packet(codec_named(self.fmt.codec).encode(self.sound()).tobytes())
            self.on_their_way.append((now + self.delay_of(), data))
        for item in [each for each in self.on_their_way if each[0] <= now + 1e-6]:
            self.on_their_way.remove(item)
            self.peer.send(item[1])

    def audio(self) -> np.ndarray:
        """All that it heard since the last call, decoded."""
        payloads = [packet.payload for packet in self.peer.listen() if packet.payload_type < 100]
        self.peer.heard.clear()
        codec = codec_named(self.fmt.codec)
        return codec.decode(np.frombuffer(b"".join(payloads), np.uint8)).astype(np.int32)


class Call:
    """Phones around a bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.phones: list[Phone] = []

    def add(self, tone_hz: float | None, fmt: m.Format = PCMU, **changes: object) -> Phone:
        """One more phone; its leg's number is its place, from 1 on."""
        phone = Phone(self.bench.open(fmt, len(self.phones) + 1), fmt, tone_hz, **changes)
        self.phones.append(phone)
        return phone

    def join(self, ident: int, mix: int = MIX, **changes: bool) -> None:
        """Put a leg into a mix."""
        self.bench.obey(m.JoinMix(ident, mix, **changes))

    def run(self, ticks: int) -> None:
        """Let everybody talk."""
        for _ in range(ticks):
            self.speak(self.bench.tick_number, self.bench.now + 0.01)
            self.bench.tick()

    def speak(self, tick: int, now: float) -> None:
        """Everybody's packets of one tick."""
        for phone in self.phones:
            phone.speak(tick, now)

    def fresh(self) -> None:
        """Forget what was heard."""
        for phone in self.phones:
            phone.audio()


@pytest.fixture
def call(bench: Bench) -> Call:
    """Nobody yet."""
    return Call(bench)


def levels(audio: np.ndarray) -> list[float]:
    """Level of each tone."""
    return [goertzel_level_dbfs(audio, tone) for tone in TONES_HZ]


SENT_DBFS = 20 * np.log10(6000 / 32768)


def test_each_of_a_room_hears_exactly_the_others(call: Call):
    """Eight legs of both laws and all packet durations: every tone but one's own, at its level."""
    for index, tone in enumerate(TONES_HZ):
        fmt = msgspec.structs.replace(
            (PCMU, PCMA)[index % 2], ptime_ms=(10, 20, 30, 40, 60)[index % 5]
        )
        call.add(tone, fmt, samples=(60, 20, 40, 30, 10)[index % 5] * 8, phase=index)
    call.run(50)
    for ident in range(1, 9):
        call.join(ident)
    call.run(60)
    call.fresh()
    call.run(240)
    for index, phone in enumerate(call.phones):
        heard = levels(phone.audio())
        own = heard.pop(index)
        assert own < SENT_DBFS - 40, (index, own)
        assert heard == pytest.approx([SENT_DBFS] * 7, abs=1.0), index


@pytest.mark.parametrize("members", [2, 8])
@pytest.mark.parametrize("phase", [0, 1])
def test_audio_passes_within_40_ms(call: Call, members: int, phase: int):
    """From the packet in to the packet out that begins with the same sound, without jitter."""
    for _ in range(members):
        call.add(None)
    call.phones[0].phase = phase
    call.run(50)
    for ident in range(1, members + 1):
        call.join(ident)
    call.run(100)
    call.phones[0].tone_hz = 1000.0
    while call.phones[0].spoken % 160 != 0:
        call.run(1)
    call.fresh()
    began = call.phones[0].spoken
    while call.phones[0].spoken == began:
        call.run(1)
    waited = 0
    while rms_dbfs(call.phones[1].audio()) < -60:
        call.run(1)
        waited += 1
    # The packet's own tick is the first one that could have sent it.
    assert waited * 10 <= 40


def delay_ms(call: Call) -> float:
    """Of a burst from the first phone to the second one, by its first loud sample."""
    first, second = call.phones[:2]
    call.fresh()
    first.tone_hz = 1000.0
    start = call.bench.now
    call.run(2)
    first.tone_hz = None
    for _ in range(40):
        call.run(1)
        audio = second.audio()
        if len(audio) and np.abs(audio).max() > 2000:
            return (call.bench.now - start) * 1000
    raise AssertionError


def test_jitter_of_30_ms_costs_less_than_100_ms_and_next_to_nothing_is_lost(call: Call):
    """Uniform between 0 and 30 ms: at most 120 ms late, and 0.1 % concealed, in a minute."""
    chance = random.Random(7)
    for tone in (None, None):
        call.add(tone, delay_of=lambda: chance.uniform(0, 0.03))
    call.run(200)
    for ident in (1, 2):
        call.join(ident)
    call.run(400)
    assert max(delay_ms(call) for _ in range(10)) <= 120
    call.run(6000)
    assert max(delay_ms(call) for _ in range(10)) <= 120
    call.bench.obey(m.CloseLeg(1))
    (left,) = call.bench.of(m.LegLeftMix)
    assert left.concealed_ms <= 60_000 * 0.001


def test_a_delay_that_is_no_longer_needed_shrinks(call: Call):
    """A bad minute is not kept for the rest of the call."""
    spread = [0.12]
    chance = random.Random(3)
    call.add(None, delay_of=lambda: chance.uniform(0, spread[0]))
    call.add(None)
    for ident in (1, 2):
        call.join(ident)
    call.run(1000)
    assert delay_ms(call) >= 80
    spread[0] = 0.0
    call.run(6000)
    assert delay_ms(call) <= 60


def test_lost_packets_are_concealed_and_counted(call: Call):
    """The tone goes on through a hole of 20 ms, and is silence after 60 ms."""
    call.add(400.0)
    phone = call.add(None)
    for ident in (1, 2):
        call.join(ident)
    call.run(100)
    call.fresh()
    call.phones[0].speak = lambda *_: setattr(call.phones[0], "spoken", call.phones[0].spoken)
    call.run(4)
    during = phone.audio()
    assert np.abs(during[-160:]).max() > 2000
    call.run(20)
    assert np.abs(phone.audio()[-400:]).max() < 10
    call.bench.obey(m.CloseLeg(1))
    (left,) = call.bench.of(m.LegLeftMix)
    assert 50 <= left.concealed_ms <= 70


def test_nobody_clicks_at_joining_muting_or_leaving(call: Call):
    """No step between samples is larger than those of the tones themselves."""
    call.add(300.0)
    listener = call.add(None)
    third = call.add(300.0)
    third.spoken = 37
    call.run(20)
    call.join(2)
    call.join(1)
    call.run(40)
    call.fresh()
    heard = []
    for step in (
        lambda: call.join(3),
        lambda: call.join(3, speaks=False),
        lambda: call.join(3, hears=False),
        lambda: call.bench.obey(m.LeaveMix(3, MIX)),
        lambda: call.join(2, hears=False),
        lambda: call.join(2),
        lambda: call.bench.obey(m.LeaveMix(2, MIX)),
    ):
        step()
        call.run(21)
        heard.append(listener.audio())
    steps = np.abs(np.diff(np.concatenate(heard)))
    # Two tones of 300 Hz rise by 1413 and 1413 a sample at most; and G.711 is coarse.
    assert steps.max() < 2 * 1413 * 1.1
    assert np.abs(heard[-1][-160:]).max() < 10
    assert len(call.bench.of(m.LegLeftMix)) == 2


def test_muted_and_deaf_legs(call: Call):
    """`speaks` and `hears` do what they say, each way alone."""
    call.add(TONES_HZ[0])
    call.add(TONES_HZ[1])
    call.join(1, speaks=False)
    call.join(2)
    call.run(50)
    call.fresh()
    call.run(50)
    assert levels(call.phones[0].audio())[1] > -20
    assert rms_dbfs(call.phones[1].audio()) < -60
    call.join(1, hears=False)
    call.run(50)
    call.fresh()
    call.run(50)
    assert rms_dbfs(call.phones[0].audio()) < -60
    assert levels(call.phones[1].audio())[0] > -20


def test_a_source_plays_instead_of_the_mix_and_the_mix_returns(call: Call):
    """Only the leg that it plays to hears it."""
    call.add(TONES_HZ[0])
    call.add(TONES_HZ[1])
    clip = call.bench.tmp_path / "clip"
    clip.write_bytes(b"\xff" * 4000)
    for ident in (1, 2):
        call.join(ident)
    call.run(50)
    call.bench.obey(m.StartSource(1, 5, [str(clip)]))
    call.run(4)
    call.fresh()
    call.run(40)
    assert rms_dbfs(call.phones[0].audio()) < -60
    assert levels(call.phones[1].audio())[0] > -20
    call.run(40)
    call.fresh()
    call.run(40)
    assert levels(call.phones[0].audio())[1] > -20


def test_hold_and_a_new_codec_within_a_mix(call: Call):
    """A leg on hold neither speaks nor hears; it comes back with another law and duration."""
    call.add(TONES_HZ[0])
    call.add(TONES_HZ[1])
    for ident in (1, 2):
        call.join(ident)
    call.run(50)
    first = call.phones[0]
    call.bench.obey(m.UpdateLeg(1, PCMU, first.peer.address, None, False, False))
    call.run(30)
    call.fresh()
    call.run(40)
    assert len(first.audio()) == 0
    assert rms_dbfs(call.phones[1].audio()) < -60
    fmt = msgspec.structs.replace(PCMA, ptime_ms=30)
    call.bench.obey(m.UpdateLeg(1, fmt, first.peer.address, None, True, True))
    first.fmt, first.peer.payload_type = fmt, 8
    call.run(50)
    call.fresh()
    call.run(60)
    assert levels(first.audio())[1] == pytest.approx(SENT_DBFS, abs=1)
    assert levels(call.phones[1].audio())[0] == pytest.approx(SENT_DBFS, abs=1)


def test_mixes_do_not_hear_one_another_and_a_leg_changes_between_them(call: Call):
    """A leg is in one mix at most."""
    for tone in TONES_HZ[:4]:
        call.add(tone)
    for ident in (1, 2):
        call.join(ident, 1)
    for ident in (3, 4):
        call.join(ident, 2)
    call.run(50)
    call.join(2, 2)
    call.run(30)
    call.fresh()
    call.run(60)
    heard = [[level > -20 for level in levels(phone.audio())[:4]] for phone in call.phones]
    assert heard == [
        [False, False, False, False],
        [False, False, True, True],
        [False, True, False, True],
        [False, True, True, False],
    ]


def test_what_is_sent_and_what_is_heard_are_recorded_side_by_side(call: Call):
    """Both taps of a leg have one time zero and their exact length; the out-tap has the mix."""
    call.add(TONES_HZ[0])
    call.add(TONES_HZ[1])
    for ident in (1, 2):
        call.join(ident)
    call.run(50)
    bench = call.bench
    bench.record(tap=1)
    bench.record(tap=3, law="PCMA", outgoing=True)
    bench.record(tap=4, outgoing=True)
    headers = bench.arena.headers
    assert headers["zero_s"][1] == headers["zero_s"][3] == headers["zero_s"][4]
    call.run(200)
    for tap in (1, 3, 4):
        bench.close_tap(tap)
    received = codec_named("PCMU").decode(bench.audio(1))
    sent = codec_named("PCMA").decode(bench.audio(3))
    assert len(received) == len(sent) == len(bench.audio(4)) == 16_000
    assert levels(received)[0] > -20 > levels(received)[1]
    assert levels(sent)[1] > -20 > levels(sent)[0]


@pytest.mark.parametrize("in_mix", [False, True])
def test_keys_are_sent_as_events(call: Call, in_mix: bool):
    """100 ms each, the end three times, 60 ms apart, with the timestamp of their start."""
    phone = call.add(TONES_HZ[0])
    call.add(TONES_HZ[1])
    if in_mix:
        call.join(1)
        call.join(2)
    call.run(50)
    phone.peer.listen().clear()
    call.bench.obey(m.SendDigits(1, "12#"))
    call.run(60)
    events = [packet for packet in phone.peer.listen() if packet.payload_type == 101]
    digits = [(p.payload[0], p.payload[1] >> 7, int.from_bytes(p.payload[2:])) for p in events]
    one = [160, 320, 480, 640, 800, 800, 800]
    assert digits == [(code, length == 800, length) for code in (1, 2, 11) for length in one]
    starts = sorted({packet.timestamp for packet in events})
    assert np.diff(starts).tolist() == [1280, 1280]
    assert [packet.marker for packet in events] == ([True] + [False] * 6) * 3
    sequences = [packet.sequence for packet in phone.peer.heard]
    assert np.all(np.diff(sequences) % 65536 == 1)
    audio = [packet for packet in phone.peer.heard if packet.payload_type == 0]
    assert all(packet.payload != b"\x01\x8a\x03\x20" + packet.payload[4:] for packet in audio)


@pytest.mark.parametrize("in_mix", [False, True])
def test_keys_are_sent_and_heard_as_tones(call: Call, in_mix: bool):
    """Where no telephone-event was agreed; each once, with the timestamp of its start."""
    fmt = m.Format("PCMU", 0, listens_for_tones=True)
    phone = call.add(None, fmt)
    listener = call.add(None, fmt)
    if in_mix:
        call.join(1)
        call.join(2)
    call.run(50)
    call.fresh()
    call.bench.obey(m.SendDigits(1, "12#"))
    sent = []
    for _ in range(60):
        call.bench.tick()
        for packet in phone.peer.listen():
            if packet.payload != b"\xff" * 160:
                sent.append(listener.peer.timestamp)
            listener.peer.send(listener.peer.packet(packet.payload))
        phone.peer.heard.clear()
    digits = call.bench.of(m.DigitReceived)
    assert [(digit.leg, digit.digit) for digit in digits] == [(2, "1"), (2, "2"), (2, "#")]
    offsets = [(digit.timestamp - sent[0]) & 0xFFFFFFFF for digit in digits]
    assert offsets == pytest.approx([0, 1280, 2560], abs=40)
    assert not any(leg == 1 for leg in (digit.leg for digit in digits))


def test_a_leg_that_moves_away_is_out_of_its_mix_and_sends_its_keys_to_the_end(
    call: Call, tmp_path
):
    """The mix stays; what is still to be sent goes with the leg."""
    bench = call.bench
    other = Bench(tmp_path, bench.arena)
    phone = call.add(TONES_HZ[0])
    call.add(TONES_HZ[1])
    call.join(1)
    call.join(2)
    call.run(50)
    phone.peer.listen().clear()
    bench.obey(m.SendDigits(1, "12"))
    call.run(8)
    bench.obey(m.DetachLeg(1))
    ((detached, fds),) = bench.detached
    bench.detached.clear()
    assert [left.leg for left in bench.of(m.LegLeftMix)] == [1]
    other.now = bench.now - 0.01
    other.tick()
    other.obey(m.AttachLeg(1, detached.state), *fds)
    other.obey(m.JoinMix(1, 5))
    other.tick(60)
    events = [packet for packet in phone.peer.listen() if packet.payload_type == 101]
    assert [packet.payload[0] for packet in events] == [1] * 7 + [2] * 7
    other.close()


def quiet_blocks(audio: np.ndarray, tone_hz: float) -> int:
    """Blocks of 10 ms, after the tone began, in which it is 6 dB too faint."""
    blocks = audio[: len(audio) // 80 * 80].reshape(-1, 80)
    heard = np.array([goertzel_level_dbfs(block, tone_hz) for block in blocks])
    is_there = heard > SENT_DBFS - 6
    return int((~is_there[np.argmax(is_there) :]).sum())


@pytest.mark.parametrize(
    ("joined_after", "worker_ms", "sender_ms"),
    [
        *((ticks, 0, 0) for ticks in (3, 4, 5, 50, 51)),
        (50, 30, 0),
        (50, 200, 0),
        (50, 0, 40),
    ],
    ids=str,
)
def test_the_bridge_makes_no_gap(call: Call, joined_after: int, worker_ms: int, sender_ms: int):
    """
    Not where it begins, not where its worker is held up, and not where a phone is for 40 ms.

    A phone that is held up longer is heard so: 20 ms of it lie in the ear, what follows is
    concealed and fades. Nothing of that is the bridge's.
    """
    bench = call.bench

    def delay() -> float:
        left_ms = 1200 + sender_ms - bench.tick_number * 10
        return left_ms / 1000 if 0 < left_ms <= sender_ms else 0.0

    call.add(TONES_HZ[3], delay_of=delay)
    call.add(TONES_HZ[5], phase=1)
    call.run(joined_after)
    call.fresh()
    call.join(1)
    call.join(2)
    call.run(100)
    bench.be_late(worker_ms // 10, call.speak)
    call.run(150)
    for phone, tone_hz in zip(call.phones, (TONES_HZ[5], TONES_HZ[3]), strict=True):
        assert quiet_blocks(phone.audio(), tone_hz) == 0
