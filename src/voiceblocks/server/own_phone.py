"""Where the phone of a browser's call is, so that the node hears it as it hears any other."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from voiceblocks.errors import RequestRefused
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.trunks.model import Trunk

_LOOPBACKS = ("127.0.0.1", "127.0.0.2")

UNHEARD = (
    "The server does not take calls from itself, so the browser's phone cannot call it: add {host} "
    "to VOICEBLOCKS_ACCEPT_CALLS_FROM and start the server again."
)
A_TRUNKS = (
    "The server's own address {host} is a trunk's as well, so the browser's phone cannot call from "
    "it: let SIP listen on 0.0.0.0 (VOICEBLOCKS_SIP_LISTEN)."
)
ONLY_IPV6 = (
    "SIP listens on IPv6 alone, and the browser's phone speaks IPv4: listen on 0.0.0.0 or :: "
    "(VOICEBLOCKS_SIP_LISTEN)."
)


def phone_address(
    sip_address: Callable[[], tuple[str, int]],
    guard: SourceGuard,
    trunk_of: Callable[[str], Trunk | None],
) -> Callable[[], tuple[str, str]]:
    """
    Return a function that tells the phone's own address and the `HOST:PORT` that it calls.

    Where SIP listens on one address that is not loopback, both are that. A trunk at loopback (a PBX
    on this machine) would have its numbers read in its own way, so the phone avoids its address.
    The function raises `RequestRefused` where the phone would not be heard.

    Args:
        sip_address: Where SIP listens.
        guard: Who may call.
        trunk_of: The trunk at an address.
    """

    def tell() -> tuple[str, str]:
        listens, port = sip_address()
        address = ip_address(listens)
        if address.version == 6 and not address.is_unspecified:
            raise RequestRefused(ONLY_IPV6)
        anywhere = address.is_unspecified or address.is_loopback
        callee = _LOOPBACKS[0] if address.is_unspecified else listens
        free = [host for host in (_LOOPBACKS if anywhere else (listens,)) if trunk_of(host) is None]
        if not free:
            raise RequestRefused(A_TRUNKS.format(host=callee))
        for host in free:
            if guard.is_known(host):
                return host, f"{callee}:{port}"
        raise RequestRefused(UNHEARD.format(host=free[0]))

    return tell
