"""UDP port pairs for legs: RTP on an even port, RTCP on the next (RFC 3550 section 11).

A closed pair stays bound for a while: its old peer may still be sending, and a new call must
not hear it.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

from voiceblocks import randomness
from voiceblocks.errors import CapacityExceeded

QUARANTINE_S = 5.0

RECEIVE_BUFFER_BYTES = 262_144
"More than a second of any stream, so that a stalled worker loses nothing."

_EPHEMERAL_ATTEMPTS = 200

Pair = tuple[socket.socket, socket.socket]


def bound_udp(host: str, port: int) -> socket.socket:
    """
    A non-blocking UDP socket at an IPv4 address.

    Raises:
        OSError: When it is taken.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


Bind = Callable[[str, int], socket.socket]
"Opens a socket, as `bound_udp` does."


class PortPool:
    """
    Hands out bound, non-blocking pairs of one local address.

    Args:
        ports: Range to take pairs from; an empty one means any free ports (for tests).
        host: IPv4 address to bind to.
        bind: Opens the sockets.
    """

    def __init__(self, ports: range, host: str, bind: Bind = bound_udp) -> None:
        self._host = host
        self._open = bind
        self._even = deque(port for port in ports if port % 2 == 0 and port + 1 in ports)
        if self._even:
            # After a restart the old peers still send to the ports that were used last.
            self._even.rotate(randomness.source().randrange(len(self._even)))
        self._any = not ports
        self._quarantine: deque[tuple[float, Pair]] = deque()

    def acquire(self, now: float) -> tuple[Pair, int]:
        """
        Bind a pair.

        Args:
            now: Monotonic seconds.

        Returns:
            The RTP and RTCP sockets, now the caller's, and the RTP port.

        Raises:
            CapacityExceeded: When no pair is free.
        """
        self._expire(now)
        if self._any:
            return self._acquire_any()
        for _attempt in range(len(self._even)):
            port = self._even[0]
            # Round robin, so that a port rests as long as possible.
            self._even.rotate(-1)
            pair = self._bind(port)
            if pair is not None:
                return pair, port
        raise CapacityExceeded("no RTP port pair is free")

    def _acquire_any(self) -> tuple[Pair, int]:
        for _attempt in range(_EPHEMERAL_ATTEMPTS):
            with self._open(self._host, 0) as probe:
                port: int = probe.getsockname()[1]
            # Bound by number: Linux takes a port of its own choice away from a UDP socket
            # when that is disconnected, as the worker does to hear other sources again.
            pair = self._bind(port) if port % 2 == 0 else None
            if pair is not None:
                return pair, port
        raise CapacityExceeded("no RTP port pair is free")

    def _bind(self, port: int) -> Pair | None:
        try:
            rtp = self._open(self._host, port)
        except OSError:
            return None
        try:
            return rtp, self._open(self._host, port + 1)
        except OSError:
            rtp.close()
            return None

    def release(self, pair: Pair, now: float) -> None:
        """Take a pair back; it stays bound for `QUARANTINE_S`."""
        self._expire(now)
        self._quarantine.append((now + QUARANTINE_S, pair))

    def _expire(self, now: float) -> None:
        while self._quarantine and self._quarantine[0][0] <= now:
            _close(self._quarantine.popleft()[1])

    def close(self) -> None:
        """Close what is in quarantine."""
        while self._quarantine:
            _close(self._quarantine.popleft()[1])


def _close(pair: Pair) -> None:
    for sock in pair:
        sock.close()
