"""Calls that come in: the black-box table of the called side."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import (
    FLOW,
    OUR_SDP,
    SDP,
    TCP_FLOW,
    THEM,
    Agent,
    RawPeer,
    confirmed_call,
    incoming_call,
    statuses,
)
from voiceblocks.errors import LocalSipError
from voiceblocks.sip.events import (
    EndCause,
    InviteReceived,
    LegCancelled,
    LegConfirmed,
    LegEnded,
    OfferReceived,
)
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.source_guard import SourceGuard


def test_call_from_invite_to_bye() -> None:
    """100 at once, 180, 200, ACK, BYE: the whole life of a call that the peer ends."""
    agent, peer = Agent(), RawPeer()
    (trying,) = agent.hear(peer.invite())
    assert trying.status == 100
    assert trying.to_tag is None
    event = agent.event()
    assert isinstance(event, InviteReceived)
    assert (event.offer, event.flow, event.request.method) == (SDP, FLOW, "INVITE")
    agent.ua.ring(event.leg, agent.now)
    (ringing,) = agent.take()
    assert ringing.status == 180
    agent.ua.answer(event.leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert (ok.status, ok.body, ok.content_type) == (200, OUR_SDP, "application/sdp")
    assert ok.to_tag == ringing.to_tag
    assert ok.contact.uri == "sip:voiceblocks@192.0.2.1:5060"
    assert "UPDATE" in ok.headers.get("Allow")
    assert "timer" in ok.headers.get("Supported")
    peer.to_tag = ok.to_tag
    assert agent.hear(peer.ack()) == []
    assert agent.event() == LegConfirmed(event.leg, None)
    (bye_ok,) = agent.hear(peer.next("BYE"))
    assert bye_ok.status == 200
    assert agent.event() == LegEnded(event.leg, EndCause.PEER_HUNG_UP)
    assert agent.wait(0) == []
    agent.assert_nothing_left()


def test_200_repeats_with_doubling_intervals_until_the_ack() -> None:
    """The 200 goes out again after 0.5, 1, 2, 4, 4 s and never after the ACK."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    start = agent.now
    agent.wait(12)
    times = [at - start for at, message, _ in agent.log if statuses([message]) == [200]]
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 11.5]
    peer.to_tag = agent.log[-1][1].to_tag
    agent.hear(peer.ack())
    assert agent.wait(40) == []
    assert agent.events() == [LegConfirmed(leg, None)]


@pytest.mark.parametrize("flow", [FLOW, TCP_FLOW])
def test_never_acknowledged_call_gets_a_bye_after_64_t1(flow: Flow) -> None:
    """Without ACK the core hangs up by itself after 32 s, on UDP and TCP."""
    agent, peer = Agent(), RawPeer()
    agent.hear(peer.invite(), flow)
    leg = agent.event().leg
    agent.ua.answer(leg, OUR_SDP, agent.now)
    sent = agent.wait(31.9)
    assert set(statuses(sent)) == {200}
    (bye,) = agent.wait(0.2)
    assert bye.method == "BYE"
    assert bye.uri == "sip:caller@192.0.2.9:5062"
    assert agent.event() == LegEnded(leg, EndCause.NO_ACK)
    agent.assert_nothing_left()


def test_repeated_invite_is_answered_by_the_last_response() -> None:
    """A retransmission while ringing gets 180 again, not 100, and no second event."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    assert statuses(agent.hear(peer.invite())) == [100]
    agent.ua.ring(leg, agent.now)
    agent.take()
    assert statuses(agent.hear(peer.invite())) == [180]
    assert agent.events() == []


def test_repeated_invite_after_200_starts_no_second_call() -> None:
    """RFC 6026: the Accepted state absorbs it before and after the ACK."""
    agent, peer = Agent(), RawPeer()
    confirmed_call(agent, peer)
    tag, peer.to_tag = peer.to_tag, None
    assert agent.hear(peer.invite()) == []
    assert agent.events() == []
    assert agent.ua.leg_count == 1
    peer.to_tag = tag
    assert statuses(agent.hear(peer.next("BYE"))) == [200]


def test_merged_request_gets_482() -> None:
    """The same INVITE by another way is a loop, not a call."""
    agent, peer = Agent(), RawPeer()
    incoming_call(agent, peer)
    assert statuses(agent.hear(peer.invite(branch="z9hG4bK-other-way"))) == [482]
    assert agent.events() == []
    assert agent.ua.leg_count == 1


def test_cancel_gets_200_and_487_until_the_ack() -> None:
    """CANCEL before the answer: 200, then 487 repeated on UDP until acknowledged."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.ring(leg, agent.now)
    agent.take()
    cancel = peer.request("CANCEL", branch="z9hG4bK-call-1-invite-1")
    ok, terminated = agent.hear(cancel)
    assert (ok.status, ok.cseq.method) == (200, "CANCEL")
    assert (terminated.status, terminated.cseq.method) == (487, "INVITE")
    assert ok.to_tag == terminated.to_tag
    assert agent.event() == LegCancelled(leg)
    assert statuses(agent.wait(3.6)) == [487, 487, 487]
    assert statuses(agent.hear(cancel)) == [200]
    agent.hear(peer.ack_of_refusal(terminated))
    assert agent.wait(60) == []
    with pytest.raises(LocalSipError):
        agent.ua.answer(leg, OUR_SDP, agent.now)
    agent.assert_nothing_left()


def test_cancel_on_tcp_repeats_nothing() -> None:
    """Timers G and I do not run on a reliable transport."""
    agent, peer = Agent(), RawPeer(transport="TCP")
    agent.hear(peer.invite(), TCP_FLOW)
    cancel = peer.request("CANCEL", branch="z9hG4bK-call-1-invite-1")
    assert statuses(agent.hear(cancel, TCP_FLOW)) == [200, 487]
    assert agent.wait(100) == []
    agent.assert_nothing_left()


def test_cancel_after_200_changes_nothing() -> None:
    """A CANCEL that crossed the 200 is answered, and the call goes on."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    cancel = peer.request("CANCEL", branch="z9hG4bK-call-1-invite-1")
    (answer,) = agent.hear(cancel)
    assert (answer.status, answer.cseq.method) == (200, "CANCEL")
    peer.to_tag = ok.to_tag
    agent.hear(peer.ack())
    assert agent.event() == LegConfirmed(leg, None)


def test_refusal_repeats_until_its_ack_and_leaves_nothing() -> None:
    """486 is sent again on UDP until the ACK; its leg is gone at once."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.refuse(leg, 486, agent.now, reason="Line Busy", headers=(("Retry-After", "5"),))
    (busy,) = agent.take()
    assert (busy.status, busy.reason) == (486, "Line Busy")
    assert busy.headers.get("Retry-After") == "5"
    assert agent.ua.leg_count == 0
    assert statuses(agent.wait(1.6)) == [486, 486]
    assert statuses(agent.hear(peer.invite())) == [486]
    agent.hear(peer.ack_of_refusal(busy))
    assert agent.hear(peer.invite()) == []
    assert agent.wait(60) == []
    agent.assert_nothing_left()


def test_refusal_without_ack_gives_up_after_timer_h() -> None:
    """A peer that never acknowledges a refusal costs 32 s of memory, no more."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.refuse(leg, 404, agent.now)
    sent = agent.wait(33)
    assert len(sent) == 11
    agent.assert_nothing_left()


def test_ringing_repeats_each_minute_and_may_last() -> None:
    """180 goes out again every 60 s, and ten minutes of ringing can be answered."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.ring(leg, agent.now)
    assert statuses(agent.wait(600)) == [180] * 11
    agent.ua.answer(leg, OUR_SDP, agent.now)
    assert statuses(agent.take()) == [200]


def test_early_media_is_183_with_sdp() -> None:
    """`ring` with SDP sends 183, and the same tag as the 200."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.ring(leg, agent.now, sdp=OUR_SDP)
    (progress,) = agent.take()
    assert (progress.status, progress.body) == (183, OUR_SDP)
    assert progress.headers.get("RSeq") is None


def test_hang_up_by_us_after_the_ack() -> None:
    """Our BYE goes to Contact, with a CSeq of our own, and ends the leg when answered."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert (bye.method, bye.uri, str(bye.cseq)) == ("BYE", "sip:caller@192.0.2.9:5062", "1 BYE")
    assert bye.headers.get("From") == f"<sip:+6531580000@192.0.2.1>;tag={peer.to_tag}"
    assert bye.headers.get("To") == "<sip:+6591110000@192.0.2.9>;tag=theirs"
    assert agent.events() == []
    agent.ua.hang_up(leg, agent.now)
    assert agent.take() == []
    from tests.unit.sip.peers import response_to

    agent.hear(response_to(bye, 200))
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    agent.assert_nothing_left()


def test_hang_up_before_the_ack_waits_for_it() -> None:
    """RFC 3261 15: no BYE on a dialog whose 200 is not acknowledged yet."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    agent.ua.hang_up(leg, agent.now)
    assert agent.take() == []
    peer.to_tag = ok.to_tag
    assert statuses(agent.hear(peer.ack())) == ["BYE"]
    assert agent.events() == []
    assert set(statuses(agent.wait(40))) == {"BYE"}
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    agent.assert_nothing_left()


def test_hang_up_before_the_ack_that_never_comes() -> None:
    """After 64*T1 without ACK the BYE goes out anyway."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    agent.ua.hang_up(leg, agent.now)
    sent = statuses(agent.wait(70))
    assert sent[:11] == [200] * 11
    assert set(sent[11:]) == {"BYE"}
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    agent.assert_nothing_left()


