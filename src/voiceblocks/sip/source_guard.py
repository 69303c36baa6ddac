"""Who may send us calls, and how fast (decision 9).

Asked before a new INVITE is even answered: strangers get silence, so a scanner does not learn
that somebody listens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

_MAX_SOURCES = 10_000
"Sources whose rate is remembered; the one unheard of longest is forgotten first."

_IPV6_SITE_BITS = 64
"One site holds a /64, so that is what shares a bucket."

_MAPPED_BITS = 96
"Before the IPv4 address in one that is mapped into IPv6."


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class SourceGuard:
    """
    Allowed networks, and a token bucket for each source.

    Reads no clock: the caller passes `now`. Memory is bounded whatever addresses come.

    Args:
        networks: CIDRs or single addresses, IPv4 or IPv6, such as `"192.0.2.0/24"`.
        rate_per_s: New calls per second that one source may keep up.
        burst: New calls that it may send at once; at least 1.

    Raises:
        ValueError: If a network cannot be read, or the rate is not positive.
    """

    def __init__(self, networks: Iterable[str], rate_per_s: float, burst: int) -> None:
        if rate_per_s <= 0 or burst < 1:
            raise ValueError("rate_per_s must be positive and burst at least 1")
        self._networks = tuple(read_network(network) for network in networks)
        self._trunk_networks: tuple[IPv4Network | IPv6Network, ...] = ()
        self._rate_per_s = rate_per_s
        self._burst = float(burst)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self.dropped_strangers = 0
        "Calls from outside the allowed networks."
        self.dropped_too_fast = 0
        "Calls beyond the rate of their source."

    def is_known(self, address: str) -> bool:
        """Whether this source may talk to us at all; takes no token and counts nothing."""
        parsed = read_address(address)
        return parsed is not None and any(
            parsed.version == network.version and parsed in network
            for network in (*self._networks, *self._trunk_networks)
        )

    def set_trunk_networks(self, networks: Iterable[str]) -> None:
        """
        The networks of the trunks, which change while the node runs, are these from now on.

        Raises:
            ValueError: If one cannot be read.
        """
        self._trunk_networks = tuple(read_network(network) for network in networks)

    def allows(self, address: str, now: float) -> bool:
        """
        Decide about a new INVITE, and count it if it is dropped.

        Args:
            address: Source address; one that cannot be read is a stranger.
            now: Monotonic seconds.
        """
        parsed = read_address(address)
        if parsed is None or not self.is_known(address):
            self.dropped_strangers += 1
            return False
        bucket = self._bucket(_bucket_name(parsed), now)
        bucket.tokens = min(
            self._burst, bucket.tokens + max(0.0, now - bucket.at) * self._rate_per_s
        )
        bucket.at = now
        if bucket.tokens < 1:
            self.dropped_too_fast += 1
            return False
        bucket.tokens -= 1
        return True

    def _bucket(self, name: str, now: float) -> _Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= _MAX_SOURCES:
                self._buckets.popitem(last=False)
            bucket = self._buckets[name] = _Bucket(self._burst, now)
        else:
            self._buckets.move_to_end(name)
        return bucket


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address that a peer has, an IPv4 one as such also where an IPv6 socket tells it."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that takes both families shows IPv4 peers as ::ffff:192.0.2.1.
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def read_network(text: str) -> IPv4Network | IPv6Network:
    """
    Read a CIDR or single address; one of mapped IPv4 addresses is that of the addresses.

    Raises:
        ValueError: If it cannot be read.
    """
    network = ip_network(text, strict=False)
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _bucket_name(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _IPV6_SITE_BITS), strict=False).network_address)
    return str(address)
