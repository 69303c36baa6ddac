"""Offers inside a dialog: re-INVITE and UPDATE both ways, crossing ones, refusals."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import (
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
from tests.unit.sip.test_outgoing_calls import answered
from voiceblocks.errors import LocalSipError
from voiceblocks.sip.events import (
    EndCause,
    LegEnded,
    OfferAnswered,
    OfferReceived,
    OfferRefused,
    OfferWithdrawn,
)
from voiceblocks.sip.flow import Flow

HOLD = SDP + b"a=sendonly\r\n"


def test_reinvite_without_offer_asks_for_ours() -> None:
    """Our offer goes in the 200, and the ACK's SDP comes as OfferAnswered."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE"))
    assert agent.event() == OfferReceived(leg, None, "INVITE")
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert ok.body == OUR_SDP
    agent.hear(peer.ack(body=HOLD))
    assert agent.event() == OfferAnswered(leg, HOLD)


def test_reinvite_that_is_refused_changes_nothing() -> None:
    """488 until its ACK; the next offer is welcome."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE", body=HOLD, branch="z9hG4bK-re1"))
    agent.events()
    agent.ua.answer_offer(leg, None, agent.now)
    (refusal,) = agent.take()
    assert refusal.status == 488
    agent.hear(peer.request("ACK", branch="z9hG4bK-re1"))
    assert agent.wait(10) == []
    agent.hear(peer.next("INVITE", body=HOLD))
    assert agent.event() == OfferReceived(leg, HOLD, "INVITE")
    with pytest.raises(LocalSipError):
        agent.ua.answer_offer(leg, None, agent.now, status=200)


def test_reinvite_moves_the_remote_target() -> None:
    """A new Contact is where the BYE goes."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE", body=HOLD, contact="<sip:moved@192.0.2.9:5099>"))
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    agent.take()
    agent.hear(peer.ack())
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert bye.uri == "sip:moved@192.0.2.9:5099"


def test_reinvite_never_acknowledged_hangs_up() -> None:
    """The 200 of a re-INVITE is repeated, and after 64*T1 the leg ends with a BYE."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE", body=HOLD))
    agent.events()
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    sent = statuses(agent.wait(33))
    assert sent[:11] == [200] * 11
    assert set(sent[11:]) == {"BYE"}
    assert agent.event() == LegEnded(leg, EndCause.NO_ACK)
    agent.assert_nothing_left()


def test_second_offer_while_one_is_pending() -> None:
    """500 with Retry-After for the second re-INVITE and for an UPDATE with SDP (14.2)."""
    agent, peer = Agent(), RawPeer()
    confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE", body=HOLD))
    (answer,) = agent.hear(peer.next("INVITE", body=HOLD))
    assert (answer.status, "Retry-After" in answer.headers) == (500, True)
    assert statuses(agent.hear(peer.next("UPDATE", body=HOLD))) == [500]
    assert statuses(agent.hear(peer.next("UPDATE"))) == [200]


def test_offer_that_crosses_ours_is_491() -> None:
    """While our re-INVITE is open, theirs is a glare."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    assert statuses(agent.hear(peer.next("INVITE", body=HOLD))) == [491]
    assert statuses(agent.hear(peer.next("UPDATE", body=HOLD))) == [491]
    ack, *_ = agent.hear(response_to(ours, 200, body=HOLD))
    assert ack.method == "ACK"
    assert agent.event() == OfferAnswered(leg, HOLD)


def test_cancelled_reinvite_is_withdrawn() -> None:
    """CANCEL of a re-INVITE: 200, 487, OfferWithdrawn; the call goes on."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE", body=HOLD, branch="z9hG4bK-re"))
    agent.events()
    assert statuses(agent.hear(peer.request("CANCEL", branch="z9hG4bK-re"))) == [200, 487]
    assert agent.event() == OfferWithdrawn(leg)
    with pytest.raises(LocalSipError):
        agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    assert agent.ua.leg_count == 1


def test_offer_whose_connection_is_lost_is_withdrawn() -> None:
    """A pending re-INVITE on a broken TCP connection cannot be answered any more."""
    agent, peer = Agent(), RawPeer(transport="TCP")
    agent.hear(peer.invite(), TCP_FLOW)
    leg = agent.event().leg
    agent.ua.answer(leg, OUR_SDP, agent.now)
    peer.to_tag = agent.take()[0].to_tag
    agent.hear(peer.ack(), TCP_FLOW)
    agent.hear(peer.next("INVITE", body=HOLD), TCP_FLOW)
    agent.events()
    agent.ua.flow_closed(TCP_FLOW, agent.now)
    assert agent.event() == OfferWithdrawn(leg)
    assert agent.ua.leg_count == 1
    again = Flow("tcp", TCP_FLOW.local, TCP_FLOW.remote, 8)
    assert statuses(agent.hear(peer.next("BYE"), again)) == [200]
    assert agent.log[-1][2] == again


def test_bye_while_an_offer_is_pending_answers_both() -> None:
    """The unanswered re-INVITE gets 487 when the peer hangs up."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE", body=HOLD))
    agent.events()
    assert sorted(statuses(agent.hear(peer.next("BYE")))) == [200, 487]
    assert agent.event() == LegEnded(leg, EndCause.PEER_HUNG_UP)
    agent.assert_nothing_left()


