"""Addresses that an application may name to make us reach what is not public.

`127.0.0.1` stands for the public web in these tests: the guard is told to allow it alone.
Everything else on the machine is private, and a `Bait` listens there. `PORT` in a URL is the
bait's port.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PUBLIC = "127.0.0.1"
PRIVATE = "127.0.0.2"

ZONE: dict[tuple[str, str], list[str]] = {
    ("public.example.", "A"): [PUBLIC],
    ("private.example.", "A"): [PRIVATE],
    ("alias.example.", "CNAME"): ["private.example."],
    ("metadata.example.", "A"): ["169.254.169.254"],
    ("zero.example.", "A"): ["0.0.0.0"],
    ("many.example.", "A"): ["10.0.0.1", "172.16.0.1", PRIVATE],
    ("six.example.", "AAAA"): ["::1"],
    ("mapped.example.", "AAAA"): ["::ffff:127.0.0.2"],
    ("compatible.example.", "AAAA"): ["::127.0.0.2"],
    ("nat64.example.", "AAAA"): ["64:ff9b::7f00:2"],
    ("sixtofour.example.", "AAAA"): ["2002:7f00:2::1"],
    ("teredo.example.", "AAAA"): ["2001:0:7f00:2::1"],
    ("link.example.", "AAAA"): ["fe80::1"],
    ("unique.example.", "AAAA"): ["fd00:ec2::254"],
    ("multicast.example.", "AAAA"): ["ff02::1"],
}

HOSTS = [
    # Plain.
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    # Other spellings of 127.0.0.2, as the C library reads them.
    "2130706434",
    "0x7f000002",
    "0X7F000002",
    "017700000002",
    "0177.0.0.2",
    "0177.0.0.02",
    "0x7f.0.0.0x2",
    "127.2",
    "127.0.2",
    "127.000.000.002",
    "00000177.0x0.0.2",
    "127.0.0.2.",
    # Full-width digits and the ideographic full stop, which IDNA folds.
    "１２７.0.0.2",
    "127。0。0。2",
    # IPv6, and IPv4 inside it.
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.2]",
    "[::ffff:7f00:2]",
    "[::127.0.0.2]",
    "[64:ff9b::7f00:2]",
    "[64:ff9b::127.0.0.2]",
    "[64:ff9b:1::7f00:2]",
    "[2002:7f00:2::1]",
    "[2001:0:7f00:2::1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "[fec0::1]",
    "[ff02::1]",
    # Names, which a real name server answers.
    *sorted({name.removesuffix(".") for name, _ in ZONE} - {"public.example"}),
    "PRIVATE.example",
    "private.example.",
]

URLS = [
    *(f"http://{host}:PORT/a.mp3" for host in HOSTS),
    "https://127.0.0.2:PORT/a.mp3",
    # Two readings of the host: whoever checks and whoever connects must not differ.
    f"http://public.example@{PRIVATE}:PORT/a.mp3",
    f"http://user:word@{PRIVATE}:PORT/a.mp3",
    f"http://{PUBLIC}:80@{PRIVATE}:PORT/a.mp3",
    f"http://{PUBLIC}\\@{PRIVATE}:PORT/a.mp3",
    f"http://{PRIVATE}:PORT\\@{PUBLIC}/a.mp3",
    f"http://[::1]{PUBLIC}:PORT/a.mp3",
    f"http://{PRIVATE}%2f:PORT/a.mp3",
    f"http://{PRIVATE}%00.public.example:PORT/a.mp3",
    # Other schemes.
    f"ftp://{PRIVATE}:PORT/a.mp3",
    f"gopher://{PRIVATE}:PORT/_a.mp3",
    "file:///etc/a.mp3",
    f"//{PRIVATE}:PORT/a.mp3",
    # Ports of other services, on the allowed host itself.
    f"http://{PUBLIC}:25/a.mp3",
    f"http://{PUBLIC}:5060/a.mp3",
]


class Bait:
    """Listens where nobody may go, and counts who comes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.reached = 0

    def url(self, row: str) -> str:
        """A row of the table with the real port."""
        return row.replace("PORT", str(self.port))

    async def touched(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody came."""
        self.reached += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
        writer.close()


@asynccontextmanager
async def baits() -> AsyncIterator[Bait]:
    """Bait on one port of each private address that this machine has, shown to work."""
    hosts = [PRIVATE, "127.1.2.3", "127.255.255.254", *(["::1"] if _has_ipv6() else [])]
    for _ in range(20):
        with socket.create_server((PRIVATE, 0)) as chosen:
            bait = Bait(chosen.getsockname()[1])
        servers: list[asyncio.Server] = []
        try:
            for host in hosts:
                # One by one: those before a failure must be closed.
                servers.append(await asyncio.start_server(bait.touched, host, bait.port))  # noqa: PERF401
        except OSError:
            for server in servers:
                server.close()
            continue
        for host in hosts:
            reader, writer = await asyncio.open_connection(host, bait.port)
            assert b"secret" in await reader.read()
            writer.close()
        assert bait.reached == len(hosts), "the bait must be reachable, or it proves nothing"
        bait.reached = 0
        try:
            yield bait
        finally:
            for server in servers:
                server.close()
        return
    raise AssertionError("no port is free on all private addresses")


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
