"""Calls that we place: the black-box table of the calling side."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import (
    FLOW,
    OUR_SDP,
    SDP,
    TCP_FLOW,
    Agent,
    RawPeer,
    response_to,
    statuses,
)
from voiceblocks.errors import ContractViolation, LocalSipError
from voiceblocks.sip.events import (
    Answered,
    CallFailed,
    EndCause,
    InviteSentAgain,
    LegEnded,
    OptionsAnswered,
    Progress,
)

TARGET = "sip:+6598880000@192.0.2.9:5062"


def place(agent: Agent, **settings):
    """Place a call; gives the leg and the INVITE."""
    settings = {
        "target": TARGET,
        "from_": "sip:+6531580000@192.0.2.1",
        "to": TARGET,
        "flow": FLOW,
        "sdp": OUR_SDP,
        "now": agent.now,
    } | settings
    leg = agent.ua.call(**settings)
    (invite,) = agent.take()
    return leg, invite


def answered(agent: Agent, **settings):
    """A call that was answered; gives the leg, the INVITE and the ACK."""
    leg, invite = place(agent, **settings)
    (ack,) = agent.hear(response_to(invite, 200, body=SDP))
    agent.events()
    return leg, invite, ack


def test_call_from_invite_to_bye() -> None:
    """INVITE, 180, 200, ACK with a branch of its own to Contact, and our BYE."""
    agent = Agent()
    leg, invite = place(agent, headers=[("P-Asserted-Identity", "<sip:+65@x>")])
    assert (invite.method, invite.uri, invite.body) == ("INVITE", TARGET, OUR_SDP)
    assert invite.headers.get("P-Asserted-Identity") == "<sip:+65@x>"
    assert "rport" in invite.top_via.parameters
    agent.hear(response_to(invite, 100, tag=None))
    agent.hear(response_to(invite, 180))
    assert agent.event() == Progress(leg, 180, None)
    (ack,) = agent.hear(response_to(invite, 200, body=SDP))
    event = agent.event()
    assert isinstance(event, Answered)
    assert event.answer == SDP
    assert (ack.method, ack.uri) == ("ACK", "sip:callee@192.0.2.9:5062")
    assert ack.cseq.number == invite.cseq.number
    assert ack.top_via.branch != invite.top_via.branch
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert (bye.uri, bye.cseq.number) == ("sip:callee@192.0.2.9:5062", 2)
    agent.hear(response_to(bye, 200))
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    agent.assert_nothing_left()


def test_ack_is_repeated_for_each_repeated_200() -> None:
    """The same ACK again, even after the transaction is gone, and no second event."""
    agent = Agent()
    _, invite, ack = answered(agent)
    (again,) = agent.hear(response_to(invite, 200, body=SDP))
    assert again.serialize() == ack.serialize()
    agent.wait(50)
    (late,) = agent.hear(response_to(invite, 200, body=SDP))
    assert late.serialize() == ack.serialize()
    assert agent.events() == []


def test_second_fork_gets_ack_and_bye() -> None:
    """Another phone that answered too is acknowledged and hung up; the call goes on."""
    agent = Agent()
    leg, invite, _ = answered(agent)
    other = response_to(invite, 200, tag="other", body=SDP, contact="<sip:other@192.0.2.9:5070>")
    ack, bye = agent.hear(other)
    assert (ack.method, ack.uri, ack.to_tag) == ("ACK", "sip:other@192.0.2.9:5070", "other")
    assert (bye.method, bye.uri, bye.to_tag) == ("BYE", "sip:other@192.0.2.9:5070", "other")
    assert statuses(agent.hear(other)) == ["ACK"]
    agent.hear(response_to(bye, 200))
    assert agent.events() == []
    assert agent.ua.leg_count == 1
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert bye.to_tag == "callee"


def test_183_shows_early_media_and_other_forks_too() -> None:
    """Each provisional response above 100 is told, with its SDP."""
    agent = Agent()
    leg, invite = place(agent)
    agent.hear(response_to(invite, 183, body=SDP))
    agent.hear(response_to(invite, 180, tag="second"))
    assert agent.events() == [Progress(leg, 183, SDP), Progress(leg, 180, None)]


def test_invite_repeats_until_a_response_and_fails_after_timer_b() -> None:
    """On UDP at 0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5 s; then CallFailed 408."""
    agent = Agent()
    leg, _ = place(agent)
    start = agent.now
    agent.wait(40)
    times = [at - start for at, _, _ in agent.log]
    assert times == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert agent.event() == CallFailed(leg, 408, "Request Timeout", None)
    agent.assert_nothing_left()


def test_nothing_repeats_on_tcp() -> None:
    """Timer A does not run on a reliable transport, timer B does."""
    agent = Agent()
    leg, _ = place(agent, flow=TCP_FLOW)
    assert agent.wait(31) == []
    agent.wait(2)
    assert agent.event() == CallFailed(leg, 408, "Request Timeout", None)
    agent.assert_nothing_left()


def test_ringing_longer_than_timer_b_is_fine() -> None:
    """Timer B ends with the first provisional response: ten minutes later the call works."""
    agent = Agent()
    leg, invite = place(agent)
    agent.hear(response_to(invite, 180))
    assert agent.wait(600) == []
    assert statuses(agent.hear(response_to(invite, 200, body=SDP))) == ["ACK"]
    assert [type(event) for event in agent.events()] == [Progress, Answered]
    assert agent.ua.leg_count == 1
    agent.ua.hang_up(leg, agent.now)


def test_refusal_is_acknowledged_in_its_transaction() -> None:
    """The ACK of 486 has the INVITE's URI, branch and Route, and is repeated."""
    agent = Agent()
    leg, invite = place(agent, headers=[("Route", "<sip:198.51.100.1;lr>")])
    refusal = response_to(invite, 486, reason="Busy Here")
    (ack,) = agent.hear(refusal)
    assert (ack.method, ack.uri, ack.to_tag) == ("ACK", TARGET, "callee")
    assert ack.headers.get("Via") == invite.headers.get("Via")
    assert ack.headers.get_all("Route") == ["<sip:198.51.100.1;lr>"]
    event = agent.event()
    assert (event.leg, event.status, event.reason) == (leg, 486, "Busy Here")
    assert statuses(agent.hear(refusal)) == ["ACK"]
    assert agent.events() == []
    agent.assert_nothing_left()


