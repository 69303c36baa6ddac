"""A paused tap: its time goes on, and nothing of what comes meanwhile is anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.engine.media.harness import PCMA, Bench, assert_in_place, find, ramp
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media import sealing
from voiceblocks.engine.media.pauses import Pauses
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.recordings.sealed import unseal
from voiceblocks.recordings.sealed_spool import read_sealed
from voiceblocks.recordings.spool import SILENCE_BYTE, SpoolReader, open_spool

PRIVATE = X25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()

BEFORE, PAUSED, AFTER = range(20), range(20, 50), range(50, 80)
"Packets of 20 ms."


@pytest.fixture(autouse=True)
def _dumps_stay_as_they_are() -> Iterator[None]:
    """The process of the tests is no worker: it may dump core."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealing, "forbid_dumps", lambda: None)
        yield


def nowhere(packets: range, *places: bytes) -> None:
    """No quarter of any of these packets is in one of the places."""
    for packet in packets:
        for at in range(0, 160, 40):
            quarter = ramp(packet)[at : at + 40]
            assert not any(quarter in place for place in places), packet


def ring_of(bench: Bench) -> bytes:
    """All that the arena holds."""
    return (bench.tmp_path / "taps.arena").read_bytes()


def paused_slots(reader: SpoolReader) -> int:
    """How many slots say that they were paused."""
    return int(np.count_nonzero(reader.paused(0, reader.n_slots())))


@pytest.mark.parametrize("fmt_law", ["PCMU", "PCMA"])
def test_what_is_said_in_a_pause_is_in_no_ring_and_no_spool(bench: Bench, fmt_law: str) -> None:
    """Before and after it every sample is in its place, and its time is told as no loss."""
    peer = bench.open()
    bench.record(law=fmt_law)
    law_is_the_leg_s = fmt_law == "PCMU"
    bench.talk(peer, len(BEFORE))
    bench.pause()
    bench.pause()
    bench.talk(peer, len(PAUSED), first=PAUSED.start)
    nowhere(PAUSED, ring_of(bench))
    bench.pause(paused=False)
    bench.pause(paused=False)
    bench.talk(peer, len(AFTER), first=AFTER.start)
    bench.close_tap()
    audio = bench.audio()
    stats = bench.stats()
    assert len(audio) == 80 * 160
    silent = audio[PAUSED.start * 160 : PAUSED.stop * 160]
    assert set(silent) == {SILENCE_BYTE[fmt_law]}
    nowhere(PAUSED, ring_of(bench), audio.tobytes())
    if law_is_the_leg_s:
        assert find(audio, 0) == 0
        assert_in_place(audio, [*BEFORE, *AFTER])
    assert (stats.absent_ms, stats.paused_ms, stats.packets_lost) == (0, 600, 0)
    with open_spool(bench.tmp_path / "tap1.spool") as reader:
        assert paused_slots(reader) == len(PAUSED)


def test_a_pause_begins_and_ends_at_the_sample(bench: Bench) -> None:
    """Packets across its edges are cut there, and what word of it came late for is gone."""
    peer = bench.open()
    bench.talk(peer, 10)
    bench.record()
    bench.talk(peer, 20, first=10)
    # 15 ms ago a packet was being spoken that is in the ring by now.
    bench.pause(ago=0.015)
    bench.talk(peer, 20, first=30)
    bench.tick()
    bench.pause(paused=False, ago=0.005)
    bench.tick()
    peer.send(peer.packet(ramp(50)))
    bench.talk(peer, 10, first=51)
    bench.close_tap()
    audio = bench.audio()
    begins = 20 * 160 - 120
    assert audio[:begins].tobytes() == b"".join(map(ramp, range(10, 30)))[:-120]
    after = audio.tobytes().index(ramp(51))
    silent = audio[begins : after - 120]
    assert set(silent[:-160]) == {0xFF}
    assert ramp(50)[80:] in audio.tobytes()
    assert bench.stats().packets_lost == 0
    assert abs(bench.stats().paused_ms - (len(silent) / 8)) <= 20


