"""Which addresses our own HTTP requests may reach (decision 22).

Applications name the addresses that we call. Without this guard they could make the
server read its cloud's metadata service or the operator's network for them. Two checks:
`read_target` takes a URL apart and refuses what has a second reading; `AddressGuard`
judges the addresses that are actually connected to, wherever they came from.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from voiceblocks.blocks.urls import split_web_url
from voiceblocks.errors import PeerError

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class OutgoingHttpError(PeerError):
    """
    A request of ours got no answer.

    ```
    OutgoingHttpError
      TargetRefused        the guard does not let us go there
      NameNotResolved      the host's name has no address
      TlsFailed            no TLS connection, or a certificate that does not hold
      ConnectFailed        refused, unreachable, or broken off before an answer
      TimedOut             the time limit passed
      AnswerRefused        an answer, but one that is not HTTP or too many redirects
    ```

    Messages never hold a URL: its query may be secret.
    """


class TargetRefused(OutgoingHttpError):
    """The guard does not let us go there; nothing was sent."""


class NameNotResolved(OutgoingHttpError):
    """The host's name has no address."""


class TlsFailed(OutgoingHttpError):
    """No TLS connection, or a certificate that does not hold."""


class ConnectFailed(OutgoingHttpError):
    """Refused, unreachable, or broken off before an answer."""


class TimedOut(OutgoingHttpError):
    """The time limit passed."""


class AnswerRefused(OutgoingHttpError):
    """There was an answer, but it is not HTTP, or one redirect too many."""


def _networks(*texts: str) -> tuple[IpNetwork, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


# Our own lists rather than `is_global`, whose answers differ between versions of Python.
# After the IANA special-purpose registries (RFC 6890 and its successors).
_REFUSED_V4 = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",  # carrier-grade NAT; a metadata service lives in it
    "127.0.0.0/8",
    "168.63.129.16/32",  # Azure's platform address, though public by number
    "169.254.0.0/16",  # link-local, and with it the usual metadata address
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",  # 6to4 relays
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",  # multicast, reserved, broadcast
)
# Only global unicast is ever allowed: that leaves out ::/8 (unspecified, loopback,
# IPv4-mapped), both NAT64 prefixes (64:ff9b::/96, 64:ff9b:1::/48), fc00::/7, fe80::/10
# and ff00::/8. Inside it these carry an IPv4 address or lead nowhere.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_REFUSED_V6 = _networks(
    "2001::/23",  # Teredo, ORCHID, benchmarking
    "2001:db8::/32",
    "2002::/16",  # 6to4
    "3fff::/20",
)

# The "bad ports" of the Fetch standard: services that would understand enough of a POST
# to be misused by one. Anything else is fine, since people do run web servers on port 444.
_REFUSED_PORTS = frozenset(
    {
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95),
        *(101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161),
        *(179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563),
        *(587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060),
        *(5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    }
)
_URL_MAX = 16_384
# The last label decides (as in the WHATWG URL standard): digits, or hex after 0x.
_NUMBER_LABEL = re.compile(r"(?:[0-9]+|0[xX][0-9a-fA-F]*)\Z")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads, in one reading."""

    scheme: str
    host: str
    "Lower-case ASCII name, or an address without brackets."
    port: int
    address: IpAddress | None
    "Set where the host is an address and nothing is looked up."

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme == "https"

    @property
    def origin(self) -> str:
        """`host:port`, for limits and logs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_target(url: str) -> Target:
    """
    Take a URL apart.

    Raises:
        TargetRefused: If it is not http or https, has credentials, no host, a port of
            another service, or a host in a spelling that is read differently elsewhere
            (decimal, octal or hexadecimal addresses, zones, percent signs).
    """
    parts = split_web_url(url) if len(url) <= _URL_MAX else None
    if parts is None or not parts.hostname:
        raise TargetRefused("not an http or https address that can be used")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if port in _REFUSED_PORTS:
        raise TargetRefused("a port that is no web server's")
    host, address = _read_host(parts.hostname)
    return Target(parts.scheme, host, port, address)


def _read_host(host: str) -> tuple[str, IpAddress | None]:
    if ":" in host:
        try:
            v6 = ipaddress.IPv6Address(host)
        except ValueError:
            raise TargetRefused("a host that is no address") from None
        return str(v6), v6
    try:
        # Also folds full-width digits and dots, so it comes before they are looked at.
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise TargetRefused("a host that is no name") from None
    name = name.removesuffix(".")
    if not _NUMBER_LABEL.match(name.rpartition(".")[2]):
        return name, None
    try:
        # Strict: four decimal numbers without leading zeros, nothing else.
        v4 = ipaddress.IPv4Address(name)
    except ValueError:
        raise TargetRefused("an address in an unusual spelling") from None
    return str(v4), v4


def with_host_of(url: str, target: Target) -> str:
    """Return `url` with the host as `target` reads it, without a fragment."""
    parts = urlsplit(url)
    default_port = 443 if target.is_tls else 80
    netloc = target.origin
    if target.port == default_port:
        netloc = netloc.rpartition(":")[0]
    return parts._replace(scheme=target.scheme, netloc=netloc, fragment="").geturl()


class AddressGuard:
    """
    Judges addresses. Holds no state but its configuration.

    Args:
        allow_private: Networks that may be reached although they are not public.
    """

    def __init__(self, allow_private: Sequence[IpNetwork] = ()) -> None:
        self._allowed = tuple(allow_private)

    def allows(self, address: IpAddress) -> bool:
        """Whether a connection to `address` may be made."""
        if any(address in network for network in self._allowed):
            return True
        if isinstance(address, ipaddress.IPv4Address):
            return not any(address in network for network in _REFUSED_V4)
        # A zone (`fe80::1%eth0`) is dropped by no library: what has one is link-local.
        if address.scope_id is not None or address not in _GLOBAL_V6:
            return False
        return not any(address in network for network in _REFUSED_V6)

    def allows_text(self, address: str) -> bool:
        """Do as `allows` for an address as text; what cannot be read is not allowed."""
        try:
            return self.allows(ipaddress.ip_address(address))
        except ValueError:
            return False

    def require(self, address: IpAddress) -> None:
        """
        Check one address.

        Raises:
            TargetRefused: If it may not be reached.
        """
        if not self.allows(address):
            raise TargetRefused("an address that is not public")

    def guarded_socket(
        self, family: int, kind: int, protocol: int, sockaddr: tuple[object, ...]
    ) -> socket.socket:
        """
        Open a socket that is about to be connected to `sockaddr`: the last gate.

        Raises:
            TargetRefused: If the address may not be reached.
        """
        if not self.allows_text(str(sockaddr[0])):
            raise TargetRefused("an address that is not public")
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened
