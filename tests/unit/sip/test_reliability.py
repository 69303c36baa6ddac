"""Reliable provisional responses (RFC 3262) in both roles."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import OUR_SDP, SDP, Agent, RawPeer, incoming_call, response_to, statuses
from tests.unit.sip.test_outgoing_calls import place
from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.events import Answered, EndCause, LegEnded, Progress
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.reliability import RAck, ReliableReceiver, read_rseq

REQUIRED = ("Require: 100rel",)


def prack_of(peer: RawPeer, response) -> bytes:
    """The PRACK of a reliable response."""
    return peer.next("PRACK", headers=(f"RAck: {response.headers.get('RSeq')} 1 INVITE",))


def test_supported_alone_stays_unreliable() -> None:
    """A peer that merely supports 100rel gets plain responses."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=("Supported: 100rel",))
    agent.ua.ring(leg, agent.now)
    (ringing,) = agent.take()
    assert "RSeq" not in ringing.headers


def test_required_180_repeats_until_its_prack() -> None:
    """Require: 100rel with RSeq, repeated at doubling intervals; PRACK gets 200."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now)
    (ringing,) = agent.take()
    assert ringing.headers.get("Require") == "100rel"
    peer.to_tag = ringing.to_tag
    assert statuses(agent.wait(3.6)) == [180, 180, 180]
    prack = prack_of(peer, ringing)
    assert statuses(agent.hear(prack)) == [200]
    assert statuses(agent.hear(prack)) == [200]
    assert agent.wait(50) == []
    assert statuses(agent.hear(prack_of(peer, ringing))) == [481]
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert (ok.status, ok.body) == (200, OUR_SDP)


def test_next_reliable_response_waits_and_counts_on() -> None:
    """183 asked for before the PRACK of 180 goes out after it, with the next RSeq."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now)
    (ringing,) = agent.take()
    peer.to_tag = ringing.to_tag
    agent.ua.ring(leg, agent.now, sdp=OUR_SDP)
    assert agent.take() == []
    ok, progress = agent.hear(prack_of(peer, ringing))
    assert (ok.status, progress.status, progress.body) == (200, 183, OUR_SDP)
    assert int(progress.headers.get("RSeq")) == int(ringing.headers.get("RSeq")) + 1


def test_answer_waits_for_the_prack_of_an_sdp() -> None:
    """The 200 follows the PRACK of a 183 with SDP, and holds none again (RFC 3262 3)."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now, sdp=OUR_SDP)
    (progress,) = agent.take()
    peer.to_tag = progress.to_tag
    agent.ua.answer(leg, OUR_SDP, agent.now)
    assert agent.take() == []
    prack_ok, ok = agent.hear(prack_of(peer, progress))
    assert (prack_ok.cseq.method, ok.cseq.method, ok.body) == ("PRACK", "INVITE", b"")
    assert "Content-Type" not in ok.headers


def test_answer_does_not_wait_for_a_plain_180() -> None:
    """Without SDP the 200 goes out at once and the 180 rests."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now)
    agent.take()
    agent.ua.answer(leg, OUR_SDP, agent.now)
    assert set(statuses(agent.wait(20))) == {200}


def test_prack_after_the_200_is_taken() -> None:
    """It crossed our answer: 200, not 481."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now)
    (ringing,) = agent.take()
    peer.to_tag = ringing.to_tag
    agent.ua.answer(leg, OUR_SDP, agent.now)
    agent.take()
    assert statuses(agent.hear(prack_of(peer, ringing))) == [200]


def test_offer_inside_a_prack_is_488_and_the_answer_follows() -> None:
    """The PRACK counts, its further offer does not."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now, sdp=OUR_SDP)
    (progress,) = agent.take()
    peer.to_tag = progress.to_tag
    agent.ua.answer(leg, OUR_SDP, agent.now)
    rack = (f"RAck: {progress.headers.get('RSeq')} 1 INVITE",)
    prack = peer.next("PRACK", headers=rack, body=b"x", content_type="text/plain")
    assert statuses(agent.hear(prack)) == [488, 200]


def test_required_without_offer_goes_straight_to_the_answer() -> None:
    """No provisional response can be right then: 100, and our offer in the 200."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED, body=b"")
    agent.ua.ring(leg, agent.now)
    assert agent.take() == []
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert (ok.status, ok.body) == (200, OUR_SDP)


def test_no_prack_fails_the_call() -> None:
    """After 64*T1 the INVITE gets 500 and the leg ends."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now)
    sent = agent.wait(32.1)
    assert statuses(sent)[-1] == 500
    assert agent.event() == LegEnded(leg, EndCause.NO_PRACK)
    agent.assert_nothing_left()


@pytest.mark.parametrize("rack", ["1 1 INVITE", "x", "", "5 5", "-1 1 INVITE"])
def test_prack_that_fits_nothing(rack: str) -> None:
    """A wrong RAck is 481, a broken one 400."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer, headers=REQUIRED)
    agent.ua.ring(leg, agent.now)
    peer.to_tag = agent.take()[0].to_tag
    (answer,) = agent.hear(peer.next("PRACK", headers=(f"RAck: {rack}",)))
    assert answer.status == (481 if rack == "1 1 INVITE" else 400)


def test_our_call_acknowledges_reliable_responses_once() -> None:
    """PRACK in the early dialog with RAck; repeats and gaps are dropped; the call goes on."""
    agent = Agent()
    leg, invite = place(agent)
    assert "100rel" in invite.headers.get("Supported")
    reliable = [("Require", "100rel"), ("RSeq", "7")]
    progress = response_to(invite, 183, headers=reliable, body=SDP)
    (prack,) = agent.hear(progress)
    assert prack.method == "PRACK"
    assert (prack.headers.get("RAck"), prack.uri) == ("7 1 INVITE", "sip:callee@192.0.2.9:5062")
    assert prack.cseq.number == 2
    assert agent.hear(progress) == []
    gap = [("Require", "100rel"), ("RSeq", "9")]
    assert agent.hear(response_to(invite, 180, headers=gap)) == []
    agent.hear(response_to(prack, 200))
    assert agent.events() == [Progress(leg, 183, SDP)]
    (ack,) = agent.hear(response_to(invite, 200))
    assert ack.cseq.number == 1
    assert isinstance(agent.event(), Answered)
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert bye.cseq.number == 3


def test_parsing() -> None:
    """RAck and RSeq as the RFC writes them, and what is none."""
    assert RAck.parse(Headers([("RAck", "776656 1 INVITE")])) == RAck(776656, 1, "INVITE")
    with pytest.raises(RemoteSipError):
        RAck.parse(Headers())
    assert read_rseq(Headers([("RSeq", "988789")])) == 988789
    assert read_rseq(Headers([("RSeq", "many")])) is None
    assert read_rseq(Headers()) is None


def test_receiver_takes_numbers_in_order_per_dialog() -> None:
    """The first number is free, then only the next one; each fork counts for itself."""
    receiver = ReliableReceiver()
    took = [receiver.accept("a", n) for n in (5, 5, 7, 6, 7)]
    assert took == [True, False, False, True, True]
    assert receiver.accept("b", 1)
