"""A worker on a made-up clock, with real sockets and a peer that sends what it is told.

Loopback delivers at once, so a test that runs the ticks itself is exact and quick.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.keeper import KeptRow, keep_row
from voiceblocks.engine.media.ports import PortPool
from voiceblocks.engine.media.ring import Arena
from voiceblocks.engine.media.sealing import SealedRow
from voiceblocks.engine.media.worker import Worker
from voiceblocks.engine.media.worker_loop import TICK_S
from voiceblocks.recordings.spool import open_spool
from voiceblocks.rtp.packet import RtpPacket

PCMU = m.Format("PCMU", 0, event_payload_type=101, comfort_noise_payload_type=13)
PCMA = m.Format("PCMA", 8, event_payload_type=101)
UTC_US = 1_700_000_000_000_000

Deliver = Callable[[int, bytes], list[bytes]]


@functools.cache
def ramp(packet: int, length: int = 160) -> bytes:
    """A payload that names its packet; none looks like silence."""
    values = np.random.default_rng(packet).integers(0, 120, length)
    return values.astype(np.uint8).tobytes()


def find(audio: np.ndarray, packet: int, length: int = 160) -> int:
    """The sample position of a packet, -1 where it is nowhere."""
    return audio.tobytes().find(ramp(packet, length))


def assert_in_place(audio: np.ndarray, packets: list[int], length: int = 160) -> None:
    """Each of these packets is at its exact distance from the first of them."""
    first = find(audio, packets[0], length)
    assert first >= 0
    for packet in packets:
        assert find(audio, packet, length) - first == (packet - packets[0]) * length, packet


class Peer:
    """A phone's RTP socket."""

    def __init__(self, target: tuple[str, int], fmt: m.Format = PCMU) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.address: tuple[str, int] = self.sock.getsockname()
        self.target = target
        self.payload_type = fmt.payload_type
        self.ssrc, self.sequence, self.timestamp = 0x1234, 65_500, 0xFFFF_FF00
        self.heard: list[RtpPacket] = []

    def packet(self, payload: bytes, *, advance: bool = True, **changes: Any) -> bytes:
        """The next packet of the stream."""
        fields = {
            "payload_type": self.payload_type,
            "sequence": self.sequence,
            "timestamp": self.timestamp,
            "ssrc": self.ssrc,
            "payload": payload,
        }
        data = RtpPacket(**{**fields, **changes}).serialize()
        self.sequence = (self.sequence + 1) & 0xFFFF
        if advance:
            self.pause(len(payload))
        return data

    def pause(self, samples: int) -> None:
        """Let the timestamp go on."""
        self.timestamp = (self.timestamp + samples) & 0xFFFFFFFF

    def send(self, data: bytes) -> None:
        """Send one datagram to the leg."""
        with contextlib.suppress(ConnectionRefusedError):
            self.sock.sendto(data, self.target)

    def listen(self) -> list[RtpPacket]:
        """Take what has come."""
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                self.heard.append(RtpPacket.parse(self.sock.recv(2048)))
        return self.heard


