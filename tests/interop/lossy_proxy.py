"""A UDP wire that loses datagrams by a seeded pattern, the same in every run."""

from __future__ import annotations

import asyncio
import random
from types import TracebackType
from typing import Any, Self


class LossyProxy:
    """
    Stands between one peer and our server; each way loses its own pattern.

    The peer sends to `near`; the server sees `far` as the peer's address, and what it
    sends there reaches the peer.

    Args:
        server: `HOST:PORT` of our SIP.
        loss: Share of datagrams that are lost each way, 0 to 1.
        seed: Of the pattern.
    """

    def __init__(self, server: str, *, loss: float, seed: int) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._loss = loss
        self._upstream = random.Random(seed)
        self._downstream = random.Random(seed + 1)
        self._peer: tuple[str, int] | None = None
        self.passed = 0
        "Datagrams that got through, both ways."
        self.lost = 0
        "Datagrams that did not."

    async def __aenter__(self) -> Self:
        """Bind both ends."""
        loop = asyncio.get_running_loop()
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: _End(self._from_peer), ("127.0.0.1", 0)
        )
        self._far, _ = await loop.create_datagram_endpoint(
            lambda: _End(self._from_server), ("127.0.0.1", 0)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close both ends."""
        self._near.close()
        self._far.close()

    @property
    def near(self) -> str:
        """What the peer calls."""
        return _address(self._near)

    @property
    def far(self) -> str:
        """Where the server reaches the peer."""
        return _address(self._far)

    def _from_peer(self, data: bytes, source: tuple[str, int]) -> None:
        self._peer = source
        if self._survives(self._upstream):
            self._far.sendto(data, self._server)

    def _from_server(self, data: bytes, _source: tuple[str, int]) -> None:
        if self._peer is not None and self._survives(self._downstream):
            self._near.sendto(data, self._peer)

    def _survives(self, pattern: random.Random) -> bool:
        survives = pattern.random() >= self._loss
        self.passed += survives
        self.lost += not survives
        return survives


class _End(asyncio.DatagramProtocol):
    def __init__(self, on_datagram: Any) -> None:
        self._on_datagram = on_datagram

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._on_datagram(data, addr[:2])

    def error_received(self, exc: Exception) -> None:
        """A peer that is gone already: that is loss, too."""


def _address(transport: asyncio.DatagramTransport) -> str:
    host, port = transport.get_extra_info("sockname")[:2]
    return f"{host}:{port}"