def test_what_is_late_from_before_a_pause_is_kept(bench: Bench) -> None:
    """Reordering has no influence: a packet belongs where it was spoken."""
    peer = bench.open()
    bench.talk(peer, 10)
    bench.record()
    held = []

    def hold_two(index: int, data: bytes) -> list[bytes]:
        if index in (17, 19):
            held.append(data)
            return []
        return [data]

    bench.talk(peer, 20, first=10, deliver=hold_two)
    bench.pause()
    bench.talk(peer, 3, first=30)
    for data in held:
        peer.send(data)
    bench.talk(peer, 10, first=33)
    bench.pause(paused=False)
    bench.talk(peer, 10, first=43)
    bench.close_tap()
    audio = bench.audio()
    assert_in_place(audio, [*range(10, 30), *range(43, 53)])
    nowhere(range(30, 43), audio.tobytes())


def test_both_sides_of_a_leg_are_paused(bench: Bench) -> None:
    """What is sent meanwhile is gone, too; later it is tapped the quick way again."""
    peer = bench.open()
    clip = bench.tmp_path / "clip"
    clip.write_bytes(b"".join(map(ramp, range(200))))
    bench.talk(peer, 10)
    bench.record(tap=1)
    bench.record(tap=2, outgoing=True)
    bench.obey(m.StartSource(1, 9, [str(clip)]))
    for paused in (False, True, False):
        for tap in (1, 2):
            bench.pause(tap=tap, paused=paused)
        bench.talk(peer, 25, first=1000)
    for tap in (1, 2):
        bench.close_tap(tap)
    sent = bench.audio(2)
    begins = find(sent, 0)
    assert begins >= 0
    said = [packet for packet in range(72) if find(sent, packet) >= 0]
    assert_in_place(sent, said)
    missing = set(range(72)) - set(said)
    nowhere(range(min(missing) + 1, max(missing)), ring_of(bench))
    assert missing == set(range(min(missing), max(missing) + 1))
    assert 24 <= len(missing) <= 27
    assert bench.stats(2).paused_ms == bench.stats(1).paused_ms == 500
    assert bench.stats(2).absent_ms == 0


def test_a_leg_that_moves_stays_paused(bench: Bench) -> None:
    """In another worker it is still paused, and it is that one that goes on."""
    other = Bench(bench.tmp_path, bench.arena)
    peer = bench.open()
    bench.talk(peer, 10)
    bench.record()
    bench.talk(peer, 10, first=10)
    bench.pause()
    bench.talk(peer, 10, first=20)
    bench.obey(m.DetachLeg(1))
    (detached, fds) = bench.detached.pop()
    other.now = bench.now - 0.01
    other.tick()
    other.obey(m.AttachLeg(1, detached.state), *fds)
    other.talk(peer, 10, first=30)
    other.pause(paused=False)
    other.talk(peer, 10, first=40)
    other.close_tap()
    bench.events += other.events
    audio = bench.audio()
    assert len(audio) == 40 * 160
    assert_in_place(audio, [*range(10, 20), *range(40, 50)])
    nowhere(range(20, 40), audio.tobytes(), ring_of(bench))
    assert (bench.stats().absent_ms, bench.stats().paused_ms) == (0, 400)
    other.close()


def test_silence_before_a_pause_is_still_absent(bench: Bench) -> None:
    """A pause excuses nothing but itself."""
    peer = bench.open()
    bench.talk(peer, 10)
    bench.record()
    bench.talk(peer, 10, first=10, deliver=lambda _index, _data: [])
    bench.pause()
    bench.tick(40)
    bench.close_tap()
    stats = bench.stats()
    assert (stats.absent_ms, stats.paused_ms) == (200, 400)
    assert len(bench.audio()) == 30 * 160


def test_a_pause_longer_than_the_ring(bench: Bench) -> None:
    """The ring goes round in it; the spool shows every slot of it as paused."""
    peer = bench.open()
    bench.talk(peer, 10)
    bench.record()
    bench.talk(peer, 10, first=10)
    bench.pause()
    bench.tick(2400)
    bench.pause(paused=False)
    peer.pause(2400 * 80)
    bench.talk(peer, 10, first=20)
    bench.close_tap()
    audio = bench.audio()
    assert len(audio) == 1220 * 160
    assert find(audio, 20) == 1210 * 160
    assert bench.stats().absent_ms == 0
    with open_spool(bench.tmp_path / "tap1.spool") as reader:
        assert paused_slots(reader) == 1200


