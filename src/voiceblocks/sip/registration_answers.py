"""What a registrar's answer says: for how long it knows us (RFC 3261 10.2.4)."""

from __future__ import annotations

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.grammar import parse_number
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.uri import SipUri

LONGEST_EXPIRES_S = 24 * 3600


def granted_s(request: SipRequest, response: SipResponse, *, wanted_s: int) -> int:
    """
    For how many seconds a 2xx registered us (10.2.4).

    The registrar lists all bindings of the name, also those of other phones: ours is the one
    with our Contact. A registrar that rewrites it (behind a NAT) is taken at its only Contact,
    one that lists none at its Expires header, and one that says nothing granted what we asked.
    """
    ours = _contact_uri(request.headers.get("Contact") or "")
    others: list[int | None] = []
    for value in _values(response.headers, "Contact"):
        try:
            address = NameAddr.parse(value)
        except RemoteSipError:
            continue
        expires_s = seconds(address.parameters.get("expires"))
        if _contact_uri(value) == ours:
            others = [expires_s]
            break
        others.append(expires_s)
    granted = others[0] if len(others) == 1 else None
    if granted is None:
        granted = seconds(response.headers.get("Expires"))
    return min(wanted_s if granted is None else granted, LONGEST_EXPIRES_S)


def _contact_uri(value: str) -> tuple[str, str, int] | None:
    try:
        uri = SipUri.parse(NameAddr.parse(value).uri)
    except RemoteSipError:
        return None
    return uri.unescaped_user, uri.host.lower(), uri.port or 5060


def _values(headers: Headers, name: str) -> list[str]:
    try:
        return headers.values(name)
    except RemoteSipError:
        return []


def seconds(text: str | None) -> int | None:
    """Delta-seconds of a peer; `None` where there are none to be read."""
    if text is None:
        return None
    try:
        return parse_number(text.strip(), "seconds", maximum=2**32 - 1, clamp=True)
    except RemoteSipError:
        return None
