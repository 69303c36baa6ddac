"""What a worker asks of the network beneath it; the kernel's, except in a simulation."""

from __future__ import annotations

import ctypes
import select
import socket
from typing import Protocol

_libc = ctypes.CDLL(None, use_errno=True)


class Poller(Protocol):
    """What is used of `select.epoll`."""

    def register(self, fd: int, eventmask: int) -> None:
        """Look at a descriptor from now on."""
        ...

    def unregister(self, fd: int) -> None:
        """Look at it no more."""
        ...

    def poll(self, timeout: float, maxevents: int) -> list[tuple[int, int]]:
        """Descriptors that are readable."""
        ...

    def close(self) -> None:
        """Look at nothing any more."""
        ...


class Sockets(Protocol):
    """Where a worker's sockets come from."""

    def poller(self) -> Poller:
        """A new one."""
        ...

    def adopt(self, fd: int) -> socket.socket:
        """The socket behind a descriptor that came with a command; the caller closes it."""
        ...

    def disconnect(self, sock: socket.socket) -> None:
        """Let a connected UDP socket hear everybody again, on its port."""
        ...


class KernelSockets:
    """Fulfils `Sockets` with the kernel's."""

    def poller(self) -> Poller:
        """See `Sockets.poller`."""
        return select.epoll()

    def adopt(self, fd: int) -> socket.socket:
        """See `Sockets.adopt`."""
        return socket.socket(fileno=fd)

    def disconnect(self, sock: socket.socket) -> None:
        """See `Sockets.disconnect`: connect(2) with AF_UNSPEC."""
        _libc.connect(sock.fileno(), bytes(16), 16)
