"""Where responses and requests go."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import FLOW, TCP_FLOW, RawPeer
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest, parse_message
from voiceblocks.sip.routing import Routing, request_flow, response_flow, shows_nat, tcp_flow_to


def from_via(via: str) -> SipRequest:
    """A request whose top Via is this."""
    request = parse_message(RawPeer().request("OPTIONS"))
    assert isinstance(request, SipRequest)
    request.headers.set("Via", via)
    return request


@pytest.mark.parametrize(
    ("via", "routing", "remote"),
    [
        ("SIP/2.0/UDP 192.0.2.9:7000;branch=b", Routing.AUTO, ("192.0.2.9", 7000)),
        ("SIP/2.0/UDP 192.0.2.9;branch=b", Routing.AUTO, ("192.0.2.9", 5060)),
        ("SIP/2.0/UDP 192.0.2.9:7000;rport;branch=b", Routing.AUTO, FLOW.remote),
        ("SIP/2.0/UDP 10.0.0.1:7000;branch=b", Routing.AUTO, FLOW.remote),
        ("SIP/2.0/UDP host.test:7000;branch=b", Routing.AUTO, FLOW.remote),
        ("SIP/2.0/UDP 192.0.2.9:7000;maddr=198.51.100.1", Routing.AUTO, ("192.0.2.9", 7000)),
        ("SIP/2.0/UDP 192.0.2.9:7000;branch=b", Routing.FLOW, FLOW.remote),
    ],
)
def test_responses(via: str, routing: Routing, remote: tuple[str, int]) -> None:
    """Rport and NATs mean the source; else Via's port counts, if addresses are believed."""
    assert response_flow(from_via(via), FLOW, routing).remote == remote


def test_responses_on_tcp_stay_on_the_connection() -> None:
    """Whatever Via says."""
    request = from_via("SIP/2.0/TCP 192.0.2.9:7000;branch=b")
    assert response_flow(request, TCP_FLOW, Routing.AUTO) == TCP_FLOW


@pytest.mark.parametrize(
    ("next_hop", "remote", "transport"),
    [
        ("sip:a@192.0.2.77:5090", ("192.0.2.77", 5090), "udp"),
        ("sip:a@192.0.2.77", ("192.0.2.77", 5060), "udp"),
        ("sip:a@192.0.2.77;transport=TCP", ("192.0.2.77", 5060), "tcp"),
        ("sip:192.0.2.9:5062", FLOW.remote, "udp"),
        ("sip:a@host.test", FLOW.remote, "udp"),
        ("sips:a@192.0.2.77", FLOW.remote, "udp"),
        ("sip:a@192.0.2.77;transport=ws", FLOW.remote, "udp"),
        ("sip:a@0.0.0.0", FLOW.remote, "udp"),
        ("sip:a@224.0.0.1", FLOW.remote, "udp"),
        ("sip:a@[2001:db8::1]", FLOW.remote, "udp"),
        ("tel:+65", FLOW.remote, "udp"),
        ("nonsense", FLOW.remote, "udp"),
    ],
)
def test_requests(next_hop: str, remote: tuple[str, int], transport: str) -> None:
    """An address that can be used is followed, all else goes along the flow."""
    flow = request_flow(next_hop, FLOW, Routing.AUTO, behind_nat=False, may_connect=True)
    assert (flow.remote, flow.transport) == (remote, transport)


def test_requests_that_do_not_follow_addresses() -> None:
    """By setting, behind a NAT, on TCP, or with a private Contact from a public peer."""
    hop = "sip:a@192.0.2.77"
    assert request_flow(hop, FLOW, Routing.FLOW, behind_nat=False) == FLOW
    assert request_flow(hop, FLOW, Routing.AUTO, behind_nat=True) == FLOW
    assert request_flow(hop, TCP_FLOW, Routing.AUTO, behind_nat=False) == TCP_FLOW
    tcp_hop = f"{hop};transport=tcp"
    assert request_flow(tcp_hop, FLOW, Routing.AUTO, behind_nat=False) == FLOW
    public = Flow("udp", ("9.9.9.1", 5060), ("8.8.8.8", 5060))
    assert request_flow("sip:a@10.0.0.5", public, Routing.AUTO, behind_nat=False) == public
    named = Flow("udp", ("a", 1), ("b", 2))
    assert request_flow(hop, named, Routing.AUTO, behind_nat=False) == named


def test_nat_shows_in_via() -> None:
    """Another address in sent-by than the source; a name says nothing."""
    assert shows_nat(from_via("SIP/2.0/UDP 10.0.0.1;branch=b"), FLOW)
    assert not shows_nat(from_via("SIP/2.0/UDP 192.0.2.9;branch=b"), FLOW)
    assert not shows_nat(from_via("SIP/2.0/UDP host.test;branch=b"), FLOW)
    assert shows_nat(from_via("nonsense"), FLOW)


def test_connections_still_to_open() -> None:
    """An address in a URI gives a flow with connection 0, all else nothing."""
    flow = tcp_flow_to("sip:a@192.0.2.50:5070;transport=tcp", TCP_FLOW)
    assert flow == Flow("tcp", TCP_FLOW.local, ("192.0.2.50", 5070), 0)
    assert tcp_flow_to("sip:a@host.test", TCP_FLOW) is None
    assert tcp_flow_to("nonsense", TCP_FLOW) is None
