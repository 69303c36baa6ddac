"""What the peer may ask for, inside and outside a dialog, and how nonsense is refused."""

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
from voiceblocks.sip.events import EndCause, InfoReceived, LegEnded, ProbeAnswered
from voiceblocks.sip.transaction_layer import MAX_PER_DIALOG


def test_options_outside_a_dialog() -> None:
    """200 with Allow, Accept and Supported, and again when repeated."""
    agent, peer = Agent(), RawPeer()
    request = peer.request("OPTIONS")
    (ok,) = agent.hear(request)
    assert ok.status == 200
    assert "INVITE" in ok.headers.values("Allow")
    assert "REFER" not in ok.headers.values("Allow")
    assert "application/sdp" in ok.headers.values("Accept")
    assert {"100rel", "timer"} <= set(ok.headers.values("Supported"))
    assert ok.to_tag
    (again,) = agent.hear(request)
    assert again.serialize() == ok.serialize()
    agent.assert_nothing_left()


def test_options_inside_a_dialog() -> None:
    """Probing a living dialog gives 200, a dead one 481."""
    agent, peer = Agent(), RawPeer()
    confirmed_call(agent, peer)
    assert statuses(agent.hear(peer.next("OPTIONS"))) == [200]
    agent.hear(peer.next("BYE"))
    assert statuses(agent.hear(peer.next("OPTIONS"))) == [481]


@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("REGISTER", 405),
        ("SUBSCRIBE", 405),
        ("NOTIFY", 405),
        ("MESSAGE", 405),
        ("PUBLISH", 405),
        ("REFER", 403),
        ("FOO", 501),
    ],
)
def test_methods_that_we_do_not_serve(method: str, status: int) -> None:
    """405 and 501 name what is allowed; nothing is remembered, and a repeat gets the same."""
    agent, peer = Agent(), RawPeer()
    request = peer.request(method)
    (answer,) = agent.hear(request)
    assert answer.status == status
    assert ("Allow" in answer.headers) == (status != 403)
    assert agent.ua.transaction_count == 0
    assert agent.hear(request)[0].serialize() == answer.serialize()


@pytest.mark.parametrize("method", ["BYE", "INVITE", "INFO", "PRACK", "UPDATE", "OPTIONS"])
def test_unknown_dialog_is_481(method: str) -> None:
    """A request for a dialog that we do not have."""
    agent, peer = Agent(), RawPeer()
    peer.to_tag = "nobody"
    assert statuses(agent.hear(peer.request(method))) == [481]
    assert agent.events() == []


@pytest.mark.parametrize("method", ["BYE", "INFO", "PRACK", "UPDATE", "CANCEL"])
def test_request_that_needs_a_dialog_and_has_none_is_481(method: str) -> None:
    """Without To tag it belongs to nothing."""
    agent, peer = Agent(), RawPeer()
    assert statuses(agent.hear(peer.request(method))) == [481]
    assert agent.ua.transaction_count == 0


def test_ack_for_nothing_is_silence() -> None:
    """No response to an ACK, whatever it holds."""
    agent, peer = Agent(), RawPeer()
    assert agent.hear(peer.ack()) == []
    assert agent.hear(peer.ack(headers=("Require: nonsense",))) == []
    assert agent.hear(peer.ack().replace(b"CSeq: 1 ACK", b"CSeq: one ACK")) == []


def test_unknown_extension_is_420() -> None:
    """Require of what we lack: 420 with Unsupported; CANCEL and ACK are exempt."""
    agent, peer = Agent(), RawPeer()
    (answer,) = agent.hear(peer.invite(headers=("Require: 100rel, replaces", "Require: xyz")))
    assert answer.status == 420
    assert answer.headers.values("Unsupported") == ["replaces", "xyz"]
    assert agent.ua.leg_count == 0


def test_foreign_body_is_415() -> None:
    """A body that is no SDP: 415 with Accept."""
    agent, peer = Agent(), RawPeer()
    (answer,) = agent.hear(peer.invite(content_type="text/plain"))
    assert answer.status == 415
    assert "application/sdp" in answer.headers.values("Accept")
    assert agent.ua.leg_count == 0
    assert agent.ua.transaction_count == 0


def test_multipart_body_gives_its_sdp() -> None:
    """The SDP part of multipart/mixed is the offer."""
    agent, peer = Agent(), RawPeer()
    body = (
        b"--b1\r\nContent-Type: application/isup\r\n\r\n\x01\x02\r\n"
        b"--b1\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--b1--\r\n"
    )
    agent.hear(peer.invite(body=body, content_type='multipart/mixed;boundary="b1"'))
    assert agent.event().offer.strip() == SDP.strip()


