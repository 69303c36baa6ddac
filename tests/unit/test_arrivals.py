"""Datagrams count from the instant at which the kernel took them."""

from __future__ import annotations

import socket
import time

from voiceblocks.arrivals import Arrivals


def test_a_datagram_that_waited_is_as_old_as_it_is() -> None:
    """Two that wait are read 50 ms later: each has the time at which it was sent."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs,
    ):
        ours.bind(("127.0.0.1", 0))
        arrivals = Arrivals(ours)
        sent = []
        for _datagram in range(2):
            before = time.monotonic()
            theirs.sendto(b"x", ours.getsockname())
            sent.append((before, time.monotonic()))
            # What passes here is what is measured.
            time.sleep(0.025)
        for before, after in sent:
            ours.recv(1)
            # Two clocks are read one after the other.
            assert before - 0.002 <= arrivals.last_s(time.monotonic()) <= after + 0.002


def test_who_knows_no_stamps_gets_now() -> None:
    """A socket of a simulation, a closed one, and one that nothing was read from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as quiet:
        assert Arrivals(quiet).last_s(5.0) == 5.0
    assert Arrivals(quiet).last_s(6.0) == 6.0
    assert Arrivals(object()).last_s(7.0) == 7.0
