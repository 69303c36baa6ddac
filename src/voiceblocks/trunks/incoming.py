"""Whom an incoming call is from and for, as its trunk says it.

Without a trunk (a phone, a PBX in our own network) the Request-URI and From are read.
"""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.message import SipRequest
from voiceblocks.sip.uri import SipUri
from voiceblocks.trunks.model import CallerIn, DialledIn, NumberFormat, Trunk
from voiceblocks.trunks.numbers import read

CALLER_MAX = 64
"Characters of a caller that is no phone number."

_WITHHELD = frozenset({"anonymous", "restricted", "unknown", "unavailable", "private"})
_WITHHELD_HOSTS = frozenset({"anonymous.invalid", "unknown.invalid", "unavailable.invalid"})
_PRIVACY_KINDS = frozenset({"id", "user", "header", "session"})

_IDENTITY_HEADERS = {
    CallerIn.PAI: "P-Asserted-Identity",
    CallerIn.PPI: "P-Preferred-Identity",
}


@dataclass(frozen=True, slots=True)
class IncomingNumbers:
    """Both ends of a call that comes in."""

    called: str | None
    "`+…`, or `None` where it is no number."
    caller: str
    "`+…`; `private` where withheld; else as sent, cut to a sane length."


def read_numbers(request: SipRequest, trunk: Trunk | None) -> IncomingNumbers:
    """Read an INVITE; whatever is in it gives a value."""
    number_format = NumberFormat.E164 if trunk is None else trunk.number_format
    country = None if trunk is None else trunk.country
    dialled = _user_of(_dialled_uri(request, trunk))
    return IncomingNumbers(
        called=read(dialled, number_format, country),
        caller=_caller(request, trunk, number_format, country),
    )


def _dialled_uri(request: SipRequest, trunk: Trunk | None) -> str:
    dialled_in = DialledIn.RURI if trunk is None else trunk.dialled_in
    if dialled_in is DialledIn.TO:
        return request.to.uri
    if dialled_in is DialledIn.P_CALLED_PARTY:
        return _address_in(request, "P-Called-Party-ID") or request.uri
    return request.uri


def _caller(
    request: SipRequest, trunk: Trunk | None, number_format: NumberFormat, country: str | None
) -> str:
    if _asks_for_privacy(request):
        return "private"
    uri = request.from_.uri
    if trunk is not None and trunk.caller_in in _IDENTITY_HEADERS:
        # A carrier that vouches for the caller leaves the header out where it cannot.
        uri = _address_in(request, _IDENTITY_HEADERS[trunk.caller_in]) or uri
    try:
        host = SipUri.parse(uri).host.lower()
    except RemoteSipError:
        return "private"
    user = _user_of(uri).strip()
    if not user or user.lower() in _WITHHELD or host in _WITHHELD_HOSTS:
        return "private"
    # What is no number is whatever a stranger wrote: only what can be printed, stored and
    # sent on as text is kept of it.
    return read(user, number_format, country) or "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in user[:CALLER_MAX]
    )


def _asks_for_privacy(request: SipRequest) -> bool:
    try:
        values = request.headers.values("Privacy")
    except RemoteSipError:
        return False
    words = {word.strip().lower() for value in values for word in value.split(";")}
    return not words.isdisjoint(_PRIVACY_KINDS)


def _address_in(request: SipRequest, name: str) -> str | None:
    """The first SIP or tel URI of a header that may hold several."""
    try:
        values = request.headers.values(name)
    except RemoteSipError:
        return None
    for value in values:
        try:
            return NameAddr.parse(value).uri
        except RemoteSipError:
            continue
    return None


def _user_of(uri: str) -> str:
    """
    The user without what carriers append to it (`;npdi`, `;phone-context=…`).

    A URI without user may have the number in place of its host (`sip:6531580000`).
    """
    try:
        parsed = SipUri.parse(uri)
    except RemoteSipError:
        return ""
    return (parsed.unescaped_user or parsed.host).partition(";")[0]
