"""INVITEs that an earlier process left without final answer: its successor ends the ringing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sip.peers import (
    FLOW,
    OUR_SDP,
    SDP,
    TCP_FLOW,
    US,
    Agent,
    RawPeer,
    incoming_call,
    response_to,
    statuses,
)
from voiceblocks.errors import ContractViolation
from voiceblocks.sip.events import InviteReceived, StrayAnswer
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.unanswered_invite import read_unanswered

CREDENTIALS = ("us", "secret")
CHALLENGE = ("Proxy-Authenticate", 'Digest realm="carrier", nonce="n1", qop="auth"')


def placed(old: Agent, flow: Flow = FLOW) -> tuple[int, SipRequest]:
    """A call of ours, on its way."""
    leg = old.ua.call(
        target="sip:+6591234567@192.0.2.9:5062", from_="sip:+6531580000@192.0.2.1",
        to="sip:+6591234567@192.0.2.9", flow=flow, sdp=OUR_SDP, now=old.now,
        headers=[("Route", "<sip:192.0.2.9:5062;lr>")], credentials=CREDENTIALS,
    )  # fmt: skip
    (invite,) = old.take()
    assert isinstance(invite, SipRequest)
    return leg, invite


def cancelled(
    *, answer: int = 180, flow: Flow = FLOW, **more: str | None
) -> tuple[Agent, SipRequest, SipRequest]:
    """The next process, the INVITE that it cancels, and its CANCEL."""
    old, fresh = Agent(seed=7), Agent(seed=2)
    leg, invite = placed(old, flow)
    old.hear(response_to(invite, answer, **more), flow)
    fresh.ua.former.hang_up(old.ua.snapshot(leg), flow, fresh.now, CREDENTIALS)
    (cancel,) = fresh.take()
    assert isinstance(cancel, SipRequest)
    return fresh, invite, cancel


# Ours


def test_a_phone_that_rings_is_cancelled() -> None:
    """With all that makes the CANCEL the INVITE's (9.1), to its address; 487 gets its ACK."""
    fresh, invite, cancel = cancelled()
    assert (cancel.method, cancel.uri) == ("CANCEL", invite.uri)
    for name in ("Via", "Route", "From", "To", "Call-ID"):
        assert cancel.headers.get_all(name) == invite.headers.get_all(name)
    assert cancel.headers.get("CSeq") == "1 CANCEL"
    assert fresh.log[-1][2] == FLOW
    assert fresh.hear(response_to(cancel, 200)) == []
    (ack,) = fresh.hear(response_to(invite, 487))
    assert (ack.method, ack.headers.get("Via")) == ("ACK", invite.headers.get("Via"))
    assert statuses(fresh.hear(response_to(invite, 487))) == ["ACK"]
    assert fresh.events() == []
    assert fresh.wait(5) == []
    fresh.assert_nothing_left()


def test_a_lost_cancel_is_sent_again() -> None:
    """And one that nobody ever answers is given up."""
    fresh, _, cancel = cancelled(answer=100, tag=None)
    again = fresh.wait(3.9)
    assert [message.serialize() for message in again] == [cancel.serialize()] * 3
    fresh.assert_nothing_left()


def test_who_answers_before_the_cancel_is_hung_up() -> None:
    """ACK and BYE at once, with the password if that is asked for; repeats get their ACK alone."""
    fresh, invite, cancel = cancelled()
    fresh.hear(response_to(cancel, 200))
    answer = response_to(invite, 200, body=SDP)
    ack, bye = fresh.hear(answer)
    assert (ack.method, ack.cseq.number, ack.uri) == ("ACK", 1, "sip:callee@192.0.2.9:5062")
    assert (bye.method, bye.uri, bye.to_tag) == ("BYE", ack.uri, "callee")
    assert statuses(fresh.hear(answer)) == ["ACK"]
    (again,) = fresh.hear(response_to(bye, 407, headers=[CHALLENGE]))
    assert 'username="us"' in (again.headers.get("Proxy-Authorization") or "")
    fresh.hear(response_to(again, 200))
    assert fresh.wait(5) == []
    fresh.assert_nothing_left()


