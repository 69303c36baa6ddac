"""Session timers (RFC 4028): the negotiation as a table, refreshes and expiry in both roles."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import (
    OUR_SDP,
    SDP,
    Agent,
    RawPeer,
    incoming_call,
    response_to,
    statuses,
)
from tests.unit.sip.test_outgoing_calls import place
from voiceblocks.sip.events import EndCause, InviteSentAgain, LegEnded
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.session_timer import (
    IntervalTooSmall,
    SessionAgreement,
    answer_session,
    conclude_session,
    read_min_se,
    read_session_expires,
)

TIMER = ("Supported", "timer")


@pytest.mark.parametrize(
    ("lines", "interval_s", "we_refresh", "value"),
    [
        ([], 1800, True, "1800;refresher=uas"),
        ([TIMER], 1800, True, "1800;refresher=uas"),
        ([TIMER, ("Session-Expires", "600")], 600, True, "600;refresher=uas"),
        ([TIMER, ("x", "600;refresher=uac")], 600, False, "600;refresher=uac"),
        ([TIMER, ("Session-Expires", "600;refresher=uas")], 600, True, "600;refresher=uas"),
        ([("Session-Expires", "600;refresher=uac")], 600, True, "600;refresher=uas"),
        ([TIMER, ("Session-Expires", "7200")], 1800, True, "1800;refresher=uas"),
        (
            [TIMER, ("Session-Expires", "7200"), ("Min-SE", "3600")],
            3600,
            True,
            "3600;refresher=uas",
        ),
        ([("Session-Expires", "30")], 90, True, "90;refresher=uas"),
        ([TIMER, ("Session-Expires", "soon")], 1800, True, "1800;refresher=uas"),
    ],
)
def test_negotiation_of_the_called_side(
    lines: list[tuple[str, str]], interval_s: int, we_refresh: bool, value: str
) -> None:
    """Each row of RFC 4028 table 2, and malformed headers."""
    answer = answer_session(Headers(lines), wanted_s=1800, min_se_s=90)
    assert answer.agreement == SessionAgreement(interval_s, we_refresh)
    assert answer.headers[0] == ("Session-Expires", value)
    assert (("Require", "timer") in answer.headers) == (not we_refresh)


def test_too_short_interval_is_refused() -> None:
    """Less than Min-SE from a peer that can do better raises."""
    with pytest.raises(IntervalTooSmall):
        answer_session(Headers([TIMER, ("Session-Expires", "60")]), wanted_s=1800, min_se_s=90)


@pytest.mark.parametrize(
    ("lines", "agreement"),
    [
        ([], SessionAgreement(1800, we_refresh=True)),
        ([("Session-Expires", "600;refresher=uas")], SessionAgreement(600, we_refresh=False)),
        ([("Session-Expires", "600;refresher=uac")], SessionAgreement(600, we_refresh=True)),
        ([("Session-Expires", "600")], SessionAgreement(600, we_refresh=True)),
        ([("Session-Expires", "1")], SessionAgreement(30, we_refresh=True)),
    ],
)
def test_conclusion_of_the_calling_side(
    lines: list[tuple[str, str]], agreement: SessionAgreement
) -> None:
    """What a 2xx makes of our proposal."""
    assert conclude_session(Headers(lines), asked_s=1800) == agreement


def test_expiry_is_a_third_or_32_s_early() -> None:
    """Section 10: the waiting side hangs up min(32 s, a third) before the end."""
    assert SessionAgreement(90, we_refresh=False).expire_after_s == 60
    assert SessionAgreement(1800, we_refresh=False).expire_after_s == 1768
    assert SessionAgreement(1800, we_refresh=True).refresh_after_s == 900


def test_malformed_headers_count_as_absent() -> None:
    """Nonsense in Session-Expires or Min-SE does not fail a call."""
    assert read_session_expires(Headers([("Session-Expires", '9;refresher="')])) == (None, None)
    assert read_min_se(Headers([("Min-SE", "x")])) == 0
    assert read_min_se(Headers([("Min-SE", "120;x")])) == 120


def in_session(agent: Agent, peer: RawPeer, *headers: str) -> int:
    """A confirmed call; gives the leg."""
    leg = incoming_call(agent, peer, headers=headers)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    peer.to_tag = agent.take()[0].to_tag
    agent.hear(peer.ack())
    agent.events()
    return leg


def test_422_for_a_short_interval() -> None:
    """The INVITE gets 422 with Min-SE, and no leg."""
    agent, peer = Agent(), RawPeer()
    (answer,) = agent.hear(peer.invite(headers=("Supported: timer", "Session-Expires: 40")))
    assert (answer.status, answer.headers.get("Min-SE")) == (422, "90")
    assert agent.ua.leg_count == 0


def test_we_refresh_by_update() -> None:
    """At half the interval an UPDATE without SDP; each 200 starts the next half."""
    agent, peer = Agent(), RawPeer()
    leg = in_session(
        agent, peer, "Supported: timer", "Session-Expires: 200", "Allow: UPDATE, INVITE"
    )
    assert agent.wait(99) == []
    for _ in range(3):
        (update,) = agent.wait(1.2)
        assert (update.method, update.body) == ("UPDATE", b"")
        assert update.headers.get("Session-Expires") == "200;refresher=uac"
        expires = [("Session-Expires", "200;refresher=uac")]
        agent.hear(response_to(update, 200, headers=expires))
        assert agent.wait(98.9) == []
    assert agent.events() == []
    assert agent.ua.leg_count == 1
    assert leg


def test_we_refresh_by_reinvite_where_update_is_unknown() -> None:
    """Without Allow: UPDATE a re-INVITE repeats our session; an unchanged answer is silent."""
    agent, peer = Agent(), RawPeer()
    in_session(agent, peer, "Session-Expires: 200")
    agent.wait(99)
    (invite,) = agent.wait(1.2)
    assert (invite.method, invite.body) == ("INVITE", OUR_SDP)
    assert statuses(agent.hear(response_to(invite, 200, body=SDP))) == ["ACK"]
    assert agent.events() == []
    assert agent.wait(98) == []
    assert statuses(agent.wait(2)) == ["INVITE"]


def test_update_that_is_not_understood_becomes_a_reinvite() -> None:
    """501 for UPDATE: the refresh is tried as re-INVITE at once."""
    agent, peer = Agent(), RawPeer()
    in_session(agent, peer, "Session-Expires: 200", "Allow: UPDATE")
    agent.wait(99)
    (update,) = agent.wait(1.2)
    (invite,) = agent.hear(response_to(update, 501))
    assert invite.method == "INVITE"


@pytest.mark.parametrize("status", [481, 408, None])
def test_refresh_into_a_dead_dialog_ends_the_leg(status: int | None) -> None:
    """481, 408 or silence: the peer is gone, and so is the leg."""
    agent, peer = Agent(), RawPeer()
    leg = in_session(agent, peer, "Session-Expires: 200", "Allow: UPDATE")
    agent.wait(99)
    (update,) = agent.wait(1.2)
    if status is not None:
        agent.hear(response_to(update, status))
    agent.wait(33)
    assert agent.event() == LegEnded(leg, EndCause.PEER_GONE)
    agent.assert_nothing_left()


def test_refused_refresh_of_a_living_peer_goes_on() -> None:
    """A 488 shows that somebody is there: the next refresh comes in its time."""
    agent, peer = Agent(), RawPeer()
    in_session(agent, peer, "Session-Expires: 200", "Allow: UPDATE")
    for _ in range(3):
        (update,) = [m for m in agent.wait(100.2) if statuses([m]) == ["UPDATE"]][:1]
        agent.hear(response_to(update, 488))
    assert agent.ua.leg_count == 1


def test_peer_that_refreshes_keeps_the_call() -> None:
    """refresher=uac is theirs; without their refresh: BYE and LegEnded before the end."""
    agent, peer = Agent(), RawPeer()
    leg = in_session(agent, peer, "Supported: timer", "Session-Expires: 180;refresher=uac")
    ok = next(message for _, message, _ in agent.log if statuses([message]) == [200])
    assert ok.headers.get("Require") == "timer"
    assert agent.wait(140) == []
    (answer,) = agent.hear(
        peer.next("UPDATE", headers=("Supported: timer", "Session-Expires: 180;refresher=uac"))
    )
    assert answer.headers.get("Session-Expires") == "180;refresher=uac"
    assert agent.wait(140) == []
    assert agent.events() == []
    (bye,) = agent.wait(8.2)
    assert bye.method == "BYE"
    assert agent.event() == LegEnded(leg, EndCause.SESSION_EXPIRED)
    agent.assert_nothing_left()


def test_our_call_proposes_timers_and_bows_to_422() -> None:
    """Session-Expires and Min-SE in the INVITE; 422 makes it longer."""
    agent = Agent()
    leg, invite = place(agent)
    assert invite.headers.get("Session-Expires") == "1800"
    assert invite.headers.get("Min-SE") == "90"
    ack, again = agent.hear(response_to(invite, 422, headers=[("Min-SE", "3600")]))
    assert (ack.method, again.cseq.number) == ("ACK", 2)
    assert again.headers.get("Session-Expires") == "3600"
    assert again.headers.get("Min-SE") == "3600"
    assert agent.event() == InviteSentAgain(leg)
    agent.hear(response_to(again, 422, headers=[("Min-SE", "3600")]))
    assert agent.event().status == 422


def test_our_call_waits_for_the_peer_that_refreshes() -> None:
    """refresher=uas in the 2xx: we wait, and hang up when nothing comes."""
    agent = Agent()
    leg, invite = place(agent)
    expires = [("Session-Expires", "120;refresher=uas"), ("Require", "timer")]
    agent.hear(response_to(invite, 200, body=SDP, headers=expires))
    agent.events()
    assert agent.wait(87) == []
    assert statuses(agent.wait(1.2)) == ["BYE"]
    assert agent.event() == LegEnded(leg, EndCause.SESSION_EXPIRED)
    agent.assert_nothing_left()


def test_reinvite_of_the_peer_refreshes_too() -> None:
    """A re-INVITE that the owner answers starts the interval anew."""
    agent, peer = Agent(), RawPeer()
    refresh = ("Supported: timer", "Session-Expires: 180;refresher=uac")
    leg = in_session(agent, peer, *refresh)
    agent.wait(140)
    agent.hear(peer.next("INVITE", body=SDP, headers=refresh))
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    assert ok.headers.get("Session-Expires") == "180;refresher=uac"
    agent.hear(peer.ack())
    agent.events()
    assert agent.wait(140) == []
    assert agent.ua.leg_count == 1


def test_refresh_that_crosses_an_offer_waits() -> None:
    """491 for the refresh, and an exchange under way, only delay it."""
    agent, peer = Agent(), RawPeer()
    leg = in_session(agent, peer, "Session-Expires: 200")
    agent.wait(99)
    (invite,) = agent.wait(1.2)
    agent.hear(response_to(invite, 491))
    agent.hear(peer.next("INVITE", body=SDP))
    agent.events()
    assert statuses(agent.wait(3)) == []
    agent.ua.answer_offer(leg, OUR_SDP, agent.now)
    agent.take()
    agent.hear(peer.ack())
    assert agent.ua.leg_count == 1
    assert agent.ua.next_deadline() is not None
