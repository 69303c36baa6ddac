"""Ports of loopback that are free, and stay so while a killed server or a slow peer is away.

The kernel hands out ports of a range of its own, and would give that of a dead server to the next
socket of any other test: these lie below it.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

LOWEST = 10_000
"Below are those of other software."


def free_port() -> int:
    """A port that nobody has for UDP or TCP."""
    kernel_range = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
    while True:
        port = secrets.choice(range(LOWEST, int(kernel_range.split()[0])))
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def free_address() -> str:
    """`127.0.0.1:port` with such a port."""
    return f"127.0.0.1:{free_port()}"