def test_an_answer_that_came_before_we_looked_is_hung_up_once() -> None:
    """The new process hears the 200 while it still reads what the old one left."""
    old, fresh = Agent(seed=7), Agent(seed=2)
    leg, invite = placed(old)
    old.hear(response_to(invite, 180))
    answer = response_to(invite, 200, body=SDP)
    fresh.hear(answer)
    event = fresh.event()
    assert isinstance(event, StrayAnswer)
    fresh.ua.former.refuse_answer(event, fresh.now, CREDENTIALS)
    assert statuses(fresh.take()) == ["ACK", "BYE"]
    fresh.ua.former.hang_up(old.ua.snapshot(leg), FLOW, fresh.now, CREDENTIALS)
    assert statuses(fresh.take()) == ["CANCEL"]
    assert statuses(fresh.hear(answer)) == ["ACK"]


@pytest.mark.parametrize("answer", [481, 200])
def test_an_answer_that_nobody_noted_is_hung_up(answer: int) -> None:
    """Whoever answered, and had our ACK, says no more of its INVITE: BYE in the early dialog."""
    fresh, _, cancel = cancelled()
    said = fresh.hear(response_to(cancel, answer))
    # 481 says at once that the INVITE is over; after 200 its 487 might still come.
    assert statuses(said) == (["BYE"] if answer == 481 else [])
    if answer == 200:
        said = fresh.wait(4)
    (bye,) = said
    assert isinstance(bye, SipRequest)
    assert (bye.method, bye.to_tag, bye.uri) == ("BYE", "callee", "sip:callee@192.0.2.9:5062")
    assert bye.cseq.number > 1000
    fresh.hear(response_to(bye, 200))
    fresh.assert_nothing_left()


def test_every_fork_that_rang_is_hung_up() -> None:
    """One BYE each, where none of them says how its INVITE ended."""
    old, fresh = Agent(seed=7), Agent(seed=2)
    leg, invite = placed(old)
    for tag in ("one", "two"):
        old.hear(response_to(invite, 180, tag=tag))
    fresh.ua.former.hang_up(old.ua.snapshot(leg), FLOW, fresh.now)
    (cancel,) = fresh.take()
    assert isinstance(cancel, SipRequest)
    byes = fresh.hear(response_to(cancel, 481))
    assert sorted(bye.to_tag or "" for bye in byes) == ["one", "two"]
    assert statuses(byes) == ["BYE", "BYE"]


def test_what_was_sent_with_a_password_is_cancelled_as_that() -> None:
    """A 407 makes another INVITE of it, which alone rings."""
    old, fresh = Agent(seed=7), Agent(seed=2)
    leg, first = placed(old)
    _, second = old.hear(response_to(first, 407, headers=[CHALLENGE]))
    assert isinstance(second, SipRequest)
    fresh.ua.former.hang_up(old.ua.snapshot(leg), FLOW, fresh.now)
    (cancel,) = fresh.take()
    assert isinstance(cancel, SipRequest)
    assert cancel.top_via.branch == second.top_via.branch != first.top_via.branch
    assert cancel.cseq.number == 2


def test_a_trunk_on_tcp_is_told_by_a_new_connection() -> None:
    """Its answers to the INVITE may come by yet another one, which it opens."""
    fresh, invite, cancel = cancelled(flow=FLOW.towards(FLOW.remote, "tcp"))
    assert fresh.log[-1][2] == Flow("tcp", US, FLOW.remote, 0)
    fresh.hear(response_to(cancel, 200), TCP_FLOW)
    assert statuses(fresh.hear(response_to(invite, 487), TCP_FLOW)) == ["ACK"]
    fresh.assert_nothing_left()


# Theirs