class Bench:
    """One worker, its arena, and the spools of its rows."""

    def __init__(self, tmp_path: Path, arena: Arena | None = None) -> None:
        self.tmp_path = tmp_path
        self.arena = arena or Arena.create(tmp_path / "taps.arena", 8)
        self.events: list[Any] = []
        self.detached: list[tuple[m.LegDetached, list[int]]] = []
        self.worker = Worker(self.arena, 8, self._report)
        self.now = 1000.0
        self.tick_number = 0
        self.kept: dict[int, KeptRow | SealedRow] = {}
        self.peers: list[Peer] = []
        self.tick()

    def _report(self, event: Any, fds: Any = ()) -> None:
        self.events.append(event)
        if isinstance(event, m.LegDetached):
            self.detached.append((event, [os.dup(fd) for fd in fds]))

    def of(self, kind: type) -> list[Any]:
        """The events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def tick(self, count: int = 1) -> None:
        """Let 10 ms pass, several times."""
        for _ in range(count):
            self.tick_number += 1
            self.now += TICK_S
            utc_us = UTC_US + round(self.now * 1e6)
            self.worker.run_tick(self.tick_number, self.now, utc_us)
            for peer in self.peers:
                peer.listen()
            if self.tick_number % 50 == 0:
                for kept in self.kept.values():
                    kept.append_settled()

    def be_late(self, ticks: int, speak: Callable[[int, float], None]) -> None:
        """
        The worker is held up for some ticks, and makes up for them at once.

        Args:
            ticks: How many.
            speak: Called for each with its number and time, since peers are not held up.
        """
        for ahead in range(ticks):
            speak(self.tick_number + ahead, self.now + (ahead + 1) * TICK_S)
        self.now += ticks * TICK_S
        for _ in range(ticks):
            self.tick_number += 1
            self.worker.run_tick(self.tick_number, self.now, UTC_US + round(self.now * 1e6))
            for peer in self.peers:
                peer.listen()

    def obey(self, command: Any, *fds: int) -> None:
        """Give the worker a command."""
        self.worker.obey(command, list(fds))

    def open(
        self,
        fmt: m.Format = PCMU,
        ident: int = 1,
        *,
        signalled: Callable[[Peer], tuple[str, int] | None] = lambda peer: peer.address,
    ) -> Peer:
        """Open a leg towards a new peer."""
        pair, _port = PortPool(range(0), "127.0.0.1").acquire(0)
        peer = Peer(pair[0].getsockname(), fmt)
        self.rtcp_address = pair[1].getsockname()
        self.peers.append(peer)
        self.obey(
            m.OpenLeg(
                leg=ident,
                format=fmt,
                stream=m.StreamState(ssrc=7, sequence=65_530, timestamp=0xFFFF_FF60),
                remote=signalled(peer),
                remote_rtcp=None,
                send=True,
                receive=True,
                cname="bench@test",
            ),
            *(sock.detach() for sock in pair),
        )
        return peer

    def record(
        self,
        *,
        ident: int = 1,
        tap: int = 1,
        law: str = "PCMU",
        limit: int | None = None,
        outgoing: bool = False,
        seal_for: bytes | None = None,
        after: int | None = None,
    ):
        """Open a tap; its row has the tap's number."""
        name = f"tap{tap}"
        self.arena.reset(tap, name, law, sealed=seal_for is not None)
        path = self.tmp_path / f"{name}.spool"
        self.kept[tap] = keep_row(self.arena, tap, name, path)
        self.obey(m.OpenTap(ident, tap, tap, name, limit, outgoing, seal_for, after))

    def talk(
        self,
        peer: Peer,
        count: int,
        *,
        first: int = 0,
        length: int = 160,
        deliver: Deliver | None = None,
    ) -> None:
        """Send packets at their pace; `deliver` says which datagrams leave instead."""
        for index in range(count):
            # A packet leaves when its audio has been spoken.
            self.tick(length // 80 - 1)
            data = peer.packet(ramp(first + index, length))
            for datagram in [data] if deliver is None else deliver(index, data):
                peer.send(datagram)
            self.tick()

    def close_tap(self, tap: int = 1, ident: int = 1, timestamp: int | None = None) -> None:
        """End a tap now, or at a timestamp."""
        self.obey(m.CloseTap(ident, tap, self.now, timestamp))

    def pause(self, *, tap: int = 1, ident: int = 1, paused: bool = True, ago: float = 0) -> None:
        """Pause a tap from a moment ago on, or resume it."""
        self.obey(m.PauseTap(ident, tap, self.now - ago, paused))

    def audio(self, tap: int = 1) -> np.ndarray:
        """All samples of a tap that was closed, by way of its spool."""
        closed = next(event for event in self.of(m.TapClosed) if event.tap == tap)
        with open_spool(self.complete(tap)) as reader:
            assert reader.n_final() == closed.n_samples
            return reader.payload(0, reader.n_slots())[: closed.n_samples]

    def complete(self, tap: int = 1) -> Path:
        """Complete the spool of a tap that was closed."""
        closed = next(event for event in self.of(m.TapClosed) if event.tap == tap)
        kept = self.kept.pop(tap)
        assert kept.complete(closed.n_samples) == closed.n_samples
        kept.spool.close()
        return kept.spool.path

    def stats(self, tap: int = 1) -> m.TapStats:
        """What the worker said about a tap."""
        stats: m.TapStats = next(e for e in self.of(m.TapClosed) if e.tap == tap).stats
        return stats

    def close(self) -> None:
        """Close everything."""
        self.worker.close()
        for peer in self.peers:
            peer.sock.close()
        for kept in self.kept.values():
            kept.spool.close()
        for _event, fds in self.detached:
            for fd in fds:
                with contextlib.suppress(OSError):
                    os.close(fd)
