"""Sockets in memory behave as the kernel's do, as far as the worker uses them."""

from __future__ import annotations

import select
import socket

import pytest

from voiceblocks.engine.media.sockets import KernelSockets, Sockets
from voiceblocks.testing.simulation.network import SimulatedNetwork

A, B, C = ("10.0.0.1", 1000), ("10.0.0.2", 1000), ("10.0.0.3", 1000)


def _bind(network: SimulatedNetwork, address: tuple[str, int]) -> socket.socket:
    return network.bind(*address)


def test_a_datagram_waits_until_it_is_read() -> None:
    """It keeps its bytes and its source; what is sent first is read first."""
    network = SimulatedNetwork()
    a, b = _bind(network, A), _bind(network, B)
    a.sendto(b"one", B)
    a.sendto(memoryview(b"two"), B)
    assert b.recv(1, socket.MSG_PEEK) == b"o"
    assert b.recvfrom(100) == (b"one", A)
    room = memoryview(bytearray(10))
    assert b.recv_into(room) == 3
    assert bytes(room[:3]) == b"two"
    with pytest.raises(BlockingIOError):
        b.recv(1)


def test_nobody_is_there() -> None:
    """What is sent nowhere is lost; an address that is taken is refused; closed, it is free."""
    network = SimulatedNetwork()
    a = _bind(network, A)
    a.sendto(b"hello", B)
    with pytest.raises(OSError, match="in use"):
        _bind(network, A)
    second = network.adopt(a.fileno())
    a.close()
    with pytest.raises(OSError, match="in use"):
        _bind(network, A)
    second.close()
    _bind(network, A)


@pytest.mark.parametrize("kind", ["kernel", "simulated"])
def test_a_connected_socket_hears_its_peer_alone(kind: str) -> None:
    """Strangers are dropped until it disconnects: the worker relies on it, with either kind."""
    network: SimulatedNetwork | None = None
    sockets: Sockets
    if kind == "simulated":
        sockets = network = SimulatedNetwork()
        a, b, c = (_bind(network, address) for address in (A, B, C))
    else:
        sockets = KernelSockets()
        a, b, c = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3))
        for sock in (a, b, c):
            # By number: a port of the kernel's own choice is lost with the connection.
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            sock.bind(("127.0.0.1", port))
            sock.setblocking(False)
    poller = sockets.poller()
    poller.register(b.fileno(), select.EPOLLIN)
    assert poller.poll(0, 10) == []
    b.connect(a.getsockname())
    c.sendto(b"stranger", b.getsockname())
    a.sendto(b"peer", b.getsockname())
    assert poller.poll(0, 10) == [(b.fileno(), select.EPOLLIN)]
    assert b.recvfrom(100) == (b"peer", a.getsockname())
    assert poller.poll(0, 10) == []
    sockets.disconnect(b)
    c.sendto(b"stranger", b.getsockname())
    assert b.recvfrom(100) == (b"stranger", c.getsockname())
    poller.unregister(b.fileno())
    poller.close()
    for sock in (a, b, c):
        sock.close()