def test_invite_without_contact_is_400() -> None:
    """There would be nowhere to send a BYE."""
    agent, peer = Agent(), RawPeer()
    (answer,) = agent.hear(peer.invite(contact=None))
    assert (answer.status, answer.reason) == (400, "Missing Contact")
    assert agent.ua.leg_count == 0


def test_broken_requests_get_400_with_a_reason() -> None:
    """Where a response is possible the peer learns what is wrong; nothing is kept."""
    agent, peer = Agent(), RawPeer()
    good = peer.invite()
    for old, new in (
        (b"CSeq: 1 INVITE", b"CSeq: 1 OPTIONS"),
        (b"CSeq: 1 INVITE", b"CSeq: many INVITE"),
        (b"Content-Length: ", b"Content-Length: 9"),
        (b"Contact: <sip:", b"Contact: <sip"),
        (b"Max-Forwards: 70", b"Max-Forwards: much"),
    ):
        (answer,) = agent.hear(good.replace(old, new))
        assert answer.status == 400
        assert len(answer.reason) > 5
    assert statuses(agent.hear(good.replace(b"SIP/2.0\r", b"SIP/3.0\r", 1))) == [505]
    assert agent.hear(good.replace(b"Via:", b"Vai:")) == []
    assert agent.ua.transaction_count == 0
    assert agent.ua.leg_count == 0


def test_max_forwards_zero_is_answered() -> None:
    """The server that a request is for does not count hops."""
    agent, peer = Agent(), RawPeer()
    request = peer.request("OPTIONS").replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    assert statuses(agent.hear(request)) == [200]


def test_lower_cseq_is_500() -> None:
    """Out of order inside the dialog: 500 with Retry-After, and the call goes on."""
    agent, peer = Agent(), RawPeer()
    peer.cseq = 10
    confirmed_call(agent, peer)
    (answer,) = agent.hear(peer.request("BYE", cseq=9))
    assert answer.status == 500
    assert answer.headers.get("Retry-After")
    assert agent.events() == []
    assert statuses(agent.hear(peer.next("BYE"))) == [200]


def test_info_is_told() -> None:
    """DTMF by INFO: 200, and the body with its type."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    body = b"Signal=5\r\nDuration=160\r\n"
    info = peer.next("INFO", body=body, content_type="application/DTMF-Relay; x=y")
    assert statuses(agent.hear(info)) == [200]
    assert statuses(agent.hear(info)) == [200]
    assert agent.event() == InfoReceived(leg, "application/dtmf-relay", body)


def test_probe_of_a_living_peer() -> None:
    """Any answer but 481 and 408 shows life, a 405 too."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    for status in (200, 405, 500):
        agent.ua.probe(leg, agent.now)
        (request,) = agent.take()
        assert request.method == "OPTIONS"
        assert request.to_tag == "theirs"
        agent.hear(response_to(request, status))
        assert agent.event() == ProbeAnswered(leg, alive=True)


@pytest.mark.parametrize("status", [481, 408])
def test_probe_of_a_dead_dialog(status: int) -> None:
    """481 and 408 end the leg; the 408 also draws a BYE, as the peer may still have it."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.probe(leg, agent.now)
    (request,) = agent.take()
    sent = agent.hear(response_to(request, status))
    assert statuses(sent) == ([] if status == 481 else ["BYE"])
    assert agent.events() == [ProbeAnswered(leg, alive=False), LegEnded(leg, EndCause.PEER_GONE)]
    agent.assert_nothing_left()


def test_probe_that_nobody_answers() -> None:
    """Silence for 64*T1 ends the leg."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.probe(leg, agent.now)
    agent.wait(33)
    assert agent.events() == [ProbeAnswered(leg, alive=False), LegEnded(leg, EndCause.PEER_GONE)]
    agent.assert_nothing_left()


def test_info_of_ours_into_a_dead_dialog_ends_the_leg() -> None:
    """481 for an INFO means that the call is gone."""
    agent, peer = Agent(), RawPeer()
    leg = confirmed_call(agent, peer)
    agent.ua.send_info(leg, "application/dtmf-relay", b"Signal=1\r\n", agent.now)
    (info,) = agent.take()
    assert (info.method, info.body) == ("INFO", b"Signal=1\r\n")
    agent.hear(response_to(info, 481))
    assert agent.event() == LegEnded(leg, EndCause.PEER_GONE)


