"""Any process may die at any instant: what was placed is kept."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.functional.media.conftest import PCMU, Peer, audio_of, find, ramp
from voiceblocks.engine.media import children
from voiceblocks.engine.media import plane as plane_module
from voiceblocks.engine.media.handles import MediaLeg
from voiceblocks.engine.media.messages import Format
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.errors import CapacityExceeded, ContractViolation
from voiceblocks.recordings.spool import open_spool

PeerFactory = Callable[[tuple[str, int]], Peer]
PlaneFactory = Callable[..., Awaitable[MediaPlane]]


async def open_call(plane: MediaPlane, peers: PeerFactory) -> tuple[MediaLeg, Peer]:
    """A leg that has locked on its peer."""
    leg = await plane.open_leg(host="127.0.0.1", format=None)
    peer = peers(leg.address)
    leg.update(format=PCMU, remote=peer.address, remote_rtcp=None)
    await peer.talk(10)
    return leg, peer


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)


async def test_a_killed_worker_loses_its_calls_but_not_their_recordings(
    plane: MediaPlane, peers: PeerFactory
):
    """The tap resolves with what was placed, the leg is told, and a new worker takes calls."""
    leg, peer = await open_call(plane, peers)
    lost = asyncio.Event()
    leg.on_lost(lost.set)
    playback = leg.play([], loop=True)
    tap = leg.record("killed", law="PCMU")
    await peer.talk(60, first=10)
    os.kill(plane.stats().workers[0].pid, signal.SIGKILL)
    result = await asyncio.wait_for(tap.closed(), 10)
    assert result.lost_worker
    audio = audio_of(result.spool_path, result.n_samples)
    last = max(packet for packet in range(70) if find(audio, packet) >= 0)
    assert last >= 64
    assert find(audio, last) == len(audio) - 160
    await asyncio.wait_for(lost.wait(), 5)
    await playback.wait()
    await leg.close()
    await until(lambda: plane.stats().workers[0].is_up)
    again, peer = await open_call(plane, peers)
    tap = again.record("again", law="PCMU")
    await peer.talk(10, first=10)
    tap.close()
    result = await asyncio.wait_for(tap.closed(), 10)
    assert not result.lost_worker
    assert plane.stats().workers[0].restarts == 1
    await again.close()


async def test_a_killed_keeper_costs_nothing(plane: MediaPlane, peers: PeerFactory):
    """The next keeper goes on where the spool ends; the ring holds what came between."""
    leg, peer = await open_call(plane, peers)
    # A stream that is known: where its first packet is late, the rest is moved to its place.
    await peer.talk(10)
    tap = leg.record("kept", law="PCMU")
    await peer.talk(100, first=10)
    os.kill(plane.stats().keeper_pid, signal.SIGKILL)
    await peer.talk(100, first=110)
    tap.close()
    result = await asyncio.wait_for(tap.closed(), 10)
    audio = audio_of(result.spool_path, result.n_samples)
    assert result.stats.packets_lost == 0
    for packet in range(11, 209):
        assert audio.tobytes().find(ramp(packet)[8:-8]) >= 0, packet
    assert 199 * 160 <= result.n_samples <= 203 * 160
    await leg.close()


async def test_salvage_completes_what_a_crash_of_everything_left(
    make_plane: PlaneFactory, peers: PeerFactory, tmp_path: Path
):
    """Every process dies; spools are completed from the ring, and a second run changes nothing."""
    plane = await make_plane()
    leg, peer = await open_call(plane, peers)
    leg.record("crash", law="PCMU")
    await peer.talk(150, first=10)
    stats = plane.stats()
    rescue = tmp_path / "rescue"
    rescue.mkdir()
    os.kill(stats.keeper_pid, signal.SIGKILL)
    os.kill(stats.workers[0].pid, signal.SIGKILL)
    # What a crash would leave: before the plane notices and sends a new keeper to it.
    (rescue / "taps.arena").write_bytes((tmp_path / "rings" / "taps.arena").read_bytes())
    (rescue / "crash.spool").write_bytes((tmp_path / "spools" / "crash.spool").read_bytes())
    with open_spool(rescue / "crash.spool") as reader:
        (rescue / "torn.spool").write_bytes((rescue / "crash.spool").read_bytes()[:-7])
        in_spool = reader.n_slots()
    found = salvage(rescue, rescue)
    assert found["crash"] >= 144 * 160
    assert found["torn"] == max(0, in_spool - 1) * 160
    audio = audio_of(rescue / "crash.spool", found["crash"])
    for packet in range(11, 154):
        assert audio.tobytes().find(ramp(packet)[8:-8]) >= 0, packet
    assert salvage(rescue, rescue) == found


@pytest.mark.parametrize("rounds", [4])
async def test_a_leg_moves_between_workers_while_it_plays_and_records(
    make_plane: PlaneFactory, peers: PeerFactory, tmp_path: Path, rounds: int
):
    """No gap in what the peer hears, and none in what is recorded."""
    plane = await make_plane(workers=2)
    leg, peer = await open_call(plane, peers)
    clip = tmp_path / "clip"
    clip.write_bytes(b"".join(ramp(packet) for packet in range(1000, 1200)))
    tap = leg.record("moving", law="PCMU")
    playback = leg.play([clip])
    for part in range(rounds):
        await asyncio.gather(peer.talk(20, first=10 + part * 20), leg.move((part + 1) % 2))
    await peer.talk(5, first=10 + rounds * 20)
    tap.close()
    result = await asyncio.wait_for(tap.closed(), 10)
    audio = audio_of(result.spool_path, result.n_samples)
    assert result.stats.packets_lost == 0
    recorded = [
        packet
        for packet in range(10, 10 + rounds * 20)
        if audio.tobytes().find(ramp(packet)[8:-8]) >= 0
    ]
    # The tap opens while the first packets come: on a busy machine some are before it.
    assert recorded[0] <= 15
    assert recorded == list(range(recorded[0], 10 + rounds * 20))
    playback.stop()
    assert not await playback.wait()
    await leg.close()
    sequences = [packet.sequence for packet in peer.heard]
    assert sequences == [(sequences[0] + index) & 0xFFFF for index in range(len(sequences))]
    stamps = {packet.timestamp - 160 * index for index, packet in enumerate(peer.heard)}
    assert len({stamp & 0xFFFFFFFF for stamp in stamps}) == 1
    heard = b"".join(packet.payload for packet in peer.heard)
    start = heard.index(ramp(1000))
    played = heard[start:].rstrip(b"\xff")
    assert clip.read_bytes().startswith(played)
    assert len(played) >= 70 * 160


async def test_stopping_the_plane_finishes_open_taps(make_plane: PlaneFactory, peers: PeerFactory):
    """Drain: every tap reaches its spool before the processes go."""
    plane = await make_plane()
    leg, peer = await open_call(plane, peers)
    tap = leg.record("stopped", law="PCMU")
    await peer.talk(10, first=10)
    await plane.stop()
    result = await tap.closed()
    assert result.n_samples >= 9 * 160
    assert not result.lost_worker


async def test_a_hung_worker_is_replaced(
    make_plane: PlaneFactory, peers: PeerFactory, monkeypatch: pytest.MonkeyPatch
):
    """A worker that reports nothing is killed; its calls are told like those of a dead one."""
    monkeypatch.setattr(children, "HUNG_AFTER_S", 2.5)
    monkeypatch.setattr(plane_module, "WATCH_INTERVAL_S", 0.1)
    plane = await make_plane()
    leg, _peer = await open_call(plane, peers)
    lost = asyncio.Event()
    leg.on_lost(lost.set)
    os.kill(plane.stats().workers[0].pid, signal.SIGSTOP)
    await asyncio.wait_for(lost.wait(), 20)
    await until(lambda: plane.stats().workers[0].is_up)
    assert plane.stats().workers[0].restarts == 1


async def test_capacity_keeps_room_for_second_legs(make_plane: PlaneFactory):
    """First legs take 80 % of a worker, a leg beside another one may take the rest."""
    plane = await make_plane(workers=1, capacity=5)
    legs = [await plane.open_leg(host="127.0.0.1", format=PCMU) for _ in range(4)]
    with pytest.raises(CapacityExceeded):
        await plane.open_leg(host="127.0.0.1", format=PCMU)
    second = await plane.open_leg(host="127.0.0.1", format=PCMU, beside=legs[0])
    with pytest.raises(CapacityExceeded):
        await plane.open_leg(host="127.0.0.1", format=PCMU, beside=legs[0])
    await second.close()
    await legs[1].close()
    again = await plane.open_leg(host="127.0.0.1", format=PCMU)
    assert again.link is legs[0].link


async def test_handles_of_a_closed_leg_answer(plane: MediaPlane, tmp_path: Path):
    """Whatever is asked of a leg that was never opened or is closed has an end."""
    leg = await plane.open_leg(host="127.0.0.1", format=None)
    playback = leg.play([tmp_path / "none"])
    tap = leg.record("unopened", law="PCMU")
    with pytest.raises(ContractViolation):
        await leg.move(0)
    await leg.close()
    await leg.close()
    assert not await playback.wait()
    result = await asyncio.wait_for(tap.closed(), 5)
    assert (result.n_samples, result.lost_worker) == (0, False)
    with pytest.raises(ContractViolation):
        leg.record("late", law="PCMU")
    assert not await leg.play([]).wait()
    other = await plane.open_leg(host="127.0.0.1", format=None)
    with pytest.raises(ContractViolation):
        other.record("unopened", law="PCMU")
    with pytest.raises(ContractViolation):
        other.update(format=Format("G729", 18), remote=None, remote_rtcp=None)
    await other.close()
