"""Datagrams in memory: sockets for the media worker, endpoints for SIP, ears for phones.

What is sent arrives at once, in the order in which it was sent. A socket of the worker keeps it
until it is read; an endpoint of the loop gets it in the loop's next round.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import select
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Address = tuple[str, int]

_FIRST_FD = 1_000_000
"No descriptor of the kernel has such a number."
_KEPT = 1024
"Datagrams that wait at a socket which nobody reads."


@dataclass(frozen=True, slots=True)
class SipDatagram:
    """One SIP message on its way."""

    at_s: float
    source: Address
    target: Address
    data: bytes


class SimulatedNetwork:
    """
    All addresses there are.

    Fulfils `engine.media.sockets.Sockets`; `bind` is an `engine.media.ports.Bind`.
    """

    def __init__(self) -> None:
        self._takers: dict[Address, Callable[[bytes, Address], None]] = {}
        self._sockets: dict[int, SimulatedSocket] = {}
        self._fds = itertools.count(_FIRST_FD)
        self._free_ports = itertools.count(40_000)
        self.on_sip: Callable[[SipDatagram], None] = lambda datagram: None
        "Sees each SIP message as it is sent."
        self._rtp_digest: Any = None

    def watch_rtp(self) -> None:
        """Keep a digest of every RTP and RTCP datagram from now on."""
        self._rtp_digest = hashlib.sha256()

    @property
    def watches_rtp(self) -> bool:
        """Whether `watch_rtp` was called."""
        return self._rtp_digest is not None

    def note_rtp(self, data: bytes, source: Address, target: Address) -> None:
        """Put a datagram into the digest."""
        self._rtp_digest.update(repr((source, target)).encode() + data)

    def rtp_digest(self) -> str:
        """Of all that was sent since `watch_rtp`, with its addresses, in order; hex."""
        return "" if self._rtp_digest is None else str(self._rtp_digest.hexdigest())

    def send(self, data: bytes, source: Address, target: Address) -> None:
        """Deliver a datagram; where nobody listens it is lost."""
        if self._rtp_digest is not None:
            self.note_rtp(data, source, target)
        take = self._takers.get(target)
        if take is not None:
            take(data, source)

    def listen(self, address: Address, take: Callable[[bytes, Address], None]) -> Address:
        """
        Have what is sent to an address; port 0 is a free one.

        Raises:
            OSError: If it is taken.
        """
        host, port = address
        while port == 0 or (address[1] == 0 and (host, port) in self._takers):
            port = next(self._free_ports)
        if (host, port) in self._takers:
            raise OSError(98, "the address is in use")
        self._takers[host, port] = take
        return host, port

    def forget(self, address: Address) -> None:
        """Nobody listens there any more."""
        self._takers.pop(address, None)

    # For the loop

    def open_endpoint(
        self, protocol: asyncio.DatagramProtocol, address: Address
    ) -> tuple[Any, asyncio.DatagramProtocol]:
        """Open an endpoint of asyncio's on the running loop."""
        transport = _Endpoint(self, protocol, address)
        protocol.connection_made(transport)  # type: ignore[arg-type]
        return transport, protocol

    # For the media worker and the ports

    def bind(self, host: str, port: int) -> socket.socket:
        """
        Open a socket.

        Raises:
            OSError: If the address is taken.
        """
        opened = SimulatedSocket(self, next(self._fds), (host, port))
        self._sockets[opened.fileno()] = opened
        return opened  # type: ignore[return-value]

    def poller(self) -> SimulatedPoller:
        """See `Sockets.poller`."""
        return SimulatedPoller(self._sockets)

    def adopt(self, fd: int) -> socket.socket:
        """See `Sockets.adopt`; both owners have to close it."""
        found = self._sockets[fd]
        found.owners += 1
        return found  # type: ignore[return-value]

    def disconnect(self, sock: socket.socket) -> None:
        """See `Sockets.disconnect`."""
        self._sockets[sock.fileno()].peer = None

    def closed(self, sock: SimulatedSocket) -> None:
        """The last owner of a socket has closed it."""
        self.forget(sock.getsockname())
        del self._sockets[sock.fileno()]


