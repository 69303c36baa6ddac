"""Block requests a second against `voiceblocks serve`, while calls live and SIP is answered.

    python -m benchmarks.api_throughput [--calls 200] [--connections 16] [--seconds 5] [--rate N]

Each request is a whole one: the token is found and checked, the session locked, the block
legal in its state, its run stored and the call told to play it. Each call is put on hold and
taken back, over and over, the calls in turn. Meanwhile an OPTIONS is sent to the SIP port
each 20 ms, whose answers come from the same event loop. The control process and the load
have a core each where there are two; the media worker shares the load's.

Without --rate as many requests as `connections` at a time get answered; with it so many a second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

from tests.harness import Application, ServerProcess

from voiceblocks.testing.phone import Phone, PhoneCall

OPTIONS_EACH_S = 0.02
AT_ONCE = 10
"Calls that are set up at the same time."


class Load:
    """Asks for blocks over connections that are kept open."""

    def __init__(self, app: Application, sessions: list[str]) -> None:
        self._app = app
        self._host, port = app.server.http.rsplit(":", 1)
        self._port = int(port)
        # Each call with what it may be asked for next.
        self._free = deque((session, False) for session in sessions)
        self.latencies_s: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def connection(self, until: float, every_s: float | None, share: float) -> None:
        """One request after another until the time has come, the first a share of one later."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        # All at once would be bursts of as many requests as there are connections.
        due = time.perf_counter() + share * (every_s or 0.0)
        while time.perf_counter() < until:
            if every_s is not None:
                due += every_s
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            session, is_held = self._free.popleft()
            block = "unhold" if is_held else "hold"
            began = time.perf_counter()
            status = await self._ask(reader, writer, f"ivr/middle/{block}", session)
            self.latencies_s.append(time.perf_counter() - began)
            self.statuses[status] += 1
            self._free.append((session, is_held != (status == "success_ok")))
        writer.close()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        path: str,
        session: str,
    ) -> str:
        fields = {
            "app_id": self._app.app_id,
            "access_token": self._app.access_token,
            "session": session,
        }
        body = urlencode(fields)
        writer.write(
            f"POST /open/{path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        status: str = json.loads(await reader.readexactly(length))["status"]
        return status


class Options(asyncio.DatagramProtocol):
    """Sends OPTIONS to the SIP port, and notes how long each answer takes."""

    def __init__(self) -> None:
        self.latencies_s: list[float] = []
        self._sent: dict[str, float] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # No instance of it by its class until Python 3.12.
        self._transport = cast("asyncio.DatagramTransport", transport)
        self._host, self._port = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, _addr: object) -> None:
        call_id = data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode()
        if call_id in self._sent:
            self.latencies_s.append(time.perf_counter() - self._sent.pop(call_id))

    async def send(self, to: str, until: float) -> None:
        """Send them until the time has come."""
        while time.perf_counter() < until:
            call_id = secrets.token_hex(8)
            us = f"{self._host}:{self._port}"
            self._sent[call_id] = time.perf_counter()
            self._transport.sendto(
                f"OPTIONS sip:{to} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {us};branch=z9hG4bK{call_id}\r\n"
                f"From: <sip:bench@{us}>;tag={call_id}\r\nTo: <sip:{to}>\r\n"
                f"Call-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )
            await asyncio.sleep(OPTIONS_EACH_S)

    @property
    def unanswered(self) -> int:
        return len(self._sent)


async def set_up(app: Application, phone: Phone) -> tuple[PhoneCall, str]:
    """A call that waits for a block, and whose phone sends nothing any more."""
    call = await phone.call(app.sip())
    told = await app.sink.next(60, ivr_block="answer")
    session = told.body["session"]
    await app.play(session, "")
    await app.sink.next(60, ivr_block="play", session=session)
    await call.answered()
    await call.media.stop()
    return call, session


async def measure(arguments: argparse.Namespace, folder: Path) -> None:
    settings = {"LOG_LEVEL": "warning", "RATE_LIMIT_IVR": "100000000", "IDLE_TIMEOUT_S": "600"}
    server = await ServerProcess(folder, settings).start()
    async with Application(server) as app, Phone() as phone:
        sessions: list[str] = []
        while len(sessions) < arguments.calls:
            n = min(AT_ONCE, arguments.calls - len(sessions))
            made = await asyncio.gather(*(set_up(app, phone) for _ in range(n)))
            sessions += [session for _call, session in made]
        load = Load(app, sessions)
        host, port = server.sip.rsplit(":", 1)
        transport, options = await asyncio.get_running_loop().create_datagram_endpoint(
            Options, local_addr=("127.0.0.1", 0), remote_addr=(host, int(port))
        )
        until = time.perf_counter() + arguments.seconds
        every_s = arguments.connections / arguments.rate if arguments.rate else None
        before, began = cpu_s_of(server), time.perf_counter()
        await asyncio.gather(
            *(
                load.connection(until, every_s, n / arguments.connections)
                for n in range(arguments.connections)
            ),
            options.send(server.sip, until),
        )
        elapsed = time.perf_counter() - began
        used = cpu_s_of(server) - before
        n = len(load.latencies_s)
        print(
            f"{arguments.calls} calls, {arguments.connections} connections: {n / elapsed:.0f} "
            f"requests/s, {told(load.latencies_s)}; {dict(load.statuses)}\n"
            f"SIP answers meanwhile: {told(options.latencies_s)}; {options.unanswered} unanswered\n"
            f"control process: {used / elapsed:.0%} of a core, {used / n * 1e6:.0f} us a request: "
            f"{n / used:.0f} requests/s for a whole core"
        )
        transport.close()
    await server.stop()


def cpu_s_of(server: ServerProcess) -> float:
    """Processor time of the control process, whose parent is the supervisor."""
    assert server.process is not None
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == server.process.pid and b"voiceblocks.server" in command:
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    raise SystemExit("the control process is not to be found")


def told(latencies_s: list[float]) -> str:
    ordered = sorted(latencies_s)
    if not ordered:
        return "none"
    p50, p99, most = (ordered[int((len(ordered) - 1) * share)] * 1000 for share in (0.5, 0.99, 1))
    return f"median {p50:.1f} ms, 99th {p99:.1f} ms, longest {most:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        asyncio.run(measure(arguments, Path(folder)))


if __name__ == "__main__":
    main()
