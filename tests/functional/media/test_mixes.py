"""Mixes with real workers: legs that come from another one, and a worker that dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import numpy as np
import pytest

from tests.functional.media.conftest import PCMU, Peer
from voiceblocks.audio.g711 import ulaw_decode, ulaw_encode
from voiceblocks.audio.level import goertzel_level_dbfs
from voiceblocks.engine.media.handles import MediaLeg
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.errors import ContractViolation

HOST = "127.0.0.1"


def tone(frequency_hz: float, start: int) -> bytes:
    """20 ms of it."""
    times = (start + np.arange(160)) / 8000
    samples = np.rint(8000 * np.sin(2 * np.pi * frequency_hz * times)).astype(np.int16)
    return ulaw_encode(samples).tobytes()


async def say(peer: Peer, frequency_hz: float, packets: int) -> None:
    """Send a tone at its pace."""
    for index in range(packets):
        await peer.wait(0)
        peer._next_at += 0.02
        peer.send(peer.packet(tone(frequency_hz, index * 160)))


async def open_leg(plane: MediaPlane, peers: Callable[..., Peer], worker: int):
    """A leg in a certain worker, and its phone."""
    leg = await plane.open_leg(host=HOST, format=None)
    await leg.move_to(plane.worker(worker))
    peer = peers(leg.address)
    leg.update(format=PCMU, remote=peer.address, remote_rtcp=None)
    return leg, peer


def audio(peer: Peer) -> np.ndarray:
    """What a phone heard, decoded."""
    return ulaw_decode(np.frombuffer(b"".join(p.payload for p in peer.heard), np.uint8))


async def test_a_leg_of_another_worker_joins_without_a_gap(make_plane, peers):
    """It moves, sends without a gap in its numbers or its time, and is heard and hears."""
    plane = await make_plane(workers=2)
    first, first_peer = await open_leg(plane, peers, 0)
    second, second_peer = await open_leg(plane, peers, 1)
    mix = plane.open_mix(beside=first)
    await mix.join(first)
    arrivals: list[float] = []
    loop = asyncio.get_running_loop()
    talking = asyncio.gather(say(first_peer, 600, 100), say(second_peer, 1500, 100))

    def readable() -> None:
        before = len(second_peer.heard)
        second_peer._readable()
        arrivals.extend([loop.time()] * (len(second_peer.heard) - before))

    loop.remove_reader(second_peer.sock.fileno())
    loop.add_reader(second_peer.sock.fileno(), readable)
    await asyncio.sleep(0.5)
    joined_at = loop.time()
    await mix.join(second)
    assert second.link is first.link
    await talking
    sequences = [packet.sequence for packet in second_peer.heard]
    assert np.all(np.diff(sequences) % 65536 == 1)
    around = [at for at in arrivals if abs(at - joined_at) < 0.4]
    # 20 ms are the pace.
    assert max(np.diff(around)) < 0.02 + 0.04
    # From joining on each hears the other all the time.
    heard = audio(first_peer)
    loud = np.abs(heard[: len(heard) // 160 * 160].reshape(-1, 160)).max(axis=1) > 2000
    start = int(np.argmax(loud))
    assert loud[start : start + 60].all()
    assert goertzel_level_dbfs(heard[-6000:-2000], 1500) > -20
    assert goertzel_level_dbfs(heard[-6000:-2000], 600) < -45
    assert goertzel_level_dbfs(audio(second_peer)[-6000:-2000], 600) > -20
    mix.close()
    assert mix.legs == ()


async def test_a_worker_that_dies_takes_its_mixes_along(make_plane, peers):
    """Each leg is told; a mix of another worker goes on."""
    plane = await make_plane(workers=2)
    legs: list[MediaLeg] = []
    lost: list[int] = []
    both = asyncio.Event()

    def note(ident: int) -> None:
        lost.append(ident)
        if len(lost) == 2:
            both.set()

    for worker in (0, 0, 1):
        leg, _peer = await open_leg(plane, peers, worker)
        leg.on_lost(lambda ident=leg.ident: note(ident))
        legs.append(leg)
    mix, other = plane.open_mix(beside=legs[0]), plane.open_mix(beside=legs[2])
    for leg in legs[:2]:
        await mix.join(leg)
    await other.join(legs[2])
    os.kill(plane.stats().workers[0].pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        await both.wait()
    assert sorted(lost) == [legs[0].ident, legs[1].ident]
    assert mix.legs == ()
    assert other.legs == (legs[2],)
    with pytest.raises(ContractViolation):
        await mix.join(legs[0])
