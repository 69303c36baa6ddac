"""Which of our addresses a peer can reach us at."""

from __future__ import annotations

import functools
import ipaddress
import socket

_WILDCARDS = ("0.0.0.0", "::", "")  # noqa: S104 (compared with, never bound)


def advertised_host(bound: str, public: str, peer: str) -> str:
    """
    The address to put into Contact or SDP towards `peer`.

    Args:
        bound: Where our socket listens; may be a wildcard.
        public: What the operator says; wins where not empty.
        peer: Address of the other end.
    """
    if public:
        return public
    if bound not in _WILDCARDS:
        return bound
    return _source_address_towards(peer)


def reaches(bound: str, peer: str) -> bool:
    """Whether a socket bound there can send to `peer`: one on loopback stays on this machine."""
    return bound in _WILDCARDS or not _is_loopback(bound) or _is_loopback(peer)


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback


@functools.lru_cache(maxsize=4096)
def _source_address_towards(peer: str) -> str:
    """Ask the routing table by connecting a UDP socket; no packet is sent."""
    family = socket.AF_INET6 if ipaddress.ip_address(peer).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((peer, 9))
        host: str = probe.getsockname()[0]
        return host