def refused(
    peer: RawPeer, *, flow: Flow = FLOW, rings: bool = True
) -> tuple[Agent, str, SipResponse]:
    """The next process, our tag in the 180, and what the caller hears of it."""
    old, fresh = Agent(seed=7), Agent(seed=2)
    old.hear(peer.invite(headers=("Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKfar",)), flow)
    event = old.event()
    assert isinstance(event, InviteReceived)
    snapshot = old.ua.snapshot(event.leg)
    old.take()
    tag = "none"
    if rings:
        old.ua.ring(event.leg, old.now)
        (ringing,) = old.take()
        tag = ringing.to_tag or ""
    fresh.ua.former.hang_up(snapshot, Flow("udp", US, flow.remote), fresh.now)
    (refusal,) = fresh.take()
    assert isinstance(refusal, SipResponse)
    return fresh, tag, refusal


def test_a_caller_who_hears_ringing_is_refused() -> None:
    """503 by our tag and all Vias, again and again until its ACK comes; then nothing more."""
    peer = RawPeer()
    fresh, tag, refusal = refused(peer)
    assert (refusal.status, refusal.to_tag, refusal.call_id) == (503, tag, "call-1")
    assert refusal.headers.get("Retry-After") is None
    assert refusal.headers.get("CSeq") == "1 INVITE"
    vias = refusal.headers.get_all("Via")
    assert [via.partition(";")[0] for via in vias] == [
        "SIP/2.0/UDP 192.0.2.9:5062", "SIP/2.0/UDP 192.0.2.50",
    ]  # fmt: skip
    assert "received=192.0.2.9" in vias[0]
    assert statuses(fresh.wait(1.6)) == [503, 503]
    assert fresh.hear(peer.ack_of_refusal(refusal)) == []
    assert fresh.wait(100) == []
    assert fresh.events() == []
    fresh.assert_nothing_left()


def test_a_repeated_invite_gets_the_refusal_again() -> None:
    """It is no new call."""
    peer = RawPeer()
    fresh, tag, _ = refused(peer)
    (again,) = fresh.hear(peer.invite())
    assert (again.status, again.to_tag) == (503, tag)
    assert fresh.events() == []


def test_an_invite_that_came_again_before_is_a_new_call() -> None:
    """It never heard the old process, and is not refused for it."""
    old, fresh, peer = Agent(seed=7), Agent(seed=2), RawPeer()
    leg = incoming_call(old, peer)
    incoming_call(fresh, peer)
    fresh.ua.former.hang_up(old.ua.snapshot(leg), FLOW, fresh.now)
    assert fresh.take() == []


def test_a_cancel_after_the_refusal_is_answered() -> None:
    """With 200, and the INVITE keeps its 503."""
    peer = RawPeer()
    fresh, tag, _ = refused(peer)
    branch = f"z9hG4bK-{peer.call_id}-invite-1"
    (answer,) = fresh.hear(peer.request("CANCEL", branch=branch, to_tag=None))
    assert (answer.status, answer.to_tag) == (200, tag)


def test_a_caller_who_is_up_is_hung_up() -> None:
    """Its 200 left and was not noted; who says nothing for 4 s gets a BYE, and 503 until then."""
    peer = RawPeer()
    fresh, tag, _ = refused(peer)
    *refusals, bye = fresh.wait(4.1)
    assert statuses(refusals) == [503] * 3
    assert isinstance(bye, SipRequest)
    assert (bye.method, bye.uri) == ("BYE", "sip:caller@192.0.2.9:5062")
    assert (bye.from_tag, bye.to_tag, bye.call_id) == (tag, "theirs", "call-1")
    fresh.hear(response_to(bye, 200))
    fresh.assert_nothing_left()


def test_the_ack_of_a_200_is_hung_up_at_once() -> None:
    """It says that the caller is up, and that the refusal needs no repeats."""
    peer = RawPeer()
    fresh, tag, _ = refused(peer)
    peer.to_tag = tag
    (bye,) = fresh.hear(peer.ack())
    assert isinstance(bye, SipRequest)
    assert bye.method == "BYE"
    fresh.hear(response_to(bye, 200))
    assert fresh.wait(10) == []
    fresh.assert_nothing_left()


