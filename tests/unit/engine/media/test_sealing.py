"""Sealed taps: the same audio as without a seal, and none of it where anybody else could look."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.engine.media.harness import PCMA, PCMU, Bench, Peer, ramp
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media import sealing
from voiceblocks.engine.media.ring import RING_BYTES, Arena
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.errors import StoreError
from voiceblocks.recordings.sealed import Unsealed, heads, unseal
from voiceblocks.recordings.sealed_spool import SealedSpoolWriter, read_sealed

PRIVATE = X25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()


@pytest.fixture(autouse=True)
def _dumps_stay_as_they_are() -> Iterator[None]:
    """The process of the tests is no worker: it may dump core."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sealing, "forbid_dumps", lambda: None)
        yield


def opened(path: Path) -> Unsealed:
    """What is in a sealed spool."""
    return unseal(path.read_bytes(), PRIVATE.private_bytes_raw())


def nowhere(packets: int, *places: bytes) -> None:
    """None of these packets, not even a half of one, lies in plain in these places."""
    for packet in range(packets):
        for half in (ramp(packet)[:80], ramp(packet)[80:]):
            assert not any(half in place for place in places), packet


def test_what_is_sealed_is_what_was_said(bench: Bench) -> None:
    """Every sample comes out, and the ring and the spool never held one of them."""
    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    bench.talk(peer, 300)
    nowhere(300, (bench.tmp_path / "taps.arena").read_bytes())
    bench.close_tap()
    path = bench.complete()
    nowhere(300, (bench.tmp_path / "taps.arena").read_bytes(), path.read_bytes())
    told = opened(path)
    assert told.audio.tobytes() == b"".join(map(ramp, range(300)))
    assert (told.has_end, told.lost_boxes) == (True, 0)
    assert told.header.zero_us == pytest.approx(1_700_000_000_000_000 + 1_000_020_000, abs=30_000)
    assert max(head.size for _, head in heads(memoryview(path.read_bytes()))) <= 800


@settings(max_examples=15, deadline=None)
@given(
    fates=st.lists(st.sampled_from(["come", "come", "come", "lose", "swap", "twice"]), max_size=60),
    length=st.sampled_from([80, 160, 240, 1600]),
    fmt=st.sampled_from([PCMU, PCMA]),
    cut=st.booleans(),
)
def test_the_seal_changes_no_sample(
    fates: list[str], length: int, fmt: m.Format, cut: bool
) -> None:
    """Whatever is lost, late or doubled: the same samples as a plain tap that heard the same."""
    told = []
    for seal_for in (None, PUBLIC):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder))
            peer = bench.open(fmt)
            bench.record(law="PCMU", seal_for=seal_for)
            timestamp = _talk_with_fates(bench, peer, fates, length)
            bench.close_tap(timestamp=timestamp if cut else None)
            told.append((_audio(bench, seal_for), bench.stats()))
            bench.close()
    assert told[0] == told[1]


def _talk_with_fates(bench: Bench, peer: Peer, fates: list[str], length: int) -> int:
    waiting: list[bytes] = []
    timestamp = peer.timestamp

    def deliver(index: int, data: bytes) -> list[bytes]:
        nonlocal timestamp
        if index == len(fates) // 2:
            timestamp = peer.timestamp
        match fates[index]:
            case "lose":
                return []
            case "swap":
                waiting.append(data)
                return []
            case "twice":
                return [data, data]
        late, waiting[:] = list(waiting), []
        return [data, *late]

    bench.talk(peer, len(fates), length=length, deliver=deliver)
    return timestamp


def _audio(bench: Bench, seal_for: bytes | None) -> bytes:
    if seal_for is None:
        return bench.audio().tobytes()
    return opened(bench.complete()).audio.tobytes()


def test_a_finishing_key_cuts_exactly(bench: Bench) -> None:
    """What was sealed before the key was understood is behind the end, and is not given out."""
    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    bench.talk(peer, 50)
    timestamp = peer.timestamp
    bench.talk(peer, 100, first=50)
    bench.kept[1].append_settled()
    bench.close_tap(timestamp=timestamp)
    path = bench.complete()
    assert opened(path).audio.tobytes() == b"".join(map(ramp, range(50)))
    assert read_sealed(path).extent.n_samples == 50 * 160


def test_a_limit_ends_it(bench: Bench) -> None:
    """The longest duration is kept to the sample."""
    peer = bench.open()
    bench.record(limit=40 * 160 + 40, seal_for=PUBLIC)
    bench.talk(peer, 80)
    assert (
        opened(bench.complete()).audio.tobytes() == b"".join(map(ramp, range(41)))[: 40 * 160 + 40]
    )


