"""Dialogs (RFC 3261 section 12): who talks to whom, by which way, with which numbers.

A dialog builds its requests and judges the order of the peer's. It sends nothing, and does
not know what the dialog is used for (that is the invite usage).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.routing import shows_nat
from voiceblocks.sip.uri import SipUri

DialogId = tuple[str, str, str]
"Call-ID, our tag, the peer's tag (empty from RFC 2543 peers)."

_SNAPSHOT_VERSION = 1
SEQUENCE_RESERVE = 100_000
"Added to CSeq after a restart: what was sent since the snapshot is unknown, gaps are legal."


@dataclass(slots=True)
class Dialog:
    """One dialog; mutable, owned by its leg."""

    call_id: str
    local_tag: str
    remote_tag: str
    local_address: str
    "Raw value of our From in requests, tag included."
    remote_address: str
    "Raw value of our To in requests, tag included."
    remote_target: str
    "URI of the peer's Contact: where requests go to."
    route_set: tuple[str, ...]
    "Raw Route values in the order in which requests carry them; all can be read."
    local_sequence: int
    remote_sequence: int | None
    is_caller: bool
    "Whether we sent the INVITE, so that the Call-ID is ours (glare, RFC 3261 14.1)."
    behind_nat: bool = False
    peer_allows: frozenset[str] = field(default=frozenset())
    "Methods of the peer's Allow; empty if it sent none."

    @classmethod
    def from_invite(cls, request: SipRequest, local_tag: str, flow: Flow) -> Dialog:
        """
        The dialog that our response to an INVITE makes (12.1.1).

        Raises:
            RemoteSipError: 400 when Contact, From or Record-Route cannot be used.
        """
        to = request.headers.get("To") or ""
        return cls(
            call_id=request.call_id,
            local_tag=local_tag,
            remote_tag=request.from_tag or "",
            local_address=f"{to};tag={local_tag}",
            remote_address=request.headers.get("From") or "",
            remote_target=contact_uri(request),
            route_set=record_route(request.headers),
            local_sequence=0,
            remote_sequence=request.cseq.number,
            is_caller=False,
            behind_nat=shows_nat(request, flow),
            peer_allows=allowed_methods(request.headers),
        )

    @classmethod
    def from_response(cls, invite: SipRequest, response: SipResponse) -> Dialog:
        """
        The dialog that a response to our INVITE makes (12.1.2).

        A provisional response need not have a Contact, and some peers forget it in a 2xx:
        then requests go where the INVITE went. An unreadable Record-Route counts as absent.

        Raises:
            RemoteSipError: When To cannot be read.
        """
        try:
            target = contact_uri(response)
        except RemoteSipError:
            target = invite.uri
        try:
            route_set = tuple(reversed(record_route(response.headers)))
        except RemoteSipError:
            route_set = ()
        return cls(
            call_id=invite.call_id,
            local_tag=invite.from_tag or "",
            remote_tag=response.to_tag or "",
            local_address=invite.headers.get("From") or "",
            remote_address=response.headers.get("To") or "",
            remote_target=target,
            route_set=route_set,
            local_sequence=invite.cseq.number,
            remote_sequence=None,
            is_caller=True,
            peer_allows=allowed_methods(response.headers),
        )

    @property
    def id(self) -> DialogId:
        """What its messages are recognised by."""
        return (self.call_id, self.local_tag, self.remote_tag)

    @property
    def next_hop(self) -> str:
        """URI that requests are sent to: the first Route, or the remote target."""
        return NameAddr.parse(self.route_set[0]).uri if self.route_set else self.remote_target

    def build_request(
        self, method: str, via: str, *, sequence: int | None = None, body: bytes = b""
    ) -> SipRequest:
        """
        Build a request inside the dialog (12.2.1.1).

        `via` is the value of our Via, branch included; `sequence` is the CSeq number of an
        ACK, while every other request takes the next one.
        """
        if sequence is None:
            self.local_sequence += 1
            sequence = self.local_sequence
        uri, routes = self._route()
        headers = Headers()
        headers.add("Via", via)
        headers.add("Max-Forwards", "70")
        for route in routes:
            headers.add("Route", route)
        headers.add("From", self.local_address)
        headers.add("To", self.remote_address)
        headers.add("Call-ID", self.call_id)
        headers.add("CSeq", f"{sequence} {method}")
        return SipRequest(method, uri, headers, body)

    def _route(self) -> tuple[str, Sequence[str]]:
        """Request-URI and Route headers, for loose and strict first hops."""
        if not self.route_set:
            return self.remote_target, ()
        first = SipUri.parse(NameAddr.parse(self.route_set[0]).uri)
        if "lr" in first.parameters:
            return self.remote_target, self.route_set
        # A strict router wants itself as Request-URI and the target as the last Route.
        uri = str(SipUri(first.scheme, first.user, None, first.host, first.port, first.parameters))
        return uri, (*self.route_set[1:], f"<{self.remote_target}>")

    def accepts_sequence(self, number: int) -> bool:
        """Take note of the CSeq of a request of the peer; `False` when it is out of order."""
        if self.remote_sequence is not None and number < self.remote_sequence:
            return False
        self.remote_sequence = number
        return True

    def refresh_target(self, message: SipRequest | SipResponse) -> None:
        """Follow the Contact of a target refresh (INVITE, UPDATE), if it has a usable one."""
        try:
            self.remote_target = contact_uri(message)
        except RemoteSipError:
            return
        finally:
            if allowed := allowed_methods(message.headers):
                self.peer_allows = allowed

    def snapshot(self, flow: Flow) -> str:
        """All that a BYE needs after a restart, as JSON."""
        return json.dumps(
            {
                "version": _SNAPSHOT_VERSION,
                "call_id": self.call_id,
                "local_tag": self.local_tag,
                "remote_tag": self.remote_tag,
                "local_address": self.local_address,
                "remote_address": self.remote_address,
                "remote_target": self.remote_target,
                "route_set": list(self.route_set),
                "local_sequence": self.local_sequence,
                "is_caller": self.is_caller,
                "behind_nat": self.behind_nat,
                "transport": flow.transport,
                "remote": list(flow.remote),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_snapshot(cls, text: str) -> Dialog:
        """
        Read a snapshot back.

        Raises:
            ContractViolation: If it is not one of ours.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if data["version"] != _SNAPSHOT_VERSION:
                raise ContractViolation(f"dialog snapshot of version {data['version']}")
            return cls(
                call_id=data["call_id"],
                local_tag=data["local_tag"],
                remote_tag=data["remote_tag"],
                local_address=data["local_address"],
                remote_address=data["remote_address"],
                remote_target=data["remote_target"],
                route_set=record_route(Headers(("Record-Route", v) for v in data["route_set"])),
                local_sequence=data["local_sequence"] + SEQUENCE_RESERVE,
                remote_sequence=None,
                is_caller=data["is_caller"],
                behind_nat=data["behind_nat"],
            )
        except (ValueError, KeyError, TypeError, AttributeError, RemoteSipError) as error:
            raise ContractViolation("not a dialog snapshot") from error


def contact_uri(message: SipRequest | SipResponse) -> str:
    """
    The URI of the Contact.

    Raises:
        RemoteSipError: 400 when it is missing or cannot be called.
    """
    contact = message.contact
    if contact is None:
        raise RemoteSipError("Missing Contact")
    SipUri.parse(contact.uri)
    return contact.uri


def record_route(headers: Headers) -> tuple[str, ...]:
    """
    Record-Route values, raw and in order.

    Raises:
        RemoteSipError: 400 when one cannot be read.
    """
    values = tuple(headers.values("Record-Route"))
    for value in values:
        SipUri.parse(NameAddr.parse(value).uri)
    return values


def allowed_methods(headers: Headers) -> frozenset[str]:
    """Methods of Allow; empty where the header is missing or unreadable."""
    try:
        return frozenset(value.upper() for value in headers.values("Allow"))
    except RemoteSipError:
        return frozenset()


def option_tags(headers: Headers, name: str) -> frozenset[str]:
    """
    Option tags of Supported or Require, in lower case.

    Raises:
        RemoteSipError: 400 for an unreadable header.
    """
    return frozenset(value.lower() for value in headers.values(name))
