"""Where a message goes: responses by Via, requests inside a dialog by Route and Contact.

The core resolves no names. Where the rules of the RFC name a host that is no address, or an
address that a NAT makes unreachable, the message goes back along the flow that the peer used.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import ip_address

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest
from voiceblocks.sip.uri import SipUri

DEFAULT_PORT = 5060


class Routing(Enum):
    """How far addresses that a peer writes into its messages are believed (UDP only)."""

    FLOW = "flow"
    "Never: everything goes back to where the peer's packets come from."
    AUTO = "auto"
    "Yes, unless a NAT is visible: an address differs from the one that packets come from."


def is_address(host: str) -> bool:
    """Whether this is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def response_flow(request: SipRequest, flow: Flow, routing: Routing) -> Flow:
    """
    Return the flow for the responses to a request.

    TCP: the connection it came by. UDP: the source (RFC 3581) where `rport` is asked for;
    without it RFC 3261 18.2.2 means the source address with the port of Via, which
    `Routing.AUTO` follows when Via shows no NAT. `maddr` is ignored: it would let a caller
    aim our responses at somebody else.

    Raises:
        RemoteSipError: If the top Via cannot be read.
    """
    via = request.top_via
    if flow.is_reliable or routing is Routing.FLOW or "rport" in via.parameters:
        return flow
    if via.address != flow.remote[0]:
        return flow
    return flow.towards((flow.remote[0], via.port or DEFAULT_PORT))


def shows_nat(request: SipRequest, flow: Flow) -> bool:
    """Whether the sender of a request believes to have another address than we see."""
    try:
        sent_by = request.top_via.address
    except RemoteSipError:
        return True
    return is_address(sent_by) and sent_by != flow.remote[0]


def request_flow(
    next_hop: str, flow: Flow, routing: Routing, *, behind_nat: bool, may_connect: bool = False
) -> Flow:
    """
    Return the flow for a request inside a dialog.

    Args:
        next_hop: URI of the first Route, or the remote target.
        flow: The flow that the peer used last.
        routing: Whether `next_hop` counts at all.
        behind_nat: As `shows_nat` found when the dialog began.
        may_connect: Whether a dialog on UDP may change to a TCP connection still to be opened.
    """
    if flow.is_reliable or routing is Routing.FLOW or behind_nat:
        return flow
    try:
        uri = SipUri.parse(next_hop)
    except RemoteSipError:
        return flow
    host = uri.address
    if uri.scheme != "sip" or not is_address(host):
        return flow
    if not is_address(flow.remote[0]):
        return flow
    seen, target = ip_address(flow.remote[0]), ip_address(host)
    if seen.version != target.version or target.is_unspecified or target.is_multicast:
        return flow
    if target.is_private and not seen.is_private:
        # A private address in the Contact of a public peer: a NAT that Via does not show.
        return flow
    transport = (uri.parameters.get("transport") or "udp").lower()
    if transport not in (("udp", "tcp") if may_connect else ("udp",)):
        return flow
    remote = (host, DEFAULT_PORT if uri.port is None else uri.port)
    if transport == flow.transport and remote == flow.remote:
        return flow
    return flow.towards(remote, transport)


def tcp_flow_to(uri: str, flow: Flow) -> Flow | None:
    """A connection still to be opened to the address in a URI; `None` if it holds none."""
    try:
        parsed = SipUri.parse(uri)
    except RemoteSipError:
        return None
    if parsed.scheme != "sip" or not is_address(parsed.address):
        return None
    return flow.towards((parsed.address, DEFAULT_PORT if parsed.port is None else parsed.port))
