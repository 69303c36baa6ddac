"""What the transactions do with what comes late, twice, or not at all."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import (
    FLOW,
    OUR_SDP,
    SDP,
    TCP_FLOW,
    Agent,
    RawPeer,
    confirmed_call,
    incoming_call,
    response_to,
    statuses,
)
from tests.unit.sip.test_outgoing_calls import TARGET, answered, place
from voiceblocks.errors import LocalSipError
from voiceblocks.sip.events import EndCause, LegEnded, OfferReceived, OptionsAnswered


def test_non_invite_slows_down_after_a_provisional_response() -> None:
    """Timer E goes to T2, timer F stays (17.1.2.2)."""
    agent = Agent()
    number = agent.ua.options(TARGET, FLOW, agent.now)
    (request,) = agent.take()
    start = agent.now
    agent.hear(response_to(request, 100, tag=None))
    agent.wait(33)
    assert [at - start for at, _, _ in agent.log] == [0, *range(4, 32, 4)]
    assert agent.event() == OptionsAnswered(number, 408)
    agent.assert_nothing_left()


def test_provisional_response_on_tcp_starts_no_repeats() -> None:
    """There was nothing to slow down."""
    agent = Agent()
    agent.ua.options(TARGET, TCP_FLOW, agent.now)
    (request,) = agent.take()
    agent.hear(response_to(request, 100, tag=None), TCP_FLOW)
    assert agent.wait(31) == []


def test_second_final_response_is_absorbed() -> None:
    """The first one counts, whatever follows, as long as the transaction lives and later."""
    agent = Agent()
    number = agent.ua.options(TARGET, FLOW, agent.now)
    (request,) = agent.take()
    agent.hear(response_to(request, 200))
    agent.hear(response_to(request, 500))
    agent.wait(10)
    agent.hear(response_to(request, 200))
    assert agent.events() == [OptionsAnswered(number, 200)]
    agent.assert_nothing_left()


def test_lost_connection_ends_what_waits_on_it() -> None:
    """OPTIONS fails with 503; a refused INVITE needs no further ACK."""
    agent = Agent()
    number = agent.ua.options(TARGET, TCP_FLOW, agent.now)
    leg, invite = None, None
    agent.take()
    leg, invite = place(agent, flow=TCP_FLOW)
    agent.hear(response_to(invite, 486), TCP_FLOW)
    agent.ua.flow_closed(TCP_FLOW, agent.now)
    assert agent.events()[1:] == [OptionsAnswered(number, 503)]
    assert leg is not None
    agent.ua.flow_closed(TCP_FLOW, agent.now)
    agent.assert_nothing_left()


def test_lost_connection_leaves_an_accepted_invite() -> None:
    """Its call lives on; the transaction runs out by itself."""
    agent = Agent()
    _, invite = place(agent, flow=TCP_FLOW)
    agent.hear(response_to(invite, 200, body=SDP), TCP_FLOW)
    agent.events()
    before = agent.ua.transaction_count
    agent.ua.flow_closed(TCP_FLOW, agent.now)
    assert agent.ua.transaction_count == before
    assert agent.ua.leg_count == 1


def test_cancel_carries_the_route_of_the_invite() -> None:
    """RFC 3261 9.1; a second provisional response draws no second CANCEL."""
    agent = Agent()
    leg, invite = place(agent, headers=[("Route", "<sip:198.51.100.1;lr>")])
    agent.hear(response_to(invite, 180))
    agent.ua.hang_up(leg, agent.now)
    (cancel,) = agent.take()
    assert cancel.headers.get("Route") == "<sip:198.51.100.1;lr>"
    assert agent.hear(response_to(invite, 183)) == []
    agent.ua.hang_up(leg, agent.now)
    assert agent.take() == []


def test_redirection_to_nonsense() -> None:
    """Contacts that cannot be read are left out, an unreadable header gives none."""
    for value, contacts in (("<sip:a@b>, nonsense", ("sip:a@b",)), ("<sip:a@b", ())):
        agent = Agent()
        _, invite = place(agent)
        agent.hear(response_to(invite, 302, headers=[("Contact", value)]))
        assert agent.event().contacts == contacts


def test_reinvite_while_we_hang_up_is_481() -> None:
    """Our BYE is under way: the dialog takes no new session."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.hang_up(leg, agent.now)
    agent.take()
    assert statuses(agent.hear(peer.next("INVITE", body=SDP))) == [481]
    assert statuses(agent.hear(peer.next("INFO", body=b"x"))) == [200]


def test_early_bye_of_the_called_side_is_481() -> None:
    """It must not end an early dialog so; our INVITE stays open."""
    agent = Agent()
    leg, invite = place(agent)
    agent.hear(response_to(invite, 180))
    agent.events()
    peer = RawPeer(invite.call_id, from_tag="callee")
    peer.to_tag = invite.from_tag
    assert statuses(agent.hear(peer.request("BYE"))) == [481]
    assert statuses(agent.hear(peer.next("INVITE", body=SDP))) == [491]
    assert agent.ua.leg_count == 1
    assert leg


