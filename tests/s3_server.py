"""A real S3 server (moto's) on loopback, and a wire to it that can fail.

`S3Server` is a process of its own that can be killed and started again; its bucket is empty
then. `FaultyWire` stands before it, passes bytes on, and breaks in the ways of `Fault`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from enum import StrEnum
from pathlib import Path
from typing import Self

import aiohttp

BUCKET = "voice"
START_LIMIT_S = 20.0
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)


class S3Server:
    """One server process; `async with` starts and kills it."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    async def start(self) -> None:
        """Start it with an empty bucket; returns when that answers."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port),
                stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(START_LIMIT_S), aiohttp.ClientSession() as http:
            while True:
                try:
                    url = f"http://127.0.0.1:{self.port}/{BUCKET}"
                    async with http.put(url, headers={"Authorization": _SIGNED}) as reply:
                        assert reply.status == 200, await reply.text()
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)  # until it listens

    async def kill(self) -> None:
        """It is gone, with all that it had."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kill."""
        await self.kill()


class Fault(StrEnum):
    """How a wire fails."""

    NONE = "none"
    REFUSED = "refused"
    "Connections are closed as soon as they come."
    SILENT = "silent"
    "Nothing is answered."
    CUT = "cut"
    "A connection breaks after some bytes of a request."
    CUT_ANSWER = "cut answer"
    "It breaks after some bytes of an answer."
    GARBLED = "garbled"
    "A bit of the audio that is read back is another."


class FaultyWire:
    """
    Passes TCP connections on to a server, until it is told to fail.

    Args:
        server_port: On loopback.
    """

    CUT_BYTES = 3000
    GARBLED_BYTE = 2500
    "Counted in each answer: behind its head, in the audio."

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._fault = Fault.NONE
        self._open: set[asyncio.StreamWriter] = set()
        self.connections = 0
        "How many came."
        self.came = asyncio.Event()
        "Set by each connection."

    async def __aenter__(self) -> Self:
        """Listen."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all."""
        self._listener.close()
        self._drop()
        await self._listener.wait_closed()

    def fail(self, fault: Fault) -> None:
        """Fail so from now on; what is open breaks."""
        self._fault = fault
        self._drop()

    def environment(self) -> dict[str, str]:
        """What an S3 client needs to know."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_REGION": "us-east-1",
        }

    def _drop(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.came.set()
        fault = self._fault
        self._open.add(writer)
        try:
            if fault is Fault.REFUSED:
                return
            if fault is Fault.SILENT:
                await reader.read(-1)
                return
            there, back = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._open.add(back)
            try:
                await asyncio.wait(
                    [
                        asyncio.create_task(_pass(reader, back, fault is Fault.CUT, garbled=False)),
                        asyncio.create_task(
                            _pass(
                                there,
                                writer,
                                fault is Fault.CUT_ANSWER,
                                garbled=fault is Fault.GARBLED,
                            )
                        ),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                self._open.discard(back)
                back.transport.abort()
        except OSError:
            return
        finally:
            self._open.discard(writer)
            writer.transport.abort()


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_cut: bool, *, garbled: bool
) -> None:
    passed = 0
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if is_cut and passed + len(data) > FaultyWire.CUT_BYTES:
                writer.write(data[: max(FaultyWire.CUT_BYTES - passed, 0)])
                await writer.drain()
                return
            if garbled and len(data) > FaultyWire.GARBLED_BYTE:
                changed = bytearray(data)
                changed[FaultyWire.GARBLED_BYTE] ^= 1
                data = bytes(changed)
            passed += len(data)
            writer.write(data)
            await writer.drain()


def clean_environment() -> list[str]:
    """Variables of the developer's own clouds, which no test may use."""
    return [name for name in os.environ if name.startswith("AWS_")]