def test_everything_over_tcp_stays_on_its_connection() -> None:
    """INVITE, re-INVITE and BYE by TCP are answered along the same connection."""
    agent, peer = Agent(), RawPeer(transport="TCP")
    agent.hear(peer.invite(), TCP_FLOW)
    leg = agent.event().leg
    agent.ua.answer(leg, OUR_SDP, agent.now)
    peer.to_tag = agent.take()[0].to_tag
    agent.hear(peer.ack(), TCP_FLOW)
    agent.events()
    assert statuses(agent.hear(peer.next("BYE"), TCP_FLOW)) == [200]
    assert {flow for _, _, flow in agent.log} == {TCP_FLOW}
    assert agent.event() == LegEnded(leg, EndCause.PEER_HUNG_UP)
    agent.wait(60)
    agent.assert_nothing_left()


def test_flood_of_one_source_is_bounded() -> None:
    """Beyond its share a source gets 503, and dialogs of its own still work."""
    agent, peer = Agent(max_transactions_per_source=5), RawPeer()
    confirmed_call(agent, peer)
    for number in range(20):
        agent.hear(RawPeer(f"flood-{number}").request("OPTIONS"))
    assert agent.ua.transaction_count == 5
    (answer,) = agent.hear(RawPeer("more").invite())
    assert answer.status == 503
    assert answer.headers.get("Retry-After")
    assert statuses(agent.hear(peer.next("BYE"))) == [200]


def test_flood_inside_a_dialog_is_bounded() -> None:
    """A call remembers so many requests and no more; others, and its own BYE, still work."""
    agent, peer, other = Agent(), RawPeer("flooding"), RawPeer("other")
    leg = confirmed_call(agent, peer)
    confirmed_call(agent, other)
    before = agent.ua.transaction_count
    answers = [statuses(agent.hear(peer.next("OPTIONS"))) for _ in range(MAX_PER_DIALOG + 50)]
    assert answers == [[200]] * MAX_PER_DIALOG + [[503]] * 50
    assert agent.ua.transaction_count == before + MAX_PER_DIALOG
    assert statuses(agent.hear(other.next("OPTIONS"))) == [200]
    assert statuses(agent.hear(peer.next("BYE"))) == [200]
    assert agent.event() == LegEnded(leg, EndCause.PEER_HUNG_UP)
    agent.hear(other.next("BYE"))
    agent.wait(60)
    agent.events()
    agent.assert_nothing_left()


def test_full_source_can_still_cancel() -> None:
    """The limit is for new requests; a CANCEL of a known INVITE always works."""
    agent, peer = Agent(max_transactions_per_source=1), RawPeer()
    incoming_call(agent, peer)
    cancel = peer.request("CANCEL", branch="z9hG4bK-call-1-invite-1")
    assert statuses(agent.hear(cancel)) == [200, 487]


def test_unreadable_to_is_echoed_in_the_400() -> None:
    """The peer learns of its mistake although its To cannot be read."""
    agent, peer = Agent(), RawPeer()
    broken = peer.request("OPTIONS").replace(b"To: <sip:", b'To: "<sip:')
    (answer,) = agent.hear(broken)
    assert answer.status == 400


def test_rfc2543_peer_without_cookie_and_tag() -> None:
    """An old peer's INVITE, its repeat, ACK and BYE find each other without branch cookie."""
    agent, peer = Agent(), RawPeer()

    def old(data: bytes) -> bytes:
        return data.replace(b"z9hG4bK-", b"").replace(b";tag=theirs", b"")

    agent.hear(old(peer.invite()))
    leg = agent.event().leg
    assert statuses(agent.hear(old(peer.invite()))) == [100]
    agent.ua.answer(leg, OUR_SDP, agent.now)
    peer.to_tag = agent.take()[0].to_tag
    agent.hear(old(peer.ack()))
    assert len(agent.events()) == 1
    assert statuses(agent.hear(old(peer.next("BYE")))) == [200]
    assert agent.event() == LegEnded(leg, EndCause.PEER_HUNG_UP)


def test_refused_early_dialog_requests() -> None:
    """INFO and OPTIONS work on a ringing call, a re-INVITE has to wait."""
    agent, peer = Agent(), RawPeer()
    leg = incoming_call(agent, peer)
    agent.ua.ring(leg, agent.now)
    peer.to_tag = agent.take()[0].to_tag
    assert statuses(agent.hear(peer.next("OPTIONS"))) == [200]
    (answer,) = agent.hear(peer.next("INVITE", body=SDP))
    assert answer.status == 500
    assert answer.headers.get("Retry-After")
    assert agent.ua.leg_count == 1
