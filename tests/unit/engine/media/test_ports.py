"""Port pairs."""

from __future__ import annotations

import pytest

from voiceblocks.engine.media.ports import QUARANTINE_S, PortPool
from voiceblocks.errors import CapacityExceeded

HOST = "127.0.0.1"


def free_range(pairs: int) -> range:
    """A range of ports that were free just now."""
    pool = PortPool(range(0), HOST)
    while True:
        pair, port = pool.acquire(0)
        for sock in pair:
            sock.close()
        if port + 2 * pairs < 65_536:
            return range(port, port + 2 * pairs)


def test_rtp_is_even_and_rtcp_the_next():
    """RFC 3550 section 11, for free ports and for a given range."""
    for ports in (range(0), free_range(1)):
        (rtp, rtcp), port = PortPool(ports, HOST).acquire(0)
        assert port % 2 == 0
        assert (rtp.getsockname(), rtcp.getsockname()) == ((HOST, port), (HOST, port + 1))
        rtp.close()
        rtcp.close()


def test_a_closed_pair_rests_before_it_is_used_again():
    """Its old peer may still be sending."""
    pool = PortPool(free_range(1), HOST)
    pair, port = pool.acquire(0)
    with pytest.raises(CapacityExceeded):
        pool.acquire(0)
    pool.release(pair, 10)
    with pytest.raises(CapacityExceeded):
        pool.acquire(10 + QUARANTINE_S - 0.1)
    pair, again = pool.acquire(10 + QUARANTINE_S)
    assert again == port
    pool.release(pair, 20)
    pool.close()


def test_a_pair_that_somebody_else_has_is_passed_over():
    """Also when only its upper half is taken."""
    ports = free_range(2)
    taken = PortPool(range(ports.start, ports.start + 2), HOST)
    (rtp, rtcp), _port = taken.acquire(0)
    rtp.close()
    pool = PortPool(ports, HOST)
    pair, port = pool.acquire(0)
    assert port == ports.start + 2
    for sock in (*pair, rtcp):
        sock.close()


def test_odd_ends_of_a_range_make_no_pair():
    """Both ports must be ours."""
    with pytest.raises(CapacityExceeded):
        PortPool(range(20_001, 20_003), HOST).acquire(0)