def test_redirection_is_reported_and_not_followed() -> None:
    """A 302 gets its ACK at the old target, and its contacts come with the event."""
    agent = Agent()
    _, invite = place(agent)
    (ack,) = agent.hear(
        response_to(
            invite, 302, headers=[("Contact", "<sip:a@192.0.2.50>;q=1, <sip:b@192.0.2.51>")]
        )
    )
    assert ack.uri == TARGET
    event = agent.event()
    assert event.contacts == ("sip:a@192.0.2.50", "sip:b@192.0.2.51")
    agent.assert_nothing_left()


def test_cancel_waits_for_a_provisional_response() -> None:
    """RFC 3261 9.1: no CANCEL before the peer showed life; then CANCEL and 487."""
    agent = Agent()
    leg, invite = place(agent)
    agent.ua.hang_up(leg, agent.now)
    assert agent.take() == []
    (cancel,) = agent.hear(response_to(invite, 100, tag=None))
    assert (cancel.method, cancel.uri, cancel.cseq.number) == ("CANCEL", TARGET, 1)
    assert cancel.headers.get("Via") == invite.headers.get("Via")
    agent.hear(response_to(cancel, 200))
    assert statuses(agent.hear(response_to(invite, 487))) == ["ACK"]
    event = agent.event()
    assert (event.leg, event.status) == (leg, 487)
    agent.assert_nothing_left()


def test_cancel_that_crosses_the_200_hangs_up() -> None:
    """The peer answered before our CANCEL came: ACK, BYE, and the call has failed with 487."""
    agent = Agent()
    leg, invite = place(agent)
    agent.hear(response_to(invite, 180))
    agent.events()
    agent.ua.hang_up(leg, agent.now)
    assert statuses(agent.take()) == ["CANCEL"]
    ack, bye = agent.hear(response_to(invite, 200, body=SDP))
    assert (ack.method, bye.method) == ("ACK", "BYE")
    assert agent.events() == []
    agent.hear(response_to(bye, 200))
    event = agent.event()
    assert (event.leg, event.status) == (leg, 487)
    agent.assert_nothing_left()


def test_cancelled_call_of_a_silent_peer_ends() -> None:
    """No final response after CANCEL: given up after 64*T1."""
    agent = Agent()
    leg, invite = place(agent)
    agent.hear(response_to(invite, 180))
    agent.events()
    agent.ua.hang_up(leg, agent.now)
    agent.wait(33)
    assert agent.event() == CallFailed(leg, 487, "Request Terminated", None)
    agent.assert_nothing_left()


