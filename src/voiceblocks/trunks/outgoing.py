"""What our INVITE says to a trunk: whom we call, who calls, and who may know it.

A trunk with credentials knows us as its customer, so From carries its domain; a trunk that
knows us by our address sees our own host there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip.routing import DEFAULT_PORT
from voiceblocks.sip.target import SipTarget
from voiceblocks.sip.uri import SipUri, escaped_user
from voiceblocks.trunks import numbers
from voiceblocks.trunks.model import CallerIn, TrunkRoute

PRIVATE = "private"
"Stands for the number of a caller who withholds it."

_ANONYMOUS = '"Anonymous" <sip:anonymous@anonymous.invalid>'
"RFC 3323 4.1.1.3."

_IDENTITY_HEADERS = {
    CallerIn.PAI: "P-Asserted-Identity",
    CallerIn.PPI: "P-Preferred-Identity",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InvitePlan:
    """The arguments of `UserAgent.call` that depend on the trunk."""

    request_uri: str
    from_: str
    to: str
    headers: tuple[tuple[str, str], ...] = ()
    credentials: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationPlan:
    """The arguments of `UserAgent.register` that depend on the trunk."""

    registrar: str
    address: str
    contact_user: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Redirection:
    """A contact of a 3xx that may be tried."""

    request_uri: str
    target: SipTarget


def build_invite(route: TrunkRoute, dest: str, caller: str, host: str) -> InvitePlan:
    """
    Return what an INVITE to this trunk says.

    Args:
        route: The trunk.
        dest: `+` and digits.
        caller: `+` and digits, or `private`.
        host: Our host, as the trunk sees it.

    Raises:
        RemoteSipError: If the trunk's address is no SIP URI.
    """
    address = SipUri.parse(route.address)
    target = f"sip:{_written(route, dest)}@{_domain(address)}"
    customer, domain = _customer(route, address)
    headers: list[tuple[str, str]] = []
    if caller == PRIVATE:
        headers.append(("Privacy", "id"))
        from_ = _ANONYMOUS
        # What the carrier knows of us already, so that it can tell whose call it is.
        user = customer
    else:
        user = _written(route, caller)
        from_ = f"<sip:{user}@{domain or host}>"
    identity = _IDENTITY_HEADERS.get(route.caller_in)
    if identity is not None and user is not None:
        headers.append((identity, f"<sip:{user}@{domain or host}>"))
    return InvitePlan(
        request_uri=target + _transport(address),
        from_=from_,
        to=f"<{target}>",
        headers=tuple(headers),
        credentials=route.credentials,
    )


def build_registration(route: TrunkRoute) -> RegistrationPlan:
    """
    Return what a REGISTER to this trunk says.

    The user name is also that of our Contact, so carriers that call it (and where it is a
    number) say in the Request-URI what was dialled. A user name with a domain (`acme@example.net`)
    is the whole address of record.

    Raises:
        ContractViolation: If the trunk has no user name.
        RemoteSipError: If its address is no SIP URI.
    """
    if route.username is None:
        raise ContractViolation(f"trunk {route.name} has no name to register")
    address = SipUri.parse(route.address)
    user, domain = _customer(route, address)
    return RegistrationPlan(
        registrar=f"sip:{_domain(address)}{_transport(address)}",
        address=f"sip:{user}@{domain}",
        contact_user=user or "",
        credentials=route.credentials,
    )


def allowed_contacts(
    route: TrunkRoute, dest: str, contacts: Iterable[str], targets: Sequence[SipTarget]
) -> tuple[Redirection, ...]:
    """
    Return which contacts of a 3xx may be tried, in their order.

    A trunk may send us to another of its own servers for the number that was authorised and
    priced. It may not send us to another number or to a stranger: that would be toll fraud, or
    calls of ours to whomever it likes.

    Args:
        route: The trunk that answered.
        dest: The number that was dialled, `+` and digits.
        contacts: URIs of the 3xx (`CallFailed.contacts`).
        targets: The servers of the trunk, as its address was resolved.
    """
    allowed: list[Redirection] = []
    for contact in contacts:
        try:
            uri = SipUri.parse(contact)
        except RemoteSipError:
            continue
        if uri.scheme != "sip" or uri.headers or uri.password is not None:
            continue
        user = uri.unescaped_user.partition(";")[0]
        if numbers.read(user, route.number_format, route.country) != dest:
            continue
        target = next((t for t in targets if _is_at(uri, t)), None)
        if target is not None and all(target != known.target for known in allowed):
            allowed.append(Redirection(contact, target))
    return tuple(allowed)


def _is_at(uri: SipUri, target: SipTarget) -> bool:
    # Without a transport, the one by which the trunk is reached anyway will do.
    transport = (uri.parameters.get("transport") or target.transport).lower()
    port = DEFAULT_PORT if uri.port is None else uri.port
    return SipTarget(uri.address, port, transport) == target


def _customer(route: TrunkRoute, address: SipUri) -> tuple[str | None, str | None]:
    """Our user and domain at a trunk that knows us by name, which may hold both (`a@b.example`)."""
    if route.username is None:
        return None, None
    user, _, domain = route.username.partition("@")
    return escaped_user(user), domain or address.host


def _domain(address: SipUri) -> str:
    """Only the domain is named: which server of it takes a request is DNS's business."""
    return address.host if address.port is None else f"{address.host}:{address.port}"


def _transport(address: SipUri) -> str:
    transport = address.parameters.get("transport")
    return "" if transport is None else f";transport={transport}"


def _written(route: TrunkRoute, number: str) -> str:
    return numbers.written(number, route.number_format, route.country)
