"""Recording through real sockets and real processes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path

from tests.functional.media.conftest import PCMU, Peer, audio_of, find, ramp
from voiceblocks.engine.media.messages import DigitReceived
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.rtp.telephone_event import TelephoneEvent

PeerFactory = Callable[[tuple[str, int]], Peer]


async def test_a_finishing_digit_ends_the_recording_exactly_at_its_timestamp(
    plane: MediaPlane, peers: PeerFactory
):
    """Every packet lies at its own position, and nothing of or after the digit is in it."""
    leg = await plane.open_leg(host="127.0.0.1", format=PCMU)
    peer = peers(leg.address)
    leg.update(format=PCMU, remote=peer.address, remote_rtcp=None)
    digits: asyncio.Queue[DigitReceived] = asyncio.Queue()
    leg.on_digit(digits.put_nowait)
    await peer.talk(10)
    tap = leg.record("one", law="PCMU")
    await peer.talk(50, first=10)
    event = TelephoneEvent(11, False, 10, 160).serialize()
    for repeat in range(3):
        peer.send(peer.packet(event, advance=False, payload_type=101, marker=repeat == 0))
        peer.sequence = (peer.sequence + 1) & 0xFFFF
    digit = await asyncio.wait_for(digits.get(), 5)
    assert digit.digit == "#"
    tap.close(at=digit.at, at_timestamp=digit.timestamp)
    result = await asyncio.wait_for(tap.closed(), 5)
    audio = audio_of(result.spool_path, result.n_samples)
    # Exact positions are proved on a made-up clock; a busy machine may make the worker slew here.
    first = next(packet for packet in range(9, 13) if find(audio, packet) >= 0)
    assert abs(result.n_samples - (60 - first) * 160) <= 160
    for packet in range(first, 60):
        assert audio.tobytes().find(ramp(packet)[8:-8]) >= 0, packet
    assert digits.empty()
    assert not result.limit_reached
    assert not result.lost_worker
    assert result.stats.packets_lost == 0
    await leg.close()


async def test_a_prompt_plays_while_the_caller_is_recorded(
    plane: MediaPlane, peers: PeerFactory, tmp_path: Path
):
    """Clips leave one after another, whole, in the leg's stream, with silence around them."""
    clip = tmp_path / "clip"
    clip.write_bytes(ramp(1) + ramp(2)[:80])
    beep = tmp_path / "beep"
    beep.write_bytes(ramp(3))
    leg = await plane.open_leg(host="127.0.0.1", format=PCMU)
    peer = peers(leg.address)
    leg.update(format=PCMU, remote=peer.address, remote_rtcp=None)
    tap = leg.record("two", law="PCMU", limit_ms=500)
    await peer.talk(5)
    playback = leg.play([clip, beep])
    assert await asyncio.wait_for(playback.wait(), 5)
    await peer.talk(5)
    result = await asyncio.wait_for(tap.closed(), 5)
    assert result.n_samples == 4000
    assert result.limit_reached
    heard = b"".join(packet.payload for packet in peer.heard)
    whole = ramp(1) + ramp(2)[:80] + ramp(3)
    assert whole + b"\xff" * 80 in heard
    assert set(heard.replace(whole, b"")) == {0xFF}
    sequences = [packet.sequence for packet in peer.heard]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    stamps = [packet.timestamp for packet in peer.heard]
    assert {(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(stamps)} == {160}
    await leg.close()
