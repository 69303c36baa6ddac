"""SIPp as the far end of calls that we place."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.interop.peers import START_LIMIT_S, Sipp, until
from tests.ports import free_port


class SippServer(Sipp):
    """
    One run of SIPp that waits for `calls` calls.

    Use it as `async with`.

    Args:
        scenario: One of those whose names begin with `called_`.
        folder: Where its files go.
        fill: As for `Sipp`. `CONTACT`, where we send ACK and BYE, is its own address unless
            given: `LossyProxy.near` where one stands between.
        calls: How many it takes.
        port: Where it listens.
    """

    def __init__(
        self,
        scenario: str,
        folder: Path,
        fill: Mapping[str, str] | None = None,
        *,
        calls: int = 1,
        port: int | None = None,
    ) -> None:
        self.port = free_port() if port is None else port
        fill = {"CONTACT": self.address, **(fill or {})}
        super().__init__(scenario, "", "", folder, fill=fill, calls=calls)

    @property
    def address(self) -> str:
        """`HOST:PORT` to call."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Start it and wait until it listens."""
        await super().__aenter__()
        await until(self._listens, START_LIMIT_S, f"SIPp listens on {self.address}")
        return self

    def _where(self) -> tuple[str, ...]:
        return ("-p", str(self.port))

    def _listens(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                return True
        return False