def test_a_worker_that_dies_while_paused(bench: Bench) -> None:
    """What is salvaged is as long as the time that passed, silent in the pause, and says so."""
    peer = bench.open()
    bench.talk(peer, 10)
    bench.record()
    bench.talk(peer, 10, first=10)
    bench.pause()
    bench.talk(peer, 30, first=20)
    bench.kept.pop(1).spool.close()
    salvage(bench.tmp_path, bench.tmp_path)
    with open_spool(bench.tmp_path / "tap1.spool") as reader:
        assert abs((reader.n_final() or 0) - 40 * 160) <= 160
        audio = reader.payload(0, reader.n_slots())
        assert paused_slots(reader) >= 29
    assert_in_place(audio, list(range(10, 20)))
    nowhere(range(20, 50), audio.tobytes())


def test_a_limit_and_a_key_still_end_it(bench: Bench) -> None:
    """The end is where it would have been without a pause."""
    peer = bench.open()
    bench.talk(peer, 10)
    bench.record(limit=8000)
    bench.talk(peer, 10, first=10)
    bench.pause()
    bench.talk(peer, 70, first=20)
    (closed,) = bench.of(m.TapClosed)
    assert (closed.n_samples, closed.limit_reached) == (8000, True)
    assert (closed.stats.absent_ms, closed.stats.paused_ms) == (0, 800)
    bench.record(tap=2)
    bench.talk(peer, 10, first=90)
    bench.pause(tap=2)
    bench.talk(peer, 20, first=100)
    bench.close_tap(2, timestamp=peer.timestamp - 5 * 160)
    assert len(bench.audio(2)) == 25 * 160
    assert bench.stats(2).paused_ms == 300


@pytest.mark.parametrize("fmt", [None, PCMA])
def test_a_sealed_tap_is_paused(bench: Bench, fmt: m.Format | None) -> None:
    """Who has the key hears silence there, who has not sees no gap, and no length is lost."""
    peer = bench.open() if fmt is None else bench.open(fmt)
    law = "PCMU" if fmt is None else fmt.codec
    bench.record(seal_for=PUBLIC, law=law)
    bench.talk(peer, len(BEFORE))
    bench.pause()
    bench.talk(peer, len(PAUSED), first=PAUSED.start)
    bench.pause(paused=False)
    bench.talk(peer, len(AFTER), first=AFTER.start)
    bench.close_tap()
    path = bench.complete()
    told = unseal(path.read_bytes(), PRIVATE.private_bytes_raw())
    assert told.audio[: 20 * 160].tobytes() == b"".join(map(ramp, BEFORE))
    assert set(told.audio[20 * 160 : 50 * 160]) == {SILENCE_BYTE[law]}
    assert told.audio[50 * 160 :].tobytes() == b"".join(map(ramp, AFTER))
    assert read_sealed(path).absent_ms == 0
    assert (bench.stats().absent_ms, bench.stats().paused_ms) == (0, 600)


def test_a_command_for_a_tap_that_is_gone_is_ignored(bench: Bench) -> None:
    """It was on its way when the tap ended."""
    bench.open()
    bench.pause()
    bench.obey(m.PauseTap(77, 1, bench.now, True))
    bench.tick()


@given(
    st.lists(st.integers(1, 400), max_size=12),
    st.integers(0, 3000),
    st.integers(0, 400),
    st.booleans(),
)
def test_each_sample_is_heard_or_paused(
    steps: list[int], first: int, length: int, ends_paused: bool
) -> None:
    """For any pauses and any packet: what is heard of it is what lies in none of them."""
    pauses = Pauses()
    now, spans = 0, []
    for index, step in enumerate(steps):
        now += step
        if index % 2 == 0:
            pauses.begin(now)
            spans.append([now, 1 << 40])
        else:
            pauses.end(now)
            spans[-1][1] = now
    if pauses.is_open and not ends_paused:
        pauses.end(now + 50)
        spans[-1][1] = now + 50
    after = first + length
    expected = [place for place in range(first, after) if not any(a <= place < b for a, b in spans)]
    heard = [place for a, b in pauses.heard(first, after) for place in range(a, b)]
    assert heard == expected
    assert pauses.samples_until(after) == sum(max(0, min(b, after) - a) for a, b in spans)
    is_paused, until = pauses.window(first)
    assert until > first
    assert {any(a <= p < b for a, b in spans) for p in range(first, min(until, first + 500))} == {
        is_paused
    }
