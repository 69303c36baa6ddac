"""A media plane with real processes, and a peer with a real socket that sends what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from voiceblocks.engine.media.messages import Format
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.recordings.spool import open_spool
from voiceblocks.rtp.packet import RtpPacket

PCMU = Format("PCMU", 0, event_payload_type=101, comfort_noise_payload_type=13)
PCMA = Format("PCMA", 8, event_payload_type=101)


@functools.cache
def ramp(packet: int, length: int = 160) -> bytes:
    """A payload that names its packet: no two within 8 s are alike, none looks like silence."""
    values = np.random.default_rng(packet).integers(0, 120, length)
    return values.astype(np.uint8).tobytes()


def audio_of(path: Path, n_samples: int) -> np.ndarray:
    """All samples of a spool."""
    with open_spool(path) as reader:
        assert reader.n_final() == n_samples
        return reader.payload(0, reader.n_slots())[:n_samples]


def find(audio: np.ndarray, packet: int, length: int = 160) -> int:
    """The sample position of a ramp packet, -1 where it is nowhere."""
    return audio.tobytes().find(ramp(packet, length))


class Peer:
    """A phone's RTP socket. Sends on a 20 ms clock against absolute deadlines."""

    def __init__(self, leg_address: tuple[str, int]) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.target = leg_address
        self.address: tuple[str, int] = self.sock.getsockname()
        self.ssrc = 0x1234
        self.sequence = 65_500
        self.timestamp = 0xFFFF_FF00
        self.payload_type = 0
        self._next_at = 0.0
        self.heard: list[RtpPacket] = []
        asyncio.get_running_loop().add_reader(self.sock.fileno(), self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard.append(RtpPacket.parse(self.sock.recv(2048)))

    def packet(self, payload: bytes, *, advance: bool = True, **changes: object) -> bytes:
        """The next packet of the stream."""
        fields: dict[str, object] = {
            "payload_type": self.payload_type,
            "sequence": self.sequence,
            "timestamp": self.timestamp,
            "ssrc": self.ssrc,
            "payload": payload,
        }
        fields.update(changes)
        if advance:
            self.sequence = (self.sequence + 1) & 0xFFFF
            self.timestamp = (self.timestamp + len(payload)) & 0xFFFFFFFF
        return RtpPacket(**fields).serialize()  # type: ignore[arg-type]

    def send(self, data: bytes) -> None:
        """Send one datagram to the leg."""
        self.sock.sendto(data, self.target)

    async def wait(self, samples: int) -> None:
        """Let time pass (DTX: the timestamp goes on); then until the next packet is due."""
        loop = asyncio.get_running_loop()
        if self._next_at < loop.time() - 1:
            self._next_at = loop.time()
        self._next_at += samples / 8000
        self.timestamp = (self.timestamp + samples) & 0xFFFFFFFF
        delay = self._next_at - loop.time()
        if delay > 0:
            await asyncio.sleep(delay)

    async def talk(
        self,
        count: int,
        *,
        first: int = 0,
        length: int = 160,
        deliver: Callable[[int, bytes], list[bytes]] | None = None,
    ) -> None:
        """
        Send `count` ramp packets, one each `length` samples of time.

        `deliver(i, datagram)` says which datagrams leave instead, for loss and reordering.
        """
        for index in range(count):
            await self.wait(0)
            self._next_at += length / 8000
            data = self.packet(ramp(first + index, length))
            for datagram in [data] if deliver is None else deliver(index, data):
                self.send(datagram)

    def close(self) -> None:
        """Close the socket."""
        asyncio.get_running_loop().remove_reader(self.sock.fileno())
        self.sock.close()


@pytest.fixture
async def peers() -> AsyncIterator[Callable[[tuple[str, int]], Peer]]:
    """Make peers that are closed afterwards."""
    made: list[Peer] = []

    def make(address: tuple[str, int]) -> Peer:
        made.append(Peer(address))
        return made[-1]

    yield make
    for peer in made:
        peer.close()


@pytest.fixture
async def make_plane(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Start planes that are stopped afterwards."""
    planes: list[MediaPlane] = []

    async def make(workers: int = 1, capacity: int = 10) -> MediaPlane:
        plane = MediaPlane(
            workers=workers,
            ring_dir=tmp_path / "rings",
            spool_dir=tmp_path / "spools",
            ports=range(0),
            capacity_per_worker=capacity,
            cname="test@voiceblocks",
        )
        planes.append(plane)
        await plane.start()
        return plane

    yield make
    for plane in planes:
        await plane.stop()


@pytest.fixture
async def plane(make_plane: Callable[..., object]) -> MediaPlane:
    """One worker and a keeper."""
    return await make_plane()  # type: ignore[misc]