class SimulatedSocket:
    """What the media worker and the ports use of a UDP socket."""

    def __init__(self, network: SimulatedNetwork, fd: int, address: Address) -> None:
        self._network = network
        self._fd = fd
        self._waiting: deque[tuple[bytes, Address]] = deque(maxlen=_KEPT)
        self.peer: Address | None = None
        self.owners = 1
        self.ready: dict[int, int] | None = None
        "Of the poller that looks at it: what is readable there."
        self._address = network.listen(address, self._take)

    def _take(self, data: bytes, source: Address) -> None:
        if self.peer is not None and source != self.peer:
            return
        self._waiting.append((data, source))
        if self.ready is not None:
            self.ready[self._fd] = select.EPOLLIN

    @property
    def has_something(self) -> bool:
        """Whether a datagram waits."""
        return bool(self._waiting)

    def _next(self) -> tuple[bytes, Address]:
        if not self._waiting:
            raise BlockingIOError
        found = self._waiting.popleft()
        if not self._waiting and self.ready is not None:
            self.ready.pop(self._fd, None)
        return found

    def fileno(self) -> int:
        """Its number."""
        return self._fd

    def setblocking(self, _flag: bool) -> None:
        """It never blocks."""

    def getsockname(self) -> Address:
        """Where it is."""
        return self._address

    def connect(self, peer: Address) -> None:
        """Hear this peer alone; what waits already stays."""
        self.peer = (peer[0], peer[1])

    def send(self, data: Any) -> int:
        """Send to the peer."""
        assert self.peer is not None
        self._network.send(bytes(data), self._address, self.peer)
        return len(data)

    def sendto(self, data: Any, target: Address) -> int:
        """Send to anybody."""
        self._network.send(bytes(data), self._address, (target[0], target[1]))
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Look at what comes next (MSG_PEEK), or take it."""
        if not self._waiting:
            raise BlockingIOError
        data = self._waiting[0][0] if flags & socket.MSG_PEEK else self._next()[0]
        return data[:size]

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        """Take what comes next, with its source."""
        data, source = self._next()
        return data[:size], source

    def recv_into(self, view: memoryview) -> int:
        """Take what comes next into `view`; what does not fit is cut off."""
        data = self._next()[0]
        size = min(len(data), len(view))
        view[:size] = data[:size]
        return size

    def recvfrom_into(self, view: memoryview) -> tuple[int, Address]:
        """The same, with its source."""
        data, source = self._next()
        size = min(len(data), len(view))
        view[:size] = data[:size]
        return size, source

    def close(self) -> None:
        """Give it up; with its last owner it goes."""
        self.owners -= 1
        if self.owners == 0:
            self._network.closed(self)


class SimulatedPoller:
    """Fulfils `engine.media.sockets.Poller` for simulated sockets."""

    def __init__(self, sockets: dict[int, SimulatedSocket]) -> None:
        self._sockets = sockets
        self.ready: dict[int, int] = {}
        "Readable now, in the order in which they became so."

    def register(self, fd: int, _eventmask: int) -> None:
        """See `Poller.register`."""
        sock = self._sockets[fd]
        sock.ready = self.ready
        if sock.has_something:
            self.ready[fd] = select.EPOLLIN

    def unregister(self, fd: int) -> None:
        """See `Poller.unregister`."""
        self._sockets[fd].ready = None
        self.ready.pop(fd, None)

    def poll(self, _timeout: float, maxevents: int) -> list[tuple[int, int]]:
        """See `Poller.poll`."""
        if len(self.ready) <= maxevents:
            return list(self.ready.items())
        return list(itertools.islice(self.ready.items(), maxevents))

    def close(self) -> None:
        """See `Poller.close`."""


class _Endpoint:
    """A datagram transport of asyncio's."""

    def __init__(
        self, network: SimulatedNetwork, protocol: asyncio.DatagramProtocol, address: Address
    ) -> None:
        self._network = network
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._address = network.listen(address, self._take)

    def _take(self, data: bytes, source: Address) -> None:
        self._loop.call_soon(self._give, data, source)

    def _give(self, data: bytes, source: Address) -> None:
        if not self._closing:
            self._protocol.datagram_received(data, source)

    def sendto(self, data: bytes, target: Address) -> None:
        """Send a SIP message."""
        sent = SipDatagram(self._loop.time(), self._address, (target[0], target[1]), bytes(data))
        self._network.on_sip(sent)
        self._network.send(sent.data, sent.source, sent.target)

    def get_extra_info(self, _name: str) -> Any:
        """Something that knows its address and takes every option."""
        return self

    def getsockname(self) -> Address:
        """Where it is."""
        return self._address

    def setsockopt(self, *_option: Any) -> None:
        """There are no buffers to enlarge."""

    def is_closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """Hear nothing more."""
        if not self._closing:
            self._closing = True
            self._network.forget(self._address)