def test_plain_taps_beside_it_are_as_they_were(bench: Bench) -> None:
    """Another leg's recording without a seal is not touched by one with."""
    sealed_peer, plain_peer = bench.open(), bench.open(ident=2)
    bench.record(seal_for=PUBLIC)
    bench.record(ident=2, tap=2)
    for packet in range(600):
        sealed_peer.send(sealed_peer.packet(ramp(packet)))
        plain_peer.send(plain_peer.packet(ramp(1000 + packet)))
        bench.tick(2)
    bench.close_tap()
    bench.close_tap(tap=2, ident=2)
    sealed_audio, plain_audio = opened(bench.complete()).audio, bench.audio(tap=2)
    assert b"".join(map(ramp, range(2, 598))) in sealed_audio.tobytes()
    assert b"".join(map(ramp, range(1002, 1598))) in plain_audio.tobytes()


def test_a_leg_that_moves_takes_its_seal_along(bench: Bench, tmp_path: Path) -> None:
    """One recording, one key, no number used twice."""
    other = Bench(tmp_path, bench.arena)
    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    bench.talk(peer, 50)
    bench.obey(m.DetachLeg(1))
    detached, fds = bench.detached.pop()
    other.now = bench.now - 0.01
    other.tick()
    other.obey(m.AttachLeg(1, detached.state), *fds)
    other.talk(peer, 50, first=50)
    other.close_tap()
    bench.events += other.events
    told = opened(bench.complete())
    other.close()
    assert told.audio.tobytes() == b"".join(map(ramp, range(100)))
    assert told.lost_boxes == 0


def test_a_killed_worker_costs_nothing_that_it_had_heard(bench: Bench) -> None:
    """The ring outlives it; the file says nothing of an end, and has each packet."""
    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    bench.talk(peer, 120)
    kept = bench.kept.pop(1)
    kept.spool.close()
    # Nobody tells the worker: it is dead.
    found = salvage(bench.tmp_path, bench.tmp_path)
    assert found == {"tap1": 120 * 160}
    assert salvage(bench.tmp_path, bench.tmp_path) == found
    told = opened(bench.tmp_path / "tap1.spool")
    assert told.audio.tobytes() == b"".join(map(ramp, range(120)))
    assert not told.has_end


def test_a_keeper_that_dies_is_followed_by_another(bench: Bench) -> None:
    """Also one that died within a write: it goes on after the last whole box."""
    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    bench.talk(peer, 60)
    first = bench.kept.pop(1)
    first.append_settled()
    first.spool.close()
    path = first.spool.path
    os.truncate(path, path.stat().st_size - 7)
    bench.talk(peer, 60, first=60)
    bench.kept[1] = sealing.SealedRow(bench.arena, 1, "tap1", SealedSpoolWriter(path))
    bench.close_tap()
    told = opened(bench.complete())
    assert told.audio.tobytes() == b"".join(map(ramp, range(120)))
    assert told.lost_boxes == 0


def test_a_disk_that_is_full_for_a_while_costs_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring holds on for seconds."""

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    bench.talk(peer, 20)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        bench.talk(peer, 280, first=20)
        assert bench.kept[1].broken
    bench.close_tap()
    assert opened(bench.complete()).audio.tobytes() == b"".join(map(ramp, range(300)))


def test_a_ring_that_nobody_reads_loses_its_oldest_boxes(bench: Bench) -> None:
    """What is gone is known as lost and silent; what is left is in its place."""
    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    kept = bench.kept.pop(1)
    bench.talk(peer, 900)
    bench.close_tap()
    bench.kept[1] = kept
    told = opened(bench.complete())
    held = RING_BYTES // 192
    assert told.lost_boxes == pytest.approx(901 - held, abs=3)
    lost = told.lost_boxes - 1
    assert np.all(told.audio[: lost * 160] == 0xFF)
    assert told.audio[lost * 160 :].tobytes() == b"".join(map(ramp, range(lost, 900)))
    assert read_sealed(bench.tmp_path / "tap1.spool").absent_ms == lost * 20


def test_facts_without_a_key(bench: Bench) -> None:
    """Length and what is absent are known to who cannot hear it."""
    peer = bench.open()
    bench.record(seal_for=PUBLIC)
    bench.talk(peer, 50)
    peer.pause(30 * 160)
    bench.tick(60)
    bench.talk(peer, 50, first=50)
    bench.close_tap()
    facts = read_sealed(bench.complete())
    assert facts.extent.n_samples == 130 * 160
    assert facts.absent_ms == 600 == bench.stats().absent_ms


def test_what_is_no_sealed_spool_is_refused(tmp_path: Path) -> None:
    """Neither continued nor read."""
    path = tmp_path / "other.spool"
    for content in (b"", b"short", b"no spool at all, but long enough for a header" * 3):
        path.write_bytes(content)
        with pytest.raises(StoreError):
            read_sealed(path)
    with pytest.raises(StoreError):
        SealedSpoolWriter(path)


def test_a_row_is_plain_again_for_the_next_tap(tmp_path: Path) -> None:
    """Nothing of a seal is left in a row that another recording gets."""
    arena = Arena.create(tmp_path / "one.arena", 2)
    arena.reset(1, "sealed", "PCMA", sealed=True)
    assert (arena.is_sealed(1), arena.law_of(1)) == (True, "PCMA")
    arena.reset(1, "plain", "PCMA")
    assert (arena.is_sealed(1), arena.law_of(1)) == (False, "PCMA")
    arena.close()