def test_peer_hangs_up() -> None:
    """A BYE of the called side is answered, and the leg has ended."""
    agent = Agent()
    leg, invite, _ = answered(agent)
    peer = RawPeer(invite.call_id, from_tag="callee")
    peer.to_tag = invite.from_tag
    assert statuses(agent.hear(peer.request("BYE"))) == [200]
    assert agent.event() == LegEnded(leg, EndCause.PEER_HUNG_UP)
    agent.assert_nothing_left()


def test_late_offer_in_the_200_is_answered_in_the_ack() -> None:
    """Without an offer of ours the ACK waits for `answer_offer`."""
    agent = Agent()
    leg, invite = place(agent, sdp=None)
    assert "100rel" not in invite.headers.get("Supported")
    assert agent.hear(response_to(invite, 200, body=SDP)) == []
    assert agent.event().answer == SDP
    assert agent.hear(response_to(invite, 200, body=SDP)) == []
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    (ack,) = agent.take()
    assert (ack.method, ack.body) == ("ACK", OUR_SDP)
    assert statuses(agent.hear(response_to(invite, 200, body=SDP))) == ["ACK"]


def test_late_offer_that_is_refused_gets_ack_and_bye() -> None:
    """A 2xx cannot be refused, so it is hung up."""
    agent = Agent()
    leg, invite = place(agent, sdp=None)
    agent.hear(response_to(invite, 200, body=SDP))
    agent.events()
    agent.ua.answer_offer(leg, None, agent.now)
    assert statuses(agent.take()) == ["ACK", "BYE"]


def test_challenge_is_answered_once() -> None:
    """401: ACK, then the INVITE again with Authorization, next CSeq, new branch, same Call-ID."""
    agent = Agent()
    leg, invite = place(agent, credentials=("alice", "secret, with comma"))
    challenge = [("WWW-Authenticate", 'Digest realm="a, b", nonce="n1", qop="auth,auth-int"')]
    ack, second = agent.hear(response_to(invite, 401, headers=challenge))
    assert (ack.method, second.method) == ("ACK", "INVITE")
    assert (second.call_id, second.cseq.number) == (invite.call_id, 2)
    assert second.top_via.branch != invite.top_via.branch
    assert second.to_tag is None
    authorization = second.headers.get("Authorization")
    assert 'realm="a, b"' in authorization
    assert "qop=auth," in authorization
    assert second.body == OUR_SDP
    assert agent.event() == InviteSentAgain(leg)
    (ack,) = agent.hear(response_to(second, 401, headers=challenge))
    assert agent.event().status == 401
    assert ack.cseq.number == 2
    agent.assert_nothing_left()


def test_proxy_then_server_challenge() -> None:
    """407 and then 401 are both answered, and the 2xx's ACK carries the credentials."""
    agent = Agent()
    _, invite = place(agent, credentials=("alice", "secret"))
    one = [("Proxy-Authenticate", 'Digest realm="p", nonce="1"')]
    two = [("WWW-Authenticate", 'Digest realm="s", nonce="2", algorithm=SHA-256, qop="auth"')]
    _, second = agent.hear(response_to(invite, 407, headers=one))
    _, third = agent.hear(response_to(second, 401, headers=two))
    assert "Proxy-Authorization" in third.headers
    assert "algorithm=SHA-256" in third.headers.get("Authorization")
    (ack,) = agent.hear(response_to(third, 200, body=SDP))
    assert ack.headers.get("Authorization") == third.headers.get("Authorization")
    assert ack.cseq.number == 3


def test_challenge_without_password_fails_the_call() -> None:
    """Nothing to answer with: the 401 is the outcome."""
    agent = Agent()
    _, invite = place(agent)
    challenge = [("WWW-Authenticate", 'Digest realm="a", nonce="n1"')]
    assert statuses(agent.hear(response_to(invite, 401, headers=challenge))) == ["ACK"]
    assert agent.event().status == 401


