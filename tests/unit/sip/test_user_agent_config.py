"""What we say about ourselves towards a flow."""

from __future__ import annotations

from tests.unit.sip.peers import FLOW, TCP_FLOW
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.user_agent_config import UserAgentConfig


def test_contact_and_via_by_transport_and_family() -> None:
    """UDP is the default and not named; IPv6 gets brackets."""
    config = UserAgentConfig("box", ("192.0.2.1", 5060))
    assert config.contact(FLOW) == "<sip:box@192.0.2.1:5060>"
    assert config.contact(TCP_FLOW) == "<sip:box@192.0.2.1:5060;transport=tcp>"
    assert config.via(TCP_FLOW, "b") == "SIP/2.0/TCP 192.0.2.1:5060;branch=b;rport"
    six = UserAgentConfig("box", ("2001:db8::1", 5060))
    assert six.contact(FLOW) == "<sip:box@[2001:db8::1]:5060>"


def test_address_may_depend_on_the_flow() -> None:
    """A function gives each peer the address that it can reach."""
    config = UserAgentConfig("box", lambda flow: flow.local)
    assert config.contact(FLOW) == "<sip:box@192.0.2.1:5060>"


def test_flow_towards_another_peer() -> None:
    """Same local side; a TCP flow is still to be opened."""
    assert TCP_FLOW.is_reliable
    assert not FLOW.is_reliable
    other = TCP_FLOW.towards(("198.51.100.1", 5060))
    assert other == Flow("tcp", FLOW.local, ("198.51.100.1", 5060), 0)