def test_somebody_elses_ack_is_nothing() -> None:
    """By another tag, or for a call that nobody knows."""
    peer = RawPeer()
    fresh, _, _ = refused(peer)
    peer.to_tag = "another"
    assert fresh.hear(peer.ack()) == []


def test_a_caller_on_tcp_is_refused_by_a_new_connection() -> None:
    """To where it called from, by the port of its Via (18.2.2), never to the host of that."""
    peer = RawPeer(transport="TCP")
    fresh, _, refusal = refused(peer, flow=TCP_FLOW)
    assert fresh.log[-1][2] == Flow("tcp", US, ("192.0.2.9", 5062), 0)
    assert statuses(fresh.hear(peer.ack_of_refusal(refusal), TCP_FLOW)) == []
    assert fresh.wait(10) == []
    fresh.assert_nothing_left()


def test_a_caller_on_tcp_who_cannot_be_reached_is_given_up() -> None:
    """Nothing is left of it when the connection fails, and no BYE goes anywhere."""
    fresh, _, _ = refused(RawPeer(transport="TCP"), flow=TCP_FLOW)
    fresh.ua.flow_closed(Flow("tcp", US, ("192.0.2.9", 5062), 0), fresh.now)
    assert fresh.wait(10) == []
    fresh.assert_nothing_left()


def test_one_that_had_not_rung_yet_is_refused_as_well() -> None:
    """It had a 100 alone."""
    _, _, refusal = refused(RawPeer(), rings=False)
    assert refusal.status == 503
    assert refusal.to_tag


# The text


def snapshots() -> list[str]:
    """One of each side."""
    ours, theirs = Agent(seed=7), Agent(seed=7)
    leg, invite = placed(ours)
    ours.hear(response_to(invite, 180))
    other = incoming_call(theirs, RawPeer())
    return [ours.ua.snapshot(leg), theirs.ua.snapshot(other)]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but its documented error."""
    agent = Agent()
    try:
        agent.ua.former.hang_up(text, FLOW, agent.now)
    except ContractViolation:
        assert agent.take() == []


@given(
    st.sampled_from(snapshots()),
    st.sampled_from(["unanswered", "ours", "uri", "headers", "to_tag", "early"]),
    st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()), st.booleans()),
)
def test_a_spoiled_snapshot_is_read_or_refused(snapshot: str, name: str, value: object) -> None:
    """Whichever part of it is something else, or is missing."""
    data = json.loads(snapshot)
    data[name] = value
    spoiled = [json.dumps(data)]
    del data[name]
    spoiled.append(json.dumps(data))
    for text in spoiled:
        agent = Agent()
        try:
            agent.ua.former.hang_up(text, FLOW, agent.now)
        except ContractViolation:
            assert agent.take() == []


@given(st.text(alphabet=st.characters(blacklist_characters="\r\n")))
def test_whatever_a_peer_wrote_comes_back(name: str) -> None:
    """Also bytes that are no UTF-8, and characters that no database takes."""
    old = Agent(seed=7)
    raw = RawPeer().invite().replace(b"From: ", b'From: "\xff\x00' + name.encode("utf-8", "ignore"))
    raw = raw.replace(b" <sip:+6591110000", b'" <sip:+6591110000')
    old.hear(raw)
    events = old.events()
    if not events:
        return
    (event,) = events
    assert isinstance(event, InviteReceived)
    snapshot = old.ua.snapshot(event.leg)
    assert snapshot.isascii()
    assert "\0" not in snapshot
    left = read_unanswered(snapshot, FLOW)
    assert left is not None
    for header in ("Via", "From", "To", "Call-ID", "CSeq", "Contact"):
        assert left.invite.headers.get_all(header) == event.request.headers.get_all(header)
