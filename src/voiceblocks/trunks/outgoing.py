"""The INVITE of a call that goes out by a trunk, as that trunk wants it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.target import SipTarget
from voiceblocks.sip.uri import SipUri
from voiceblocks.trunks.model import CallerIn, TrunkRoute
from voiceblocks.trunks.numbers import written

ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"RFC 3323 section 4.1.1.3."

_IDENTITY_HEADERS = {
    CallerIn.PAI: "P-Asserted-Identity",
    CallerIn.PPI: "P-Preferred-Identity",
}


@dataclass(frozen=True, slots=True)
class InvitePlan:
    """What `UserAgent.call` is given, apart from flow and SDP."""

    request_uri: str
    from_: str
    to: str
    headers: tuple[tuple[str, str], ...]
    credentials: tuple[str, str] | None = field(repr=False)


def build_invite(route: TrunkRoute, *, dest: str, caller: str, host: str) -> InvitePlan:
    """
    Write numbers and identity the way the trunk reads them.

    Args:
        route: The trunk.
        dest: Who is called, `+` and digits.
        caller: Who calls: `+…`, or `private`.
        host: Our address towards the trunk, for the caller's URI.
    """
    peer = _host_port(route.address)
    user = written(dest, route.number_format, route.country)
    # A registrar knows us by the name that we registered with.
    own_host = SipUri.parse(route.address).host if route.username else host
    headers: list[tuple[str, str]] = []
    if caller == "private":
        from_ = ANONYMOUS
        headers.append(("Privacy", "id"))
        identity = route.username
    else:
        identity = written(caller, route.number_format, route.country)
        from_ = f"<sip:{identity}@{own_host}>"
    name = _IDENTITY_HEADERS.get(route.caller_in)
    if name is not None and identity is not None:
        headers.append((name, f"<sip:{identity}@{own_host}>"))
    credentials = None
    if route.username is not None and route.password is not None:
        credentials = (route.username, route.password)
    return InvitePlan(
        request_uri=f"sip:{user}@{peer}",
        from_=from_,
        to=f"<sip:{user}@{peer}>",
        headers=tuple(headers),
        credentials=credentials,
    )


def allowed_contacts(contacts: Iterable[str], target: SipTarget) -> list[str]:
    """
    The contacts of a 3xx that may be tried: those on the very address that sent it.

    Anything else would let whoever answers choose where our calls go (decision 9).
    """
    found = []
    for contact in contacts:
        try:
            uri = SipUri.parse(contact)
        except RemoteSipError:
            continue
        if uri.scheme == "sip" and (uri.address, uri.port or 5060) == (target.host, target.port):
            found.append(contact)
    return found


def _host_port(address: str) -> str:
    uri = SipUri.parse(address)
    return uri.host if uri.port is None else f"{uri.host}:{uri.port}"