def test_challenged_bye_is_sent_again_with_credentials() -> None:
    """A carrier that challenges each request gets its BYE."""
    agent = Agent()
    leg, *_ = answered(agent, credentials=("alice", "secret"))
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    challenge = [("Proxy-Authenticate", 'Digest realm="a", nonce="n1"')]
    (second,) = agent.hear(response_to(bye, 407, headers=challenge))
    assert second.method == "BYE"
    assert "Proxy-Authorization" in second.headers
    assert second.cseq.number == bye.cseq.number + 1
    agent.hear(response_to(second, 200))
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    agent.assert_nothing_left()


def test_further_requests_answer_the_challenge_of_the_invite() -> None:
    """BYE carries credentials at once, with the next count; a used-up nonce is replaced."""
    agent = Agent()
    leg, invite = place(agent, credentials=("alice", "secret"))
    challenge = 'Digest realm="a", nonce="n1", qop="auth"'
    _, second = agent.hear(response_to(invite, 401, headers=[("WWW-Authenticate", challenge)]))
    agent.hear(response_to(second, 200, body=SDP))
    agent.events()
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert 'nonce="n1"' in bye.headers.get("Authorization")
    assert "nc=00000002" in bye.headers.get("Authorization")
    challenge = challenge.replace("n1", "n2")
    (again,) = agent.hear(response_to(bye, 401, headers=[("WWW-Authenticate", challenge)]))
    assert "nc=00000001" in again.headers.get("Authorization")
    assert agent.hear(response_to(again, 401, headers=[("WWW-Authenticate", challenge)])) == []
    assert agent.event() == LegEnded(leg, EndCause.HUNG_UP)
    agent.assert_nothing_left()


def test_a_nonce_is_counted_over_both_challenges() -> None:
    """The proxy sees its nonce a second time when the server asks: with the count 2."""
    agent = Agent()
    _, invite = place(agent, credentials=("alice", "secret"))
    one = [("Proxy-Authenticate", 'Digest realm="p", nonce="1", qop="auth"')]
    two = [("WWW-Authenticate", 'Digest realm="s", nonce="2", qop="auth"')]
    _, second = agent.hear(response_to(invite, 407, headers=one))
    _, third = agent.hear(response_to(second, 401, headers=two))
    assert "nc=00000001" in second.headers.get("Proxy-Authorization")
    assert "nc=00000002" in third.headers.get("Proxy-Authorization")
    assert "nc=00000001" in third.headers.get("Authorization")


def test_record_route_of_the_200_is_followed_in_reverse() -> None:
    """ACK and BYE carry the reversed route set, and go to its first hop."""
    agent = Agent()
    leg, invite = place(agent)
    routes = [("Record-Route", "<sip:198.51.100.2;lr>"), ("Record-Route", "<sip:198.51.100.1;lr>")]
    (ack,) = agent.hear(response_to(invite, 200, body=SDP, headers=routes))
    assert ack.headers.get_all("Route") == ["<sip:198.51.100.1;lr>", "<sip:198.51.100.2;lr>"]
    assert agent.log[-1][2].remote == ("198.51.100.1", 5060)
    agent.ua.hang_up(leg, agent.now)
    (bye,) = agent.take()
    assert bye.headers.get_all("Route") == ack.headers.get_all("Route")


def test_200_without_contact_is_taken() -> None:
    """Requests go to the old target then."""
    agent = Agent()
    _, invite = place(agent)
    (ack,) = agent.hear(response_to(invite, 200, body=SDP, contact=None))
    assert ack.uri == TARGET


def test_broken_headers_of_a_200_do_not_strand_the_call() -> None:
    """Unreadable Allow, Record-Route, Session-Expires and body count as absent."""
    agent = Agent()
    leg, invite = place(agent)
    broken = [
        ("Allow", '"INVITE'),
        ("Record-Route", "<sip:a"),
        ("Session-Expires", "soon"),
        ("Require", '"timer'),
        ("Content-Encoding", "gzip"),
    ]
    (ack,) = agent.hear(response_to(invite, 200, body=SDP, headers=broken))
    assert (ack.method, ack.headers.get("Route")) == ("ACK", None)
    event = agent.event()
    assert isinstance(event, Answered)
    assert (event.leg, event.answer) == (leg, None)


def test_endless_forks_are_bounded() -> None:
    """A thousand early dialogs are not remembered; the call can be answered by any."""
    agent = Agent()
    _, invite = place(agent)
    for number in range(1000):
        agent.hear(response_to(invite, 180, tag=f"fork{number}"))
    assert len(agent.ua._core.dialogs) == 32
    assert statuses(agent.hear(response_to(invite, 200, tag="fork999", body=SDP))) == ["ACK"]
    assert len(agent.ua._core.dialogs) == 1