def test_update_with_sdp_is_an_offer() -> None:
    """UPDATE with SDP: OfferReceived, answered in its 200, no ACK."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    assert agent.hear(peer.next("UPDATE", body=HOLD)) == []
    assert agent.event() == OfferReceived(leg, HOLD, "UPDATE")
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert (ok.status, ok.body, ok.cseq.method) == (200, OUR_SDP, "UPDATE")
    assert agent.wait(60) == []


def test_update_before_our_answer_has_to_wait() -> None:
    """RFC 3311 5.2: 500 with SDP while the INVITE's offer is open, 200 without."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.ring(leg, agent.now)
    peer.to_tag = agent.take()[0].to_tag
    assert statuses(agent.hear(peer.next("UPDATE", body=HOLD))) == [500]
    assert statuses(agent.hear(peer.next("UPDATE"))) == [200]


def test_our_offer_is_acknowledged_each_time() -> None:
    """reoffer: re-INVITE, ACK, OfferAnswered once, the same ACK for a repeated 200."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    assert (ours.method, ours.body, ours.to_tag) == ("INVITE", OUR_SDP, "theirs")
    ok = response_to(ours, 200, body=HOLD)
    (ack,) = agent.hear(ok)
    assert (ack.method, ack.cseq.number) == ("ACK", ours.cseq.number)
    assert agent.hear(ok)[0].serialize() == ack.serialize()
    assert agent.event() == OfferAnswered(leg, HOLD)


@pytest.mark.parametrize(("we_called", "low", "high"), [(True, 2.1, 4.0), (False, 0.0, 2.0)])
def test_glare_is_tried_again(we_called: bool, low: float, high: float) -> None:
    """491: again after 2.1-4 s if the Call-ID is ours, else after 0-2 s (14.1)."""
    agent, peer = Agent(), RawPeer()
    leg = answered(agent)[0] if we_called else confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    start = agent.now
    assert statuses(agent.hear(response_to(ours, 491))) == ["ACK"]
    again = next(m for m in agent.wait(4.5) if statuses([m]) == ["INVITE"])
    sent_at = next(at for at, message, _ in agent.log if message is again)
    assert low <= sent_at - start <= high
    assert again.cseq.number == ours.cseq.number + 1
    agent.hear(response_to(again, 200, body=HOLD))
    assert agent.event() == OfferAnswered(leg, HOLD)


def test_endless_glare_is_given_up() -> None:
    """After five crossings in a row the offer counts as refused, and the call goes on."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    for _ in range(5):
        agent.hear(response_to(ours, 491))
        (ours,) = [m for m in agent.wait(2.1) if statuses([m]) == ["INVITE"]][:1]
    agent.hear(response_to(ours, 491))
    assert agent.event() == OfferRefused(leg, 491)
    assert agent.ua.leg_count == 1


@pytest.mark.parametrize("status", [488, 606])
def test_refused_offer_leaves_the_session(status: int) -> None:
    """A refused re-INVITE is told, and the leg lives."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    agent.hear(response_to(ours, status))
    assert agent.event() == OfferRefused(leg, status)
    assert statuses(agent.hear(peer.next("OPTIONS"))) == [200]


def test_offer_into_a_dead_dialog_ends_the_leg() -> None:
    """481 for our re-INVITE: the leg is gone."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    assert statuses(agent.hear(response_to(ours, 481))) == ["ACK"]
    assert agent.event() == LegEnded(leg, EndCause.PEER_GONE)
    agent.assert_nothing_left()


def test_our_offer_waits_for_theirs() -> None:
    """Only one exchange at a time: ours goes out after their ACK, the newest of two."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.hear(peer.next("INVITE", body=HOLD))
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    agent.ua.reoffer(leg, OUR_SDP + b"a=recvonly\r\n", agent.now)
    assert agent.take() == []
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    assert statuses(agent.take()) == [200]
    (ours,) = agent.hear(peer.ack())
    assert (ours.method, ours.body) == ("INVITE", OUR_SDP + b"a=recvonly\r\n")


def test_hang_up_while_our_offer_is_open() -> None:
    """BYE at once; a 200 that still comes gets its ACK, and nothing stays behind."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    agent.hear(response_to(ours, 100, tag=None))
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    agent.hear(response_to(bye, 200))
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    assert statuses(agent.hear(response_to(ours, 200, body=HOLD))) == ["ACK"]
    assert agent.events() == []
    agent.assert_nothing_left()


def test_hang_up_while_our_offer_is_never_answered() -> None:
    """A re-INVITE without final response does not outlive its leg for ever."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.reoffer(leg, OUR_SDP, agent.now)
    (ours,) = agent.take()
    agent.hear(response_to(ours, 100, tag=None))
    agent.ua.hang_up(leg, agent.now)
    agent.hear(response_to(agent.take()[0], 200))
    agent.assert_nothing_left()