def test_hang_up_while_ringing_is_603() -> None:
    """Hanging up a call that was never answered declines it."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.hang_up(leg, agent.now)
    assert statuses(agent.take()) == [603]
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)


def test_crossing_byes_are_both_answered() -> None:
    """The peer's BYE while ours is under way gets 200, and the leg ends once."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.hang_up(leg, agent.now)
    agent.take()
    assert statuses(agent.hear(peer.next("BYE"))) == [200]
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    agent.wait(40)
    assert agent.events() == []
    agent.assert_nothing_left()


def test_bye_before_the_ack_ends_the_call() -> None:
    """The ACK was lost and the peer hangs up: 200, and the 200 of the INVITE rests."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    peer.to_tag = ok.to_tag
    assert statuses(agent.hear(peer.next("BYE"))) == [200]
    assert agent.event() == LegEnded(leg, EndCause.PEER_HUNG_UP)
    assert agent.wait(40) == []
    agent.assert_nothing_left()


def test_bye_before_the_answer_cancels() -> None:
    """A BYE on the early dialog gets 200, the INVITE 487."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.ring(leg, agent.now)
    (ringing,) = agent.take()
    peer.to_tag = ringing.to_tag
    assert statuses(agent.hear(peer.next("BYE"))) == [200, 487]
    assert agent.event() == LegCancelled(leg)


def test_repeated_bye_is_answered_again() -> None:
    """A lost 200 of the BYE is sent again, although the leg is gone."""
    agent, peer = Agent(), RawPeer()
    confirmed_call(agent, peer)
    bye = peer.next("BYE")
    (first,) = agent.hear(bye)
    (second,) = agent.hear(bye)
    assert first.serialize() == second.serialize()
    assert len(agent.events()) == 1