def test_lost_connection_fails_the_call() -> None:
    """A TCP connection that breaks before the answer is 503."""
    agent = Agent()
    leg, _ = place(agent, flow=TCP_FLOW)
    agent.ua.flow_closed(TCP_FLOW, agent.now)
    assert agent.event() == CallFailed(leg, 503, "Service Unavailable", None)
    agent.assert_nothing_left()


def test_connection_opened_for_us_is_used_on() -> None:
    """A call on connection 0 continues on the connection that its responses come by."""
    agent = Agent()
    leg, invite = place(agent, flow=FLOW.towards(FLOW.remote, "tcp"))
    assert invite.top_via.transport == "TCP"
    agent.hear(response_to(invite, 200, body=SDP), TCP_FLOW)
    assert agent.log[-1][2] == TCP_FLOW
    agent.ua.hang_up(leg, agent.now)
    agent.take()
    assert agent.log[-1][2] == TCP_FLOW


def test_options_tells_the_status_or_silence() -> None:
    """OPTIONS outside a dialog: 200, or 408 when nobody answers."""
    agent = Agent()
    number = agent.ua.options("sip:192.0.2.9", FLOW, agent.now)
    (request,) = agent.take()
    agent.hear(response_to(request, 200))
    assert agent.event() == OptionsAnswered(number, 200)
    number = agent.ua.options("sip:192.0.2.9", FLOW, agent.now)
    sent = agent.wait(33)
    assert len(sent) == 11
    assert agent.event() == OptionsAnswered(number, 408)
    agent.assert_nothing_left()


def test_illegal_commands_change_nothing() -> None:
    """Each command that a state does not allow raises, and the call goes on."""
    agent = Agent()
    leg, invite = place(agent)
    for command in (
        lambda: agent.ua.answer(leg, SDP, agent.now),
        lambda: agent.ua.ring(leg, agent.now),
        lambda: agent.ua.refuse(leg, 486, agent.now),
        lambda: agent.ua.probe(leg, agent.now),
        lambda: agent.ua.reoffer(leg, SDP, agent.now),
        lambda: agent.ua.answer_offer(leg, SDP, agent.now),
        lambda: agent.ua.send_info(leg, "text/plain", b"x", agent.now),
        lambda: agent.ua.snapshot(99),
        lambda: agent.ua.hang_up(99, agent.now),
    ):
        with pytest.raises(LocalSipError):
            command()
    with pytest.raises(ContractViolation):
        place(agent, headers=[("Subject", "a\r\nb")])
    with pytest.raises(ContractViolation):
        place(agent, target="sip:a\r\nb")
    assert agent.take() == []
    assert agent.ua.leg_count == 1
    assert statuses(agent.hear(response_to(invite, 200, body=SDP))) == ["ACK"]


def test_broken_responses_are_ignored() -> None:
    """A response without Via, of nobody's transaction or without tag changes nothing."""
    agent = Agent()
    _, invite = place(agent)
    ok = response_to(invite, 200, body=SDP)
    assert agent.hear(ok.replace(b"Via: ", b"Vja: ")) == []
    assert agent.hear(ok.replace(invite.top_via.branch.encode(), b"z9hG4bKnobody")) == []
    assert agent.hear(response_to(invite, 200, tag=None, body=SDP)) == []
    assert agent.hear(ok[:40]) == []
    assert agent.events() == []
    assert statuses(agent.hear(ok)) == ["ACK"]


def test_bye_after_a_restart() -> None:
    """A new process ends the dialog of the old one from its snapshot."""
    agent = Agent()
    leg, invite, _ = answered(agent)
    snapshot = agent.ua.snapshot(leg)
    fresh = Agent(seed=2)
    fresh.ua.former.hang_up(snapshot, FLOW, fresh.now)
    (bye,) = fresh.take()
    assert (bye.method, bye.uri, bye.call_id) == (
        "BYE",
        "sip:callee@192.0.2.9:5062",
        invite.call_id,
    )
    assert (bye.from_tag, bye.to_tag) == (invite.from_tag, "callee")
    assert bye.cseq.number > 1000
    fresh.hear(response_to(bye, 200))
    fresh.assert_nothing_left()
    with pytest.raises(ContractViolation):
        fresh.ua.former.hang_up('{"version": 7}', FLOW, fresh.now)
