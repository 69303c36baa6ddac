"""Whom an INVITE calls and who calls, as its carrier says it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voiceblocks import e164
from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.message import SipRequest
from voiceblocks.sip.uri import SipUri
from voiceblocks.trunks import numbers
from voiceblocks.trunks.model import CallerIn, DialledIn, Trunk

PRIVATE = "private"
CALLER_MAX = 64
"Characters of a caller that is no phone number."

_NOBODY = frozenset({"anonymous", "private", "restricted", "unknown", "unavailable"})
"User parts by which phones and carriers say that there is no number."

_NOWHERE = frozenset({"anonymous.invalid", "unknown.invalid", "unavailable.invalid"})
"Hosts that say the same (3GPP TS 23.003 13.7)."

_WITHHELD = frozenset({"id", "user"})
"Values of Privacy (RFC 3323, RFC 3325) that ask not to show who calls."

_IDENTITY_HEADERS = {
    CallerIn.PAI: "P-Asserted-Identity",
    CallerIn.PPI: "P-Preferred-Identity",
}


@dataclass(frozen=True, slots=True)
class IncomingNumbers:
    """Both ends of an incoming call. Personal data: masked in logs."""

    called: str | None
    "`+` and digits; `None` where no number was dialled."

    caller: str
    "`+` and digits; `private` where withheld; else as sent, cut to a sane length."


def read_numbers(request: SipRequest, trunk: Trunk | None) -> IncomingNumbers:
    """
    Read an INVITE as the trunk that sent it writes them; never raises.

    Without a trunk, the Request-URI is called and From calls, both in international form.
    Identity headers are those of a trusted network (RFC 3325): a stranger's are not read.
    """
    return IncomingNumbers(_called(request, trunk), _caller(request, trunk))


def _called(request: SipRequest, trunk: Trunk | None) -> str | None:
    dialled_in = DialledIn.RURI if trunk is None else trunk.dialled_in
    text = request.uri
    if dialled_in is DialledIn.TO:
        text = _single(request, "To")
    elif dialled_in is DialledIn.P_CALLED_PARTY:
        # A carrier that adds the header only where the Request-URI was changed means the latter.
        text = next(_addresses(request, "P-Called-Party-ID"), text)
    uri = _parsed(text)
    return None if uri is None else _read(_user_of(uri, trunk) or uri.host, trunk)


def _caller(request: SipRequest, trunk: Trunk | None) -> str:
    uri = _parsed(_single(request, "From"))
    if uri is None or _is_nobody(uri, trunk) or _asks_for_privacy(request):
        return PRIVATE
    if trunk is not None:
        uri = _identity(request, trunk) or uri
    user = _user_of(uri, trunk).strip()
    return _read(user, trunk) or _printable(user)


def _identity(request: SipRequest, trunk: Trunk) -> SipUri | None:
    """The first identity that is a number, else the first; there may be a SIP and a tel one."""
    header = _IDENTITY_HEADERS.get(trunk.caller_in)
    if header is None:
        return None
    found = [
        uri
        for text in _addresses(request, header)
        if (uri := _parsed(text)) is not None and not _is_nobody(uri, trunk)
    ]
    numbered = (uri for uri in found if _read(_user_of(uri, trunk), trunk) is not None)
    return next(numbered, found[0] if found else None)


def _single(request: SipRequest, header: str) -> str:
    """The URI of From or To; empty where it cannot be read."""
    try:
        return (request.from_ if header == "From" else request.to).uri
    except RemoteSipError:
        return ""


def _addresses(request: SipRequest, header: str) -> Iterator[str]:
    """URIs of a header's values; what cannot be read is left out."""
    try:
        values = request.headers.values(header)
    except RemoteSipError:
        return
    for value in values:
        try:
            yield NameAddr.parse(value).uri
        except RemoteSipError:
            continue


def _parsed(text: str) -> SipUri | None:
    try:
        return SipUri.parse(text)
    except RemoteSipError:
        return None


def _is_nobody(uri: SipUri, trunk: Trunk | None) -> bool:
    user = _user_of(uri, trunk).strip().lower()
    return not user or user in _NOBODY or uri.host.lower() in _NOWHERE


def _asks_for_privacy(request: SipRequest) -> bool:
    # RFC 3323 4.2 separates by semicolons; commas are seen as well.
    for line in request.headers.get_all("Privacy"):
        words = line.replace(",", ";").lower().split(";")
        if any(word.strip() in _WITHHELD for word in words):
            return True
    return False


def _read(user: str, trunk: Trunk | None) -> str | None:
    if trunk is None:
        return e164.normalise(user)
    return numbers.read(user, trunk.number_format, trunk.country)


def _user_of(uri: SipUri, trunk: Trunk | None) -> str:
    """
    The user without what carriers append to it (`;npdi`, `;rn=…`).

    A local number names its country beside it (`tel:91234567;phone-context=+65`, RFC 3966 5.1.4).
    """
    user, _, appended = uri.unescaped_user.partition(";")
    if trunk is None or user.startswith("+"):
        return user
    context = _phone_context(uri, appended)
    return context + user if context.startswith("+") else user


def _phone_context(uri: SipUri, appended: str) -> str:
    if uri.scheme == "tel":
        return uri.parameters.get("phone-context") or ""
    for part in appended.split(";"):
        name, _, value = part.partition("=")
        if name.lower() == "phone-context":
            return value
    return ""


def _printable(user: str) -> str:
    """What a stranger wrote, as far as it can be printed, stored and sent on as text."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in user[:CALLER_MAX]
    )