def test_late_offer_is_ours_and_the_ack_answers() -> None:
    """An INVITE without SDP gets our offer in the 200; the ACK's SDP is the answer."""
    agent, peer = Agent(), RawPeer()
    agent.hear(peer.invite(body=b""))
    event = agent.event()
    assert event.offer is None
    agent.ua.ring(event.leg, agent.now, sdp=OUR_SDP)
    assert agent.take()[0].body == b""
    agent.ua.answer(event.leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert ok.body == OUR_SDP
    peer.to_tag = ok.to_tag
    agent.hear(peer.ack(body=SDP))
    assert agent.event() == LegConfirmed(event.leg, SDP)


def test_record_route_is_echoed_and_followed() -> None:
    """Record-Route comes back in 200, and our BYE carries it as Route to the first hop."""
    agent, peer = Agent(), RawPeer()
    routes = ("Record-Route: <sip:198.51.100.1;lr>, <sip:198.51.100.2:5070;lr>",)
    leg = incoming_call(agent, peer, headers=routes)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert ok.headers.values("Record-Route") == [
        "<sip:198.51.100.1;lr>",
        "<sip:198.51.100.2:5070;lr>",
    ]
    peer.to_tag = ok.to_tag
    agent.hear(peer.ack())
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert bye.uri == "sip:caller@192.0.2.9:5062"
    assert bye.headers.get_all("Route") == ["<sip:198.51.100.1;lr>", "<sip:198.51.100.2:5070;lr>"]
    assert agent.log[-1][2].remote == ("198.51.100.1", 5060)


def test_strict_router_becomes_the_request_uri() -> None:
    """A first Route without lr is the Request-URI, and the target goes last."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(
        agent, peer, headers=("Record-Route: <sip:198.51.100.1>, <sip:198.51.100.2;lr>",)
    )
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert bye.uri == "sip:198.51.100.1"
    assert bye.headers.get_all("Route") == [
        "<sip:198.51.100.2;lr>",
        "<sip:caller@192.0.2.9:5062>",
    ]


def test_bye_follows_contact_unless_a_nat_shows() -> None:
    """Contact says where to; a Via that differs from the source means a NAT: the flow."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer, contact="<sip:caller@192.0.2.77:5999>")
    agent.ua.hang_up(leg, agent.now)
    agent.take()
    assert agent.log[-1][2].remote == ("192.0.2.77", 5999)
    hidden = RawPeer("call-2")
    natted = Flow("udp", FLOW.local, ("203.0.113.5", 33000))
    agent.hear(hidden.invite(), natted)
    leg = agent.event().leg
    agent.ua.answer(leg, OUR_SDP, agent.now)
    hidden.to_tag = agent.take()[0].to_tag
    agent.hear(hidden.ack(), natted)
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert bye.uri == "sip:caller@192.0.2.9:5062"
    assert agent.log[-1][2] == natted


def test_via_is_echoed_raw_with_received_and_rport() -> None:
    """Metaswitch's `+` in Via stays, rport is filled in, and the From comes back as sent."""
    agent, peer = Agent(), RawPeer()
    invite = peer.invite(branch="z9hG4bK+a+b").replace(b"192.0.2.9:5062;b", b"a+b_c.test;x=+1;b")
    (trying,) = agent.hear(invite)
    assert trying.headers.get("Via") == (
        f"SIP/2.0/UDP a+b_c.test;x=+1;branch=z9hG4bK+a+b;rport={THEM[1]};received={THEM[0]}"
    )
    assert trying.headers.get("From") == "<sip:+6591110000@192.0.2.9>;tag=theirs"


def test_invite_in_progress_survives_silence_of_the_owner() -> None:
    """Nothing times out while the owner makes up its mind."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    assert agent.wait(300) == []
    agent.ua.refuse(leg, 480, agent.now)
    assert statuses(agent.take()) == [480]


def test_lost_connection_ends_an_unanswered_call() -> None:
    """A TCP peer that vanishes while ringing leaves nothing behind."""
    agent, peer = Agent(), RawPeer(transport="TCP")
    agent.hear(peer.invite(), TCP_FLOW)
    leg = agent.event().leg
    agent.ua.flow_closed(TCP_FLOW, agent.now)
    assert agent.event() == LegEnded(leg, EndCause.TRANSPORT_LOST)
    agent.assert_nothing_left()


def test_lost_connection_of_a_confirmed_call_moves_to_contact() -> None:
    """The dialog outlives its connection: the BYE asks for a new one, else the leg is lost."""
    agent, peer = Agent(), RawPeer(transport="TCP")
    agent.hear(peer.invite(contact="<sip:caller@192.0.2.9:5062;transport=tcp>"), TCP_FLOW)
    leg = agent.event().leg
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert ok.contact.uri == "sip:voiceblocks@192.0.2.1:5060;transport=tcp"
    peer.to_tag = ok.to_tag
    agent.hear(peer.ack(), TCP_FLOW)
    agent.events()
    agent.ua.flow_closed(TCP_FLOW, agent.now)
    assert agent.events() == []
    agent.ua.probe(leg, agent.now)
    agent.take()
    reopened = agent.log[-1][2]
    assert (reopened.transport, reopened.remote, reopened.connection) == ("tcp", THEM, 0)
    agent.ua.flow_closed(reopened, agent.now)
    assert agent.events()[-1].leg == leg
    agent.assert_nothing_left()


def test_strangers_get_no_answer() -> None:
    """With a guard, requests from outside its networks are dropped in silence."""
    guard = SourceGuard(["198.51.100.0/24"], 1.0, 1)
    agent, peer = Agent(guard=guard), RawPeer()
    assert agent.hear(peer.invite()) == []
    assert agent.hear(peer.request("OPTIONS")) == []
    assert agent.hear(b"INVITE sip:x SIP/2.0\r\nbroken\r\n\r\n") == []
    assert agent.events() == []
    assert guard.dropped_strangers == 1
    assert agent.ua.transaction_count == 0


def test_guard_limits_calls_but_not_their_repeats() -> None:
    """A second call at once is dropped, a repeated INVITE of the first is answered."""
    agent, first, second = Agent(guard=SourceGuard(["192.0.2.0/24"], 1.0, 1)), RawPeer(), None
    second = RawPeer("call-2")
    incoming_call(agent, first)
    assert statuses(agent.hear(first.invite())) == [100]
    assert agent.hear(second.invite()) == []
    agent.now += 1
    assert statuses(agent.hear(second.invite())) == [100]


def test_reinvite_is_an_offer() -> None:
    """Hold: the re-INVITE comes as OfferReceived, our answer as 200 until its ACK."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    hold = SDP + b"a=sendonly\r\n"
    assert statuses(agent.hear(peer.next("INVITE", body=hold))) == [100]
    assert agent.event() == OfferReceived(leg, hold, "INVITE")
    agent.ua.answer_offer(leg, OUR_SDP + b"a=recvonly\r\n", agent.now)
    assert statuses(agent.wait(1.6)) == [200, 200, 200]
    agent.hear(peer.ack())
    assert agent.wait(40) == []
    assert agent.events() == []
