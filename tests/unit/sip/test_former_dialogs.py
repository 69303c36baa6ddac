"""Answers to INVITEs that nobody remembers, and BYEs in dialogs of an earlier process."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import FLOW, OUR_SDP, SDP, US, Agent, response_to
from voiceblocks.sip.events import StrayAnswer
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.former_dialogs import MAX_HUNG_UP
from voiceblocks.sip.message import SipRequest
from voiceblocks.sip.source_guard import SourceGuard

CREDENTIALS = ("us", "secret")
CHALLENGE = ("WWW-Authenticate", 'Digest realm="carrier", nonce="n1", qop="auth"')


def invite_of(agent: Agent) -> SipRequest:
    """An INVITE that the process of this agent dies with."""
    agent.ua.call(
        target="sip:+6591234567@192.0.2.9:5062",
        from_="sip:+6531580000@192.0.2.1",
        to="sip:+6591234567@192.0.2.9",
        flow=FLOW,
        sdp=OUR_SDP,
        now=agent.now,
    )
    (invite,) = agent.take()
    assert isinstance(invite, SipRequest)
    return invite


def late_answer(agent: Agent | None = None, **more) -> bytes:
    """The 200 to an INVITE of another agent."""
    return response_to(invite_of(agent or Agent(seed=7)), 200, body=SDP, **more)


def refused(agent: Agent, answer: bytes, flow: Flow = FLOW) -> list[SipRequest]:
    """What the agent says to a late answer, once its shell said so."""
    assert agent.hear(answer, flow) == []
    event = agent.event()
    assert isinstance(event, StrayAnswer)
    agent.ua.former.refuse_answer(event, agent.now, CREDENTIALS)
    return agent.take()


def test_a_late_answer_is_acknowledged_and_hung_up() -> None:
    """By the contact of the 200, with our tag and theirs, the ACK with the INVITE's number."""
    fresh = Agent()
    old = Agent(seed=7)
    invite = invite_of(old)
    ack, bye = refused(fresh, response_to(invite, 200, body=SDP))
    assert (ack.method, ack.uri, ack.cseq.number) == ("ACK", "sip:callee@192.0.2.9:5062", 1)
    assert (bye.method, bye.uri, bye.call_id) == ("BYE", ack.uri, invite.call_id)
    assert (bye.from_tag, bye.to_tag) == (invite.from_tag, "callee")
    assert bye.cseq.number > 1000
    fresh.hear(response_to(bye, 200))
    fresh.assert_nothing_left()


def test_repeats_of_a_late_answer_get_an_ack_each_and_no_second_bye() -> None:
    """The far end repeats its 200 until it has the ACK, which may be lost."""
    fresh = Agent()
    answer = late_answer()
    ack, bye = refused(fresh, answer)
    assert [m.serialize() for m in fresh.hear(answer)] == [ack.serialize()]
    assert fresh.events() == []
    fresh.hear(response_to(bye, 200))
    fresh.assert_nothing_left()


def test_a_challenged_goodbye_is_said_again_with_the_password() -> None:
    """Some carriers ask for it in each request."""
    fresh = Agent()
    _, bye = refused(fresh, late_answer())
    (again,) = fresh.hear(response_to(bye, 401, headers=[CHALLENGE]))
    assert again.method == "BYE"
    assert 'username="us"' in (again.headers.get("Authorization") or "")
    fresh.hear(response_to(again, 200))
    fresh.assert_nothing_left()


def test_a_challenged_bye_after_a_restart_is_said_again_with_the_password() -> None:
    """And without a password the challenge is the end of it."""
    old = Agent(seed=7)
    leg = old.ua.call(
        target="sip:a@192.0.2.9", from_="sip:b@192.0.2.1", to="sip:a@192.0.2.9",
        flow=FLOW, sdp=OUR_SDP, now=old.now,
    )  # fmt: skip
    (invite,) = old.take()
    old.hear(response_to(invite, 200, body=SDP))
    snapshot = old.ua.snapshot(leg)
    for credentials, asked_again in ((CREDENTIALS, 1), (None, 0)):
        fresh = Agent(seed=2)
        fresh.ua.former.hang_up(snapshot, FLOW, fresh.now, credentials)
        (bye,) = fresh.take()
        again = fresh.hear(response_to(bye, 401, headers=[CHALLENGE]))
        assert [m.method for m in again] == ["BYE"] * asked_again
        for request in again:
            assert "Authorization" in request.headers
            fresh.hear(response_to(request, 200))
        fresh.assert_nothing_left()


@pytest.mark.parametrize(
    "answer",
    [
        late_answer(Agent(("192.0.2.77", 5060), seed=7)),
        late_answer(Agent((US[0], 5999), seed=7)),
        late_answer(tag=None),
        response_to(invite_of(Agent(seed=7)), 180),
        response_to(invite_of(Agent(seed=7)), 486),
        late_answer().replace(b"1 INVITE", b"1 OPTIONS"),
    ],
    ids=["another host", "another port", "no tag", "ringing", "refusal", "no INVITE"],
)
def test_what_is_no_late_answer_to_us_gets_none(answer: bytes) -> None:
    """Nobody makes us send anything by sending us what belongs to others."""
    fresh = Agent()
    assert fresh.hear(answer) == []
    assert fresh.events() == []


def test_strangers_get_no_answer() -> None:
    """Where we know who calls us, others make us send nothing."""
    fresh = Agent(guard=SourceGuard(["198.51.100.0/24"], 10, 10))
    assert fresh.hear(late_answer()) == []
    assert fresh.events() == []


def test_only_so_many_are_remembered() -> None:
    """The rest wait for the repeats of their 200, so a flood fills no memory."""
    fresh = Agent()
    for seed in range(MAX_HUNG_UP):
        refused(fresh, late_answer(Agent(seed=seed + 10)))
    assert refused(fresh, late_answer()) == []
    fresh.wait(40)
    assert [m.method for m in refused(fresh, late_answer())] == ["ACK", "BYE"]


def test_settled_means_that_every_far_end_knows() -> None:
    """Not before the CANCEL and the BYE have their answers."""
    agent = Agent()
    assert agent.ua.is_settled
    invite = invite_of(agent)
    assert not agent.ua.is_settled
    agent.hear(response_to(invite, 180))
    (event,) = agent.events()
    agent.ua.hang_up(event.leg, agent.now)
    (cancel,) = agent.take()
    agent.hear(response_to(cancel, 200))
    assert not agent.ua.is_settled
    # It was answered before the CANCEL came.
    _ack, bye = agent.hear(response_to(invite, 200, body=SDP))
    assert not agent.ua.is_settled
    agent.hear(response_to(bye, 200))
    assert agent.ua.is_settled