def test_busy_peer_with_retry_after_is_asked_again() -> None:
    """500 with Retry-After and 422 with Min-SE for our re-INVITE: again, in time."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    agent.hear(response_to(ours, 500, headers=[("Retry-After", "3 (busy)")]))
    assert agent.wait(3) == []
    (ours,) = agent.wait(0.2)
    agent.hear(response_to(ours, 422, headers=[("Min-SE", "3600")]))
    (ours,) = agent.wait(0)
    assert ours.headers.get("Session-Expires") == "3600;refresher=uac"
    agent.hear(response_to(ours, 500, headers=[("Retry-After", "soon")]))
    assert agent.event().status == 500


def test_refresh_is_asked_again_after_422_and_491() -> None:
    """An UPDATE that is too often gets longer, one that crosses waits."""
    agent, peer = Agent(), RawPeer()
    confirmed_call(agent, peer, headers=("Session-Expires: 200", "Allow: UPDATE"))
    agent.wait(99)
    (update,) = agent.wait(1.2)
    (longer,) = agent.hear(response_to(update, 422, headers=[("Min-SE", "300")]))
    assert longer.headers.get("Session-Expires") == "300;refresher=uac"
    agent.hear(response_to(longer, 491))
    assert agent.wait(4.9) == []
    (again,) = agent.wait(0.2)
    agent.hear(response_to(again, 422, headers=[("Min-SE", "300")]))
    assert agent.ua.leg_count == 1


def test_answer_to_a_refresh_of_an_ended_leg_is_ignored() -> None:
    """We hung up meanwhile."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer, headers=("Session-Expires: 200", "Allow: UPDATE"))
    agent.wait(99)
    (update,) = agent.wait(1.2)
    agent.ua.probe(leg, agent.now)
    (probe,) = agent.take()
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    agent.hear(response_to(bye, 200))
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    for request in (update, probe):
        agent.hear(response_to(request, 481))
    assert agent.events() == []
    agent.assert_nothing_left()


def test_refused_reinvite_refresh_goes_on() -> None:
    """488 for the refresh by re-INVITE: the peer is there, the call too."""
    agent, peer = Agent(), RawPeer()
    confirmed_call(agent, peer, headers=("Session-Expires: 200",))
    agent.wait(99)
    (invite,) = agent.wait(1.2)
    assert statuses(agent.hear(response_to(invite, 488))) == ["ACK"]
    assert agent.events() == []
    assert statuses(agent.wait(100.2))[:1] == ["INVITE"]


def test_refusals_that_are_none() -> None:
    """A refusal needs 300 or more, and an answer that is given is given."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=("Require: 100rel",))
    with pytest.raises(LocalSipError):
        agent.ua.refuse(leg, 200, agent.now)
    agent.ua.ring(leg, agent.now, sdp=OUR_SDP)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    with pytest.raises(LocalSipError):
        agent.ua.answer(leg, OUR_SDP, agent.now)
    assert statuses(agent.take()) == [183]


def test_hang_up_with_an_answer_owed() -> None:
    """The ACK goes out first, without SDP."""
    agent = Agent()
    leg, invite = place(agent, sdp=None)
    agent.hear(response_to(invite, 200, body=SDP))
    agent.ua.hang_up(leg, agent.now)
    assert statuses(agent.take()) == ["ACK", "BYE"]


def test_dialog_of_ours_is_served_from_anywhere_with_a_guard() -> None:
    """A proxy that is not on the list may carry the BYE of a known dialog."""
    from voiceblocks.sip.flow import Flow
    from voiceblocks.sip.source_guard import SourceGuard

    agent, peer = Agent(guard=SourceGuard(["192.0.2.0/24"], 10, 10)), RawPeer()
    leg = confirmed_call(agent, peer)
    elsewhere = Flow("udp", FLOW.local, ("198.51.100.9", 5060))
    assert agent.hear(peer.request("OPTIONS", to_tag="wrong"), elsewhere) == []
    assert statuses(agent.hear(peer.next("BYE"), elsewhere)) == [200]
    assert agent.event() == LegEnded(leg, EndCause.PEER_HUNG_UP)


def test_offer_of_the_called_side_comes_to_the_caller() -> None:
    """The other direction of re-INVITE, and a lower CSeq after it."""
    agent = Agent()
    leg, invite, _ = answered(agent)
    peer = RawPeer(invite.call_id, from_tag="callee")
    peer.to_tag, peer.cseq = invite.from_tag, 700
    agent.hear(peer.request("INVITE", body=SDP))
    assert agent.event() == OfferReceived(leg, SDP, "INVITE")
    assert statuses(agent.hear(peer.request("INFO", cseq=699))) == [500]
