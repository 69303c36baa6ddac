"""The rules of SIP that a caller's equipment relies on, by raw sockets, message for message.

```
raw peer         server                     application
  |-- INVITE ----->|                             |
  |<--- 100, 180 --|-- answer (ringing) -------->|
  |                |<------- ivr/middle/record --|
  |<---- 200 ------|                             |
  |-- ACK -------->|                             |
  |-- ... -------->|  the rule                   |
```

What SIPp already asks is in `tests/interop/test_sipp_rules.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.raw_sip import QUIET_S, RawCall, RawMessage, RawPeer, new_branch, sdp
from tests.harness import Application, ServerProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def peer(server: ServerProcess) -> AsyncIterator[RawPeer]:
    """A UDP peer."""
    async with RawPeer(server.sip) as made:
        yield made


async def ringing(app: Application, call: RawCall, invite: str | None = None) -> str:
    """Send the INVITE; return the session once the application was told."""
    call.peer.send(invite or call.invite())
    return (await app.told(ivr_block="answer", call_state="ringing")).body["session"]


async def answered(
    app: Application, call: RawCall, invite: str | None = None, ack_body: str = ""
) -> tuple[RawMessage, str]:
    """A call that was answered by a record block and has its ACK; its 200 and session."""
    session = await ringing(app, call, invite)
    await app.record(session)
    answer = await call.peer.next(status=200, method="INVITE", call=call.call_id)
    call.take(answer)
    call.peer.send(call.ack(ack_body))
    return answer, session


async def hung_up(app: Application, call: RawCall) -> None:
    """BYE is answered and the application told."""
    assert (await call.peer.answer_to(call.request("BYE"), "BYE")).status == 200
    await app.told(ivr_block="record", call_state="ended")


async def given_up(app: Application, call: RawCall) -> None:
    """CANCEL is answered, the INVITE refused for it, and the application told."""
    call.peer.send(call.cancel())
    refusal = await call.peer.next(status=487, call=call.call_id)
    call.peer.send(call.ack_refusal(refusal))
    await app.told(ivr_block="answer", call_state="ended")


# Answers and what they echo


async def test_an_invite_is_answered_at_once(app: Application, peer: RawPeer) -> None:
    """100 comes long before the 200 ms after which it would be due (RFC 3261 17.2.1)."""
    delays = []
    for _ in range(3):
        call = RawCall(peer, app.number)
        sent_at = asyncio.get_running_loop().time()
        await ringing(app, call)
        trying = await peer.next(status=100, call=call.call_id)
        assert trying.to_tag == ""
        delays.append(trying.at - sent_at)
        await given_up(app, call)
    assert min(delays) < 0.2


async def test_via_is_echoed_untouched_with_the_source(app: Application, peer: RawPeer) -> None:
    """`+` and odd parameters of Via come back as sent; received and rport are filled in."""
    call = RawCall(peer, app.number)
    first = "SIP/2.0/UDP host+1.example:5999;branch=z9hG4bK+a/b~1;odd=+%2B;rport"
    second = "SIP/2.0/UDP 10.9.8.7;branch=z9hG4bKsecond+;x"
    await ringing(app, call, call.invite(instead=[("Via", f"{first}\r\nVia: {second}")]))
    vias = (await peer.next(status=180)).headers("Via")
    got = set(vias[0].split(";"))
    assert vias[0].startswith("SIP/2.0/UDP host+1.example:5999;branch=z9hG4bK+a/b~1;odd=+%2B;")
    assert {"received=127.0.0.1", f"rport={peer.port}"} <= got
    assert vias[1] == second
    call.take(peer.received[-1])
    assert (await peer.answer_to(call.request("BYE"), "BYE")).status == 200
    await app.told(ivr_block="answer", call_state="ended")


async def test_without_rport_answers_still_go_to_the_source(
    app: Application, peer: RawPeer
) -> None:
    """A Via that names another port: the answers come back all the same (docs/standards.md)."""
    call = RawCall(peer, app.number)
    via = f"SIP/2.0/UDP 127.0.0.1:9;branch={call.invite_branch}"
    await ringing(app, call, call.invite(instead=[("Via", via)]))
    assert (await peer.next(status=180)).header("Via").startswith(via)
    call.take(peer.received[-1])
    assert (await peer.answer_to(call.request("BYE"), "BYE")).status == 200
    await app.told(ivr_block="answer", call_state="ended")


ODD = {
    "compact headers": lambda text: (
        text.replace("Via:", "v:").replace("From:", "f:").replace("To:", "t:")
        .replace("Call-ID:", "i:").replace("Contact:", "m:").replace("Content-Type:", "c:")
        .replace("Content-Length:", "l:")
    ),
    "odd case": lambda text: text.replace("Call-ID:", "cALL-iD :").replace("CSeq:", "CSEQ  :"),
    "folded": lambda text: (
        text.replace("From: ", "From:\r\n \t").replace("CSeq: 1 ", "CSeq: 1\r\n ")
    ),
    "latin-1 name": lambda text: text.replace("From: ", 'From: "J\xfcrgen M\xfcller" '),
    "utf-8 name": lambda text: text.replace("From: ", 'From: "\xe5\xbc\xa0\xe4\xb8\x89" '),
    "unbalanced name": lambda text: text.replace("From: ", "From: O'Brien & Sons "),
    "Max-Forwards 0": lambda text: text.replace("Max-Forwards: 70", "Max-Forwards: 0"),
    "no Max-Forwards": lambda text: text.replace("Max-Forwards: 70\r\n", ""),
    "bare LF": lambda text: (
        text.partition("\r\n\r\n")[0].replace("\r\n", "\n") + "\n\n"
        + text.partition("\r\n\r\n")[2]
    ),
    "leading line ends": lambda text: "\r\n\r\n" + text,
    "no Content-Length": lambda text: text.replace("Content-Length:", "X-Length:"),
    "more than Content-Length": lambda text: text + "rubbish behind the body",
    "unknown headers": lambda text: text.replace("From:", "X-A: b\r\nP-Odd-Thing: ;;=,\r\nFrom:"),
    "Supported and Allow": lambda text: text.replace(
        "From:", "Supported: timer,100rel,replaces,foo\r\nAllow: INVITE, X\r\nFrom:"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
async def test_odd_but_readable_invites_ring(app: Application, peer: RawPeer, name: str) -> None:
    """Whatever RFC 3261 allows, and what careless phones send, is a call with its caller."""
    call = RawCall(peer, app.number)
    peer.send(ODD[name](call.invite()))
    told = await app.told(ivr_block="answer")
    assert told.body["from"] == "+6591234567"
    ringing_answer = await peer.next(status=180)
    assert "6591234567" in ringing_answer.header("From")
    await given_up(app, call)


@pytest.mark.parametrize(
    ("from_", "told_from"),
    [
        ("<tel:+6598765432>;tag=1", "+6598765432"),
        ("tel:98765432;phone-context=+65;tag=2", None),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=3', "private"),
        ("sip:+6598765432@127.0.0.1;tag=4", "+6598765432"),
        ("<sip:alice@example.com>;tag=5", "alice"),
        ("<sip:98%37@example.com>;tag=6", None),
    ],
)
async def test_callers_of_every_form(
    app: Application, peer: RawPeer, from_: str, told_from: str | None
) -> None:
    """tel:, sip: with and without brackets, withheld and named callers reach the application."""
    call = RawCall(peer, app.number)
    call.from_ = from_
    peer.send(call.invite())
    told = await app.told(ivr_block="answer")
    if told_from is not None:
        assert told.body["from"] == told_from
    assert (await peer.next(status=180)).header("From") == from_
    await given_up(app, call)


# Refusals


REFUSED = {
    "415": (lambda c: c.invite(body="hello", content_type="text/plain"), 415, "Accept",
            "application/sdp"),
    "415 encoding": (lambda c: c.invite([("Content-Encoding", "gzip")]), 415, "Accept-Encoding",
                     "identity"),
    "420": (lambda c: c.invite([("Require", "foo, 100rel")]), 420, "Unsupported", "foo"),
    "422": (lambda c: c.invite([("Session-Expires", "60"), ("Supported", "timer")]), 422,
            "Min-SE", "90"),
    "405": (lambda c: c.request("SUBSCRIBE", [("Event", "presence")], cseq=1), 405, "Allow",
            "INVITE"),
    "501": (lambda c: c.request("DANCE", cseq=1), 501, "", ""),
    "416": (lambda c: c.invite(uri="http://example.com/"), 416, "", ""),
    "505": (lambda c: c.invite().replace(" SIP/2.0\r\n", " SIP/3.0\r\n", 1), 505, "", ""),
    "481 BYE": (lambda c: _with_tag(c).request("BYE"), 481, "", ""),
    "481 UPDATE": (lambda c: _with_tag(c).request("UPDATE"), 481, "", ""),
    "481 INFO": (lambda c: _with_tag(c).request("INFO"), 481, "", ""),
    "481 PRACK": (lambda c: _with_tag(c).request("PRACK", [("RAck", "1 1 INVITE")]), 481, "", ""),
    "481 re-INVITE": (lambda c: _with_tag(c).invite(), 481, "", ""),
    "481 CANCEL": (lambda c: c.cancel(), 481, "", ""),
    "400 no CSeq": (lambda c: c.invite(instead=[("CSeq", "nonsense INVITE")]), 400, "", ""),
    "400 CSeq method": (lambda c: c.invite(instead=[("CSeq", "1 BYE")]), 400, "", ""),
    "400 short body": (lambda c: c.invite(instead=[("Content-Length", "9999")]), 400, "", ""),
}  # fmt: skip


def _with_tag(call: RawCall) -> RawCall:
    call.to_tag = "nobody"
    return call


@pytest.mark.parametrize("name", REFUSED)
async def test_refusals_say_why(app: Application, peer: RawPeer, name: str) -> None:
    """Each refusal has its status and the header that tells the peer what would be taken."""
    build, status, header, value = REFUSED[name]
    call = RawCall(peer, app.number)
    peer.send(build(call))
    answer = await peer.next()
    while answer.status < 200:
        answer = await peer.next()
    assert answer.status == status, answer.lines
    assert answer.to_tag
    assert answer.header("Call-ID") == call.call_id
    if header:
        assert value in answer.header(header)
    assert app.sink.received == []


async def test_nothing_in_common_gets_488(app: Application, peer: RawPeer) -> None:
    """Offers without a codec, transport or stream of ours: 488 at once, and nobody is told."""
    offers = [
        sdp(formats="9 18"),
        sdp().replace("RTP/AVP", "RTP/SAVP"),
        sdp(port=0),
        sdp().replace("m=audio", "m=video"),
        sdp(host="224.1.1.1"),
    ]
    for offer in offers:
        call = RawCall(peer, app.number)
        answer = await peer.answer_to(call.invite(body=offer), "INVITE")
        assert answer.status == 488, offer
        peer.send(call.ack_refusal(answer))
    assert app.sink.received == []


async def test_a_refusal_is_repeated_until_its_ack(app: Application, peer: RawPeer) -> None:
    """487 comes again until the ACK, with the same To-tag, and no more after it (17.2.1)."""
    call = RawCall(peer, app.number)
    await ringing(app, call)
    peer.send(call.cancel())
    cancelled = await peer.next(status=200, method="CANCEL")
    refusals = [await peer.next(status=487) for _ in range(3)]
    await app.told(ivr_block="answer", call_state="ended")
    assert len({one.raw for one in refusals}) == 1
    assert refusals[0].to_tag == cancelled.to_tag
    peer.send(call.ack_refusal(refusals[0]))
    await peer.quiet(2.5)


async def test_what_is_no_request_gets_no_answer(peer: RawPeer) -> None:
    """A stray ACK, a stray response and keep-alives are met with silence."""
    call = RawCall(peer, "+6500000000")
    call.to_tag = "nobody"
    peer.send(call.ack())
    peer.send("SIP/2.0 200 OK\r\n" + call.request("BYE").partition("\r\n")[2])
    for keep_alive in ("\r\n\r\n", "\r\n", "\0", ""):
        peer.send(keep_alive)
    await peer.quiet()


# Answering: late offer, reliable provisional answers


async def test_late_offer_whose_ack_has_no_answer(app: Application, peer: RawPeer) -> None:
    """Our 200 offers; an ACK without answer agrees on nothing, so we say BYE."""
    call = RawCall(peer, app.number)
    answer, _session = await answered(app, call, call.invite(body=""))
    assert "m=audio" in answer.body
    assert answer.header("Content-Type") == "application/sdp"
    bye = await peer.next(method="BYE")
    peer.send(call.reply(bye))
    told = await app.told(ivr_block="record")
    assert (told.body["record_status"], told.body["call_state"]) == ("failed", "ended")


async def test_a_late_offer_names_where_to_send(app: Application, peer: RawPeer) -> None:
    """The prompt's RTP goes to the address in the ACK's answer."""
    async with RawPeer("127.0.0.1:9") as media:
        call = RawCall(peer, app.number)
        await answered(app, call, call.invite(body=""), sdp(media.port))
        packet = await media.next(5)
        assert packet.raw[:2] in (b"\x80\x00", b"\x80\x80")
        assert len(packet.raw) == 12 + 160
        await hung_up(app, call)


async def test_a_required_reliable_answer(app: Application, peer: RawPeer) -> None:
    """Require: 100rel: 180 with RSeq is repeated until its PRACK; a wrong RAck gets 481."""
    call = RawCall(peer, app.number)
    session = await ringing(app, call, call.invite([("Require", "100rel")]))
    first, again = await peer.next(status=180), await peer.next(status=180)
    assert first.raw == again.raw
    assert first.header("Require") == "100rel"
    number = int(first.header("RSeq"))
    call.take(first)
    wrong = call.request("PRACK", [("RAck", f"{number + 7} 1 INVITE")])
    assert (await peer.answer_to(wrong, "PRACK")).status == 481
    right = call.request("PRACK", [("RAck", f"{number} 1 INVITE")])
    assert (await peer.answer_to(right, "PRACK")).status == 200
    # Silence is the point: so long an unacknowledged 180 would have been repeated twice more.
    await asyncio.sleep(1.5)
    assert sum(one.status == 180 for one in peer.received) <= 3
    await app.record(session)
    call.take(await peer.next(status=200, method="INVITE"))
    peer.send(call.ack())
    await hung_up(app, call)


async def test_an_answer_waits_for_no_prack(app: Application, peer: RawPeer) -> None:
    """A 180 without SDP that is not acknowledged does not hold the 200 back (RFC 3262 3)."""
    call = RawCall(peer, app.number)
    session = await ringing(app, call, call.invite([("Require", "100rel")]))
    await app.record(session)
    answer = await peer.next(status=200, method="INVITE")
    assert "m=audio" in answer.body
    call.take(answer)
    peer.send(call.ack())
    await hung_up(app, call)


async def test_reliable_answers_are_not_forced_on_anybody(app: Application, peer: RawPeer) -> None:
    """Supported: 100rel alone gets a plain 180."""
    call = RawCall(peer, app.number)
    await ringing(app, call, call.invite([("Supported", "100rel")]))
    plain = await peer.next(status=180)
    assert plain.header("RSeq") == plain.header("Require") == ""
    await given_up(app, call)


# The session: timers and renegotiation


async def test_session_timers_and_a_refresh_by_update(app: Application, peer: RawPeer) -> None:
    """The caller refreshes: our 200 says so, its UPDATE is confirmed, a short one gets 422."""
    call = RawCall(peer, app.number)
    wish = [("Session-Expires", "120;refresher=uac"), ("Supported", "timer")]
    answer, _session = await answered(app, call, call.invite(wish))
    assert answer.header("Session-Expires") == "120;refresher=uac"
    assert answer.header("Require") == "timer"
    refreshed = await peer.answer_to(call.request("UPDATE", wish), "UPDATE")
    assert refreshed.status == 200
    assert refreshed.header("Session-Expires") == "120;refresher=uac"
    assert refreshed.body == ""
    hasty = [("Session-Expires", "60;refresher=uac"), ("Supported", "timer")]
    refused = await peer.answer_to(call.request("UPDATE", hasty), "UPDATE")
    assert (refused.status, refused.header("Min-SE")) == (422, "90")
    await hung_up(app, call)


async def test_a_peer_without_timers_is_refreshed_by_us(app: Application, peer: RawPeer) -> None:
    """No Session-Expires: the 200 names us as refresher and requires nothing."""
    call = RawCall(peer, app.number)
    answer, _session = await answered(app, call)
    assert answer.header("Session-Expires").endswith("refresher=uas")
    assert answer.header("Require") == ""
    await hung_up(app, call)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("hold", ["sendonly", "inactive", "0.0.0.0"])
async def test_hold_stops_our_rtp(app: Application, peer: RawPeer, method: str, hold: str) -> None:
    """By direction or by a void address, in re-INVITE and UPDATE; resumed, the RTP goes on."""
    async with RawPeer("127.0.0.1:9") as media:
        call = RawCall(peer, app.number)
        answer, _session = await answered(app, call, call.invite(body=sdp(media.port)))
        await media.next(5)
        offer = (
            sdp(media.port, host=hold, version=2)
            if hold == "0.0.0.0"
            else sdp(media.port, version=2, more=f"a={hold}\r\n")
        )
        held = await _renegotiated(call, method, offer)
        assert "a=inactive" in held.body if hold == "inactive" else "a=recvonly" in held.body
        assert held.rtp == answer.rtp
        assert _o_version(held) == _o_version(answer) + 1
        await asyncio.sleep(0.1)
        on_hold = len(media.received)
        await asyncio.sleep(QUIET_S)
        # RTCP goes to another port, so nothing at all may come here.
        assert len(media.received) - on_hold <= 1
        resumed = await _renegotiated(call, method, sdp(media.port, version=3))
        assert "a=sendrecv" in resumed.body
        before = len(media.received)
        async with asyncio.timeout(5):
            while len(media.received) < before + 5:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await hung_up(app, call)


async def _renegotiated(call: RawCall, method: str, offer: str) -> RawMessage:
    call.peer.send(call.request(method, (), offer))
    answer = await call.peer.final(method, cseq=call.cseq)
    assert answer.status == 200, answer.lines
    if method == "INVITE":
        call.peer.send(call.ack(cseq=call.cseq))
    return answer


def _o_version(message: RawMessage) -> int:
    line = next(one for one in message.body.split("\r\n") if one.startswith("o="))
    return int(line.split(" ")[2])


async def test_a_refused_renegotiation_changes_nothing(app: Application, peer: RawPeer) -> None:
    """488 to an offer that we cannot take, 415 to a body that is none; the call goes on."""
    async with RawPeer("127.0.0.1:9") as media:
        call = RawCall(peer, app.number)
        await answered(app, call, call.invite(body=sdp(media.port)))
        for method in ("INVITE", "UPDATE"):
            for body, kind, status in (
                (sdp(formats="18", version=2), "application/sdp", 488),
                ("v=0\r\nnonsense", "application/sdp", 0),
                ("hello", "text/plain", 415),
            ):
                branch = new_branch()
                peer.send(call.request(method, (), body, content_type=kind, branch=branch))
                answer = await peer.final(method, cseq=call.cseq)
                assert answer.status == status or (not status and answer.status in (400, 488))
                if method == "INVITE":
                    peer.send(call.request("ACK", cseq=call.cseq, branch=branch))
        count = len(media.received)
        async with asyncio.timeout(5):
            while len(media.received) < count + 5:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await hung_up(app, call)


async def test_a_reinvite_without_offer_gets_ours(app: Application, peer: RawPeer) -> None:
    """The 200 offers what is in force, the ACK answers it, and the call goes on."""
    call = RawCall(peer, app.number)
    answer, _session = await answered(app, call)
    peer.send(call.request("INVITE"))
    ours = await peer.final("INVITE", cseq=call.cseq)
    assert ours.status == 200
    assert ours.rtp == answer.rtp
    peer.send(call.ack(sdp(40_002, version=2), cseq=call.cseq))
    await hung_up(app, call)


async def test_a_cancelled_reinvite_or_answered_invite_stays_up(
    app: Application, peer: RawPeer
) -> None:
    """A CANCEL after the final answer is answered with 200 and does nothing (9.2)."""
    call = RawCall(peer, app.number)
    session = await ringing(app, call)
    await app.record(session)
    call.take(await peer.next(status=200, method="INVITE"))
    to_tag, call.to_tag = call.to_tag, ""
    late = await peer.answer_to(call.cancel(), "CANCEL")
    assert late.status == 200
    call.to_tag = to_tag
    peer.send(call.ack())
    assert (await peer.answer_to(call.request("OPTIONS"), "OPTIONS")).status == 200
    await hung_up(app, call)


# SDP


MULTIPART = (
    "--frontier\r\nContent-Type: application/isup;version=nxv3\r\n"
    "Content-Disposition: signal;handling=optional\r\n\r\n\x01\x00\x49\x00\r\n"
    "--frontier\r\nContent-Type: application/SDP\r\n\r\n{sdp}\r\n--frontier--\r\n"
)


async def test_sdp_in_a_multipart_body(app: Application, peer: RawPeer) -> None:
    """The SDP among ISUP and others is found and answered as plain SDP."""
    async with RawPeer("127.0.0.1:9") as media:
        call = RawCall(peer, app.number)
        body = MULTIPART.format(sdp=sdp(media.port))
        invite = call.invite(body=body, content_type="multipart/mixed; boundary=frontier")
        answer, _session = await answered(app, call, invite)
        assert answer.header("Content-Type") == "application/sdp"
        await media.next(5)
        await hung_up(app, call)


async def test_unknown_sdp_lines_and_second_streams(app: Application, peer: RawPeer) -> None:
    """Unknown lines are ignored; every stream is answered in its place, video with port 0."""
    call = RawCall(peer, app.number)
    offer = (
        "v=0\r\no=Odd 1 1 IN IP4 h+x.example\r\ns= \r\ni=info\r\nu=http://x/\r\ne=a@b\r\n"
        "p=+65 1\r\nb=AS:64\r\nz=1 2\r\nk=clear:x\r\nt=0 0\r\nr=1 2 3\r\nx=what\r\n"
        "a=group:BUNDLE 0\r\n"
        "m=video 41000 RTP/AVP 96\r\nc=IN IP4 127.0.0.1\r\na=rtpmap:96 H264/90000\r\n"
        "m=audio 40000 RTP/AVP 96 97 8\r\nc=IN IP4 127.0.0.1\r\ny=strange\r\n"
        "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/8000\r\na=fmtp:97 0-15\r\n"
        "a=candidate:1 1 UDP 1 10.0.0.1 9 typ host\r\na=odd\r\na=:\r\n"
    )
    answer, _session = await answered(app, call, call.invite(body=offer))
    media = [line for line in answer.body.split("\r\n") if line.startswith("m=")]
    assert media[0] == "m=video 0 RTP/AVP 96"
    assert media[1].endswith(" RTP/AVP 8 97")
    await hung_up(app, call)


@pytest.mark.parametrize(
    ("wish", "ptime_ms"),
    [("a=ptime:30\r\n", 30), ("a=ptime:60\r\na=maxptime:40\r\n", 40), ("a=maxptime:10\r\n", 10),
     ("a=ptime:0\r\n", 20), ("a=ptime:nonsense\r\n", 20), ("a=ptime:20.0\r\n", 20),
     ("a=ptime:100000\r\n", None)],
)  # fmt: skip
async def test_packets_have_the_length_that_was_asked_for(
    app: Application, peer: RawPeer, wish: str, ptime_ms: int | None
) -> None:
    """What ptime says, within maxptime and within what we can; nonsense is 20 ms."""
    async with RawPeer("127.0.0.1:9") as media:
        call = RawCall(peer, app.number)
        answer, _session = await answered(app, call, call.invite(body=sdp(media.port, more=wish)))
        packet = await media.next(5)
        length_ms = (len(packet.raw) - 12) // 8
        assert length_ms == (ptime_ms or length_ms)
        assert length_ms <= 60
        assert f"a=ptime:{length_ms}" in answer.body
        await hung_up(app, call)


# Dialogs


async def test_our_bye_follows_route_set_and_remote_target(
    app: Application, server: ServerProcess
) -> None:
    """To the first Record-Route, with all of them in order, for the Contact of the caller."""
    async with RawPeer(server.sip) as peer, RawPeer(server.sip) as proxy:
        call = RawCall(peer, app.number)
        call.contact = '"C" <sip:me+1@192.0.2.7:5999;ob;x=%2B>;q=1'
        routes = [f"<sip:127.0.0.1:{proxy.port};lr;ftag=+1>", "<sip:192.0.2.9;lr>"]
        recorded = [
            ("Record-Route", routes[0]),
            ("Record-Route", f"{routes[1]}, <sip:3.example;lr>"),
        ]
        answer, session = await answered(app, call, call.invite(recorded))
        echoed = ",".join(answer.headers("Record-Route")).replace(" ", "").split(",")
        assert echoed == [*routes, "<sip:3.example;lr>"]
        await app.block("ivr/end/hangup", session, force="enabled")
        bye = await proxy.next(method="BYE")
        assert bye.uri == "sip:me+1@192.0.2.7:5999;ob;x=%2B"
        sent = ",".join(bye.headers("Route")).replace(" ", "").split(",")
        assert sent == [*routes, "<sip:3.example;lr>"]
        assert bye.header("From") == answer.header("To")
        assert bye.header("To") == call.from_
        proxy.send(call.reply(bye))
        await app.told(ivr_block="record", call_state="ended")


async def test_our_bye_goes_to_the_newest_contact(app: Application, server: ServerProcess) -> None:
    """A re-INVITE moved the remote target; the BYE is sent there, to that address (12.2.1.1)."""
    async with RawPeer(server.sip) as peer, RawPeer(server.sip) as moved:
        call = RawCall(peer, app.number)
        _answer, session = await answered(app, call)
        call.contact = f"<sip:moved@127.0.0.1:{moved.port}>"
        await _renegotiated(call, "INVITE", sdp(version=2))
        await app.block("ivr/end/hangup", session, force="enabled")
        bye = await moved.next(method="BYE")
        assert bye.uri == f"sip:moved@127.0.0.1:{moved.port}"
        moved.send(call.reply(bye))
        await app.told(ivr_block="record", call_state="ended")


async def test_a_strict_router_gets_its_own_form(app: Application, server: ServerProcess) -> None:
    """A first Record-Route without lr becomes the Request-URI, the target the last Route."""
    async with RawPeer(server.sip) as peer, RawPeer(server.sip) as strict:
        call = RawCall(peer, app.number)
        recorded = [("Record-Route", f"<sip:127.0.0.1:{strict.port}>")]
        _answer, session = await answered(app, call, call.invite(recorded))
        await app.block("ivr/end/hangup", session, force="enabled")
        bye = await strict.next(method="BYE")
        assert bye.uri == f"sip:127.0.0.1:{strict.port}"
        assert bye.header("Route") == call.contact
        strict.send(call.reply(bye))
        await app.told(ivr_block="record", call_state="ended")


async def test_sequence_numbers_never_go_back(app: Application, peer: RawPeer) -> None:
    """A lower CSeq in the dialog gets 500; a gap is fine; a repeat gets the same answer."""
    call = RawCall(peer, app.number)
    await answered(app, call)
    assert (await peer.answer_to(call.request("OPTIONS", cseq=50), "OPTIONS")).status == 200
    old = await peer.answer_to(call.request("INFO", cseq=49), "INFO")
    assert old.status == 500
    call.cseq = 60
    bye = call.request("BYE")
    first, second = await peer.answer_to(bye, "BYE"), await peer.answer_to(bye, "BYE")
    assert first.status == 200
    assert first.raw == second.raw
    assert (await peer.answer_to(call.request("BYE"), "BYE")).status == 481
    await app.told(ivr_block="record", call_state="ended")


async def test_wrong_tags_are_no_dialog(app: Application, peer: RawPeer) -> None:
    """A BYE with a wrong tag of either side gets 481 and the call stays up."""
    call = RawCall(peer, app.number)
    await answered(app, call)
    right_to, right_from = call.to_tag, call.from_
    call.to_tag = right_to + "x"
    assert (await peer.answer_to(call.request("BYE"), "BYE")).status == 481
    call.to_tag, call.from_ = right_to, right_from + "x"
    assert (await peer.answer_to(call.request("BYE"), "BYE")).status == 481
    call.from_ = right_from
    assert (await peer.answer_to(call.request("OPTIONS"), "OPTIONS")).status == 200
    await hung_up(app, call)


async def test_a_bye_that_crosses_the_200(app: Application, peer: RawPeer) -> None:
    """BYE instead of ACK: 200, ours is not repeated, and a call that was answered is billed."""
    call = RawCall(peer, app.number)
    session = await ringing(app, call)
    await app.record(session)
    call.take(await peer.next(status=200, method="INVITE"))
    assert (await peer.answer_to(call.request("BYE"), "BYE")).status == 200
    told = await app.told(ivr_block="record", call_state="ended")
    assert told.body["record_status"] == "failed"
    assert told.body["duration"] == "1"
    await peer.quiet(1.5)
    peer.send(call.ack())
    await peer.quiet()


async def test_an_early_bye_ends_the_ringing(app: Application, peer: RawPeer) -> None:
    """BYE in the early dialog: 200 for it, 487 for the INVITE, the application is told."""
    call = RawCall(peer, app.number)
    await ringing(app, call)
    call.take(await peer.next(status=180))
    assert (await peer.answer_to(call.request("BYE"), "BYE")).status == 200
    refusal = await peer.final("INVITE")
    assert refusal.status == 487
    call.to_tag = ""
    peer.send(call.ack_refusal(refusal))
    await app.told(ivr_block="answer", call_state="ended")


async def test_our_bye_crosses_theirs(app: Application, peer: RawPeer) -> None:
    """Both hang up at once: each BYE gets its answer and the call is told once."""
    call = RawCall(peer, app.number)
    _answer, session = await answered(app, call)
    await app.block("ivr/end/hangup", session, force="enabled", notify_url=app.url())
    ours = await peer.next(method="BYE")
    theirs = await peer.answer_to(call.request("BYE"), "BYE")
    assert theirs.status in (200, 481)
    peer.send(call.reply(ours, 481))
    await app.told(ivr_block="record", call_state="ended")
    await app.told(ivr_block="hangup", call_state="ended")
    await peer.quiet(1.0)


async def test_a_lost_connection_is_opened_again_for_the_bye(
    app: Application, server: ServerProcess
) -> None:
    """TCP: the connection is gone, so our BYE comes by a new one to the caller's Contact."""
    byes: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await byes.put(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    listener = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with RawPeer(server.sip, "tcp") as peer:
        call = RawCall(peer, app.number)
        call.contact = f"<sip:raw@127.0.0.1:{port};transport=tcp>"
        _answer, session = await answered(app, call)
        assert (await peer.answer_to(call.request("OPTIONS"), "OPTIONS")).status == 200
        peer.hang_up_connection()
        await app.block("ivr/end/hangup", session, force="enabled")
        bye = await asyncio.wait_for(byes.get(), 10)
        assert bye.startswith(f"BYE sip:raw@127.0.0.1:{port};transport=tcp SIP/2.0".encode())
    await app.told(ivr_block="record", call_state="ended")
    listener.close()
    await listener.wait_closed()
