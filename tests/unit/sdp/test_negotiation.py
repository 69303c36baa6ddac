"""Offer and answer, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sdp.description import parse_description
from voiceblocks.sdp.negotiation import LocalMedia, build_offer, negotiate, read_answer

LOCAL = LocalMedia(host="198.51.100.7", port=20000, session_id=11, session_version=1)
HEAD = "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def offer(*lines: str, head: str = HEAD) -> bytes:
    """The head and these lines."""
    return (head + "".join(line + "\r\n" for line in lines)).encode()


def answer_lines(data: bytes) -> list[str]:
    """An answer's lines."""
    return data.decode().split("\r\n")[:-1]


def test_the_usual_phone() -> None:
    """A typical offer is answered with one codec and telephone-event, word for word."""
    agreed = negotiate(
        offer(
            "m=audio 49170 RTP/AVP 8 0 18 96",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:18 G729/8000",
            "a=rtpmap:96 telephone-event/8000",
            "a=fmtp:96 0-16",
            "a=sendrecv",
        ),
        local=LOCAL,
    )
    assert answer_lines(agreed.answer) == [
        "v=0",
        "o=- 11 1 IN IP4 198.51.100.7",
        "s=-",
        "c=IN IP4 198.51.100.7",
        "t=0 0",
        "m=audio 20000 RTP/AVP 8 96",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:96 telephone-event/8000",
        "a=fmtp:96 0-16",
        "a=ptime:20",
        "a=sendrecv",
    ]
    assert (agreed.codec, agreed.payload_type) == ("PCMA", 8)
    assert (agreed.event_payload_type, agreed.comfort_noise_payload_type) == (96, None)
    assert (agreed.remote, agreed.remote_rtcp) == (("192.0.2.1", 49170), ("192.0.2.1", 49171))
    assert (agreed.send, agreed.receive, agreed.on_hold) == (True, True, False)
    assert agreed.ptime_ms == 20


def test_static_payload_types_need_no_rtpmap() -> None:
    """`m=audio … 18 0 13` alone gives PCMU with comfort noise."""
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 18 0 13"), local=LOCAL)
    assert (agreed.codec, agreed.comfort_noise_payload_type) == ("PCMU", 13)
    assert agreed.event_payload_type is None
    assert "m=audio 20000 RTP/AVP 0 13" in answer_lines(agreed.answer)


def test_the_offerers_order_wins_and_names_ignore_case() -> None:
    """A dynamic number with a lower-case name is taken when it is named first."""
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 97 0", "a=rtpmap:97 pcma/8000/1"), local=LOCAL)
    assert (agreed.codec, agreed.payload_type) == ("PCMA", 97)
    assert "a=rtpmap:97 PCMA/8000" in answer_lines(agreed.answer)


def test_formats_that_cannot_be_ours_are_passed_over() -> None:
    """Other clock rates, stereo, odd payload numbers and unmapped dynamic ones are skipped."""
    agreed = negotiate(
        offer(
            "m=audio 4000 RTP/AVP 96 97 98 128 x 8 99",
            "a=rtpmap:96 PCMU/16000",
            "a=rtpmap:97 PCMU/8000/2",
            "a=rtpmap:99 telephone-event/48000",
            "a=rtpmap:bogus",
            "a=rtpmap:500 PCMU/8000",
            "a=rtpmap:98 PCMU",
        ),
        local=LOCAL,
    )
    assert (agreed.payload_type, agreed.event_payload_type) == (8, None)


def test_telephone_event_takes_the_matching_clock_rate() -> None:
    """Of two telephone-events the one with 8000 Hz is answered."""
    agreed = negotiate(
        offer(
            "m=audio 4000 RTP/AVP 0 110 101",
            "a=rtpmap:110 telephone-event/48000",
            "a=rtpmap:101 telephone-event/8000",
        ),
        local=LOCAL,
    )
    assert agreed.event_payload_type == 101
    assert "a=fmtp:101 0-15" in answer_lines(agreed.answer)


@pytest.mark.parametrize(
    ("fmtp", "events"),
    [("0-16", "0-16"), ("0-15", "0-15"), ("0-11,16", "0-16"), ("0-255", "0-16"), ("x-,", "0-15")],
)
def test_events_offered(fmtp: str, events: str) -> None:
    """Flash (16) is answered only where it was offered."""
    lines = ("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000")
    agreed = negotiate(offer(*lines, "a=fmtp:0 x", f"a=fmtp:101 {fmtp}"), local=LOCAL)
    assert f"a=fmtp:101 {events}" in answer_lines(agreed.answer)


def test_what_we_do_not_want_is_not_answered() -> None:
    """Telephone-event and comfort noise stay out where `LocalMedia` says so."""
    local = replace(LOCAL, telephone_event=False, comfort_noise=False)
    lines = ("m=audio 4000 RTP/AVP 0 13 101", "a=rtpmap:101 telephone-event/8000")
    agreed = negotiate(offer(*lines), local=local)
    assert "m=audio 20000 RTP/AVP 0" in answer_lines(agreed.answer)
    assert (agreed.event_payload_type, agreed.comfort_noise_payload_type) == (None, None)


def test_other_media_are_refused_in_place() -> None:
    """The answer has every m-line of the offer, in order, with port 0 for what is not used."""
    agreed = negotiate(
        offer(
            "m=video 5000 RTP/AVP 31 96",
            "m=audio 6000 RTP/SAVP 0",
            "m=audio 0 RTP/AVP 0",
            "m=audio 6002 RTP/AVP 18",
            "m=audio 6004 RTP/AVP 0",
            "m=audio 6006 RTP/AVP 8",
            "m=image 7000 udptl t38",
        ),
        local=LOCAL,
    )
    assert [line for line in answer_lines(agreed.answer) if line.startswith("m=")] == [
        "m=video 0 RTP/AVP 31 96",
        "m=audio 0 RTP/SAVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=audio 0 RTP/AVP 18",
        "m=audio 20000 RTP/AVP 0",
        "m=audio 0 RTP/AVP 8",
        "m=image 0 udptl t38",
    ]
    assert agreed.remote == ("192.0.2.1", 6004)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("m=audio 4000 RTP/AVP 18",), 488),
        (("m=audio 4000 RTP/SAVP 0",), 488),
        (("m=audio 4000 UDP/TLS/RTP/SAVPF 0",), 488),
        (("m=audio 0 RTP/AVP 0",), 488),
        (("m=video 4000 RTP/AVP 0",), 488),
        ((), 488),
        (("m=audio 4000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"), 488),
        (("m=audio 4000 RTP/AVP 0", "c=IN"), 400),
    ],
)
def test_offers_that_cannot_be_answered(lines: tuple[str, ...], status: int) -> None:
    """No common codec, secure profiles, no audio and multicast are 488; bad lines 400."""
    with pytest.raises(RemoteSipError) as caught:
        negotiate(offer(*lines), local=LOCAL)
    assert caught.value.status_hint == status


def test_no_connection_line_is_400() -> None:
    """Without any address there is nowhere to send to."""
    with pytest.raises(RemoteSipError) as caught:
        negotiate(offer("m=audio 4000 RTP/AVP 0", head="v=0\r\n"), local=LOCAL)
    assert caught.value.status_hint == 400


@pytest.mark.parametrize(
    ("lines", "ptime"),
    [
        ((), 20),
        (("a=ptime:30",), 30),
        (("a=ptime:20.0",), 20),
        (("a=ptime:25",), 20),
        (("a=ptime:200",), 60),
        (("a=ptime:5",), 10),
        (("a=ptime:0",), 20),
        (("a=ptime:soon",), 20),
        (("a=ptime:40", "a=maxptime:30"), 30),
        (("a=maxptime:10",), 10),
    ],
)
def test_packet_duration(lines: tuple[str, ...], ptime: int) -> None:
    """Ptime and maxptime are honoured within 10 to 60 ms, in steps of 10, and answered."""
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 0", *lines), local=LOCAL)
    assert agreed.ptime_ms == ptime
    assert f"a=ptime:{ptime}" in answer_lines(agreed.answer)


@pytest.mark.parametrize("at_session_level", [False, True])
@pytest.mark.parametrize(
    ("offered", "answered", "send", "receive", "on_hold"),
    [
        ("sendrecv", "sendrecv", True, True, False),
        ("sendonly", "recvonly", False, True, True),
        ("recvonly", "sendonly", True, False, False),
        ("inactive", "inactive", False, False, True),
    ],
)
def test_direction_is_mirrored(
    offered: str, answered: str, send: bool, receive: bool, on_hold: bool, at_session_level: bool
) -> None:
    """Each direction gets its mirror image (RFC 3264 section 6.1), from either level."""
    head = HEAD + f"a={offered}\r\n" if at_session_level else HEAD
    lines = [] if at_session_level else [f"a={offered}"]
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 0", *lines, head=head), local=LOCAL)
    assert answer_lines(agreed.answer)[-1] == f"a={answered}"
    assert (agreed.send, agreed.receive, agreed.on_hold) == (send, receive, on_hold)


def test_media_level_direction_beats_the_sessions() -> None:
    """A section's own direction holds over the session's."""
    agreed = negotiate(
        offer("m=audio 4000 RTP/AVP 0", "a=sendonly", head=HEAD + "a=inactive\r\n"), local=LOCAL
    )
    assert agreed.receive


@pytest.mark.parametrize("address", ["IP4 0.0.0.0", "IP6 ::", "IP6 hold.invalid"])
def test_hold_by_a_void_address(address: str) -> None:
    """The old way to hold: we stop sending and keep listening, and know no address."""
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 0", f"c=IN {address}"), local=LOCAL)
    assert (agreed.remote, agreed.remote_rtcp) == (None, None)
    assert (agreed.send, agreed.receive, agreed.on_hold) == (False, True, True)
    assert answer_lines(agreed.answer)[-1] == "a=recvonly"


def test_host_names_are_not_looked_up() -> None:
    """A name leaves the address open, to be learned from the peer's RTP."""
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 0", "c=IN IP4 sbc.example"), local=LOCAL)
    assert agreed.remote is None
    assert (agreed.send, agreed.on_hold) == (True, False)


def test_our_own_hold() -> None:
    """What we do not want to send or receive is taken out of the answer's direction."""
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 0"), local=replace(LOCAL, receive=False))
    assert answer_lines(agreed.answer)[-1] == "a=sendonly"
    assert (agreed.send, agreed.receive) == (True, False)


@pytest.mark.parametrize(
    ("attribute", "rtcp"),
    [
        ("a=rtcp:5555", ("192.0.2.1", 5555)),
        ("a=rtcp:5555 IN IP4 192.0.2.9", ("192.0.2.9", 5555)),
        ("a=rtcp:5555 IN IP4 224.0.0.1", ("192.0.2.1", 4001)),
        ("a=rtcp:nonsense", ("192.0.2.1", 4001)),
        ("a=rtcp-mux", ("192.0.2.1", 4001)),
    ],
)
def test_rtcp_address(attribute: str, rtcp: tuple[str, int]) -> None:
    """RFC 3605 is honoured, nonsense ignored, and rtcp-mux not answered."""
    agreed = negotiate(offer("m=audio 4000 RTP/AVP 0", attribute), local=LOCAL)
    assert agreed.remote_rtcp == rtcp
    assert b"rtcp" not in agreed.answer


def test_no_rtcp_port_above_the_last() -> None:
    """RTP on port 65535 leaves none for RTCP."""
    assert negotiate(offer("m=audio 65535 RTP/AVP 0"), local=LOCAL).remote_rtcp is None


def test_ipv6() -> None:
    """IPv6 addresses are read and written."""
    agreed = negotiate(
        offer("m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:DB8::0:1"),
        local=replace(LOCAL, host="2001:db8::7"),
    )
    assert agreed.remote == ("2001:db8::1", 4000)
    assert "c=IN IP6 2001:db8::7" in answer_lines(agreed.answer)
    assert "o=- 11 1 IN IP6 2001:db8::7" in answer_lines(agreed.answer)


@pytest.mark.parametrize(
    ("host", "theirs"), [("198.51.100.7", "IP6 2001:db8::1"), ("::1", "IP4 192.0.2.1")]
)
def test_a_family_that_we_cannot_reach_is_488(host: str, theirs: str) -> None:
    """Answered it would be a call in which nobody hears anything."""
    offered = offer("m=audio 4000 RTP/AVP 0", f"c=IN {theirs}")
    with pytest.raises(RemoteSipError) as caught:
        negotiate(offered, local=replace(LOCAL, host=host))
    assert caught.value.status_hint == 488


def test_the_stream_in_our_family_is_taken() -> None:
    """Offers for both families name the stream twice."""
    agreed = negotiate(
        offer(
            "m=audio 4000 RTP/AVP 0",
            "c=IN IP6 2001:db8::1",
            "m=audio 4002 RTP/AVP 0",
            "c=IN IP4 192.0.2.9",
        ),
        local=LOCAL,
    )
    assert agreed.remote == ("192.0.2.9", 4002)
    assert "m=audio 0 RTP/AVP 0" in answer_lines(agreed.answer)


def test_our_own_address_must_be_one() -> None:
    """A name as our own media address is our mistake, not the peer's."""
    with pytest.raises(ContractViolation):
        build_offer(replace(LOCAL, host="localhost"))


def test_the_version_is_the_callers() -> None:
    """The `o=` line carries the version that the caller counted up."""
    assert b"o=- 11 2 IN IP4" in build_offer(replace(LOCAL, session_version=2))


def test_our_offer() -> None:
    """The offer names all codecs, comfort noise and events, static numbers first."""
    local = replace(LOCAL, codecs=("PCMU", "X1", "X2", "X3", "X4", "X5", "X6"))
    lines = answer_lines(build_offer(local, ptime_ms=40, direction="inactive"))
    assert "m=audio 20000 RTP/AVP 0 96 97 98 99 100 102 13 101" in lines
    assert "a=rtpmap:102 X6/8000" in lines
    assert "a=fmtp:101 0-16" in lines
    assert lines[-2:] == ["a=ptime:40", "a=inactive"]


def test_a_bare_offer() -> None:
    """Without events and comfort noise only codecs are offered."""
    bare = build_offer(replace(LOCAL, telephone_event=False, comfort_noise=False))
    assert "m=audio 20000 RTP/AVP 0 8" in answer_lines(bare)
    assert b"101" not in bare


def test_offer_and_answer_of_our_own_meet() -> None:
    """Two of us agree, each with the other's address."""
    caller, callee = LOCAL, replace(LOCAL, host="192.0.2.50", port=30000)
    sent = build_offer(caller)
    theirs = negotiate(sent, local=callee)
    ours = read_answer(theirs.answer, offer=sent, local=caller)
    assert (ours.codec, ours.payload_type) == (theirs.codec, theirs.payload_type) == ("PCMU", 0)
    assert ours.event_payload_type == theirs.event_payload_type == 101
    assert ours.comfort_noise_payload_type == theirs.comfort_noise_payload_type == 13
    assert (ours.remote, theirs.remote) == (("192.0.2.50", 30000), ("198.51.100.7", 20000))
    assert ours.answer == theirs.answer


@pytest.mark.parametrize(
    ("direction", "send", "receive"),
    [("sendonly", True, False), ("recvonly", False, True), ("inactive", False, False)],
)
def test_an_answer_cannot_widen_our_direction(direction: str, send: bool, receive: bool) -> None:
    """A sendrecv answer to a narrower offer leaves us with what we offered."""
    sent = build_offer(LOCAL, direction=direction)
    agreed = read_answer(offer("m=audio 4000 RTP/AVP 0"), offer=sent, local=LOCAL)
    assert (agreed.send, agreed.receive) == (send, receive)


@pytest.mark.parametrize(
    "lines", [(), ("m=audio 0 RTP/AVP 0",), ("m=audio 4000 RTP/AVP 18",), ("m=video 4 RTP/AVP 0",)]
)
def test_answers_that_refuse(lines: tuple[str, ...]) -> None:
    """An answer without usable audio is 488."""
    with pytest.raises(RemoteSipError) as caught:
        read_answer(offer(*lines), offer=build_offer(LOCAL), local=LOCAL)
    assert caught.value.status_hint == 488


def test_an_offer_without_media_is_our_mistake() -> None:
    """`read_answer` wants the offer that we sent."""
    with pytest.raises(ContractViolation):
        read_answer(offer("m=audio 4000 RTP/AVP 0"), offer=b"v=0", local=LOCAL)


_pieces = st.sampled_from(
    [
        "m=audio 4000 RTP/AVP 0 8 101",
        "m=video 1 RTP/AVP 31",
        "a=rtpmap:101 telephone-event/8000",
        "a=rtpmap:0 /",
        "a=fmtp:101 0-",
        "a=rtcp: ",
        "a=ptime:",
        "c=IN IP4 0.0.0.0",
        "c=IN IP6 fe80::1%eth0",
        "a=inactive",
    ]
) | st.text(st.characters(codec="utf-8"), max_size=20).map("a=".__add__)


@given(st.lists(_pieces, max_size=10))
def test_any_offer_gives_an_answer_or_the_documented_error(lines: list[str]) -> None:
    """Nothing but RemoteSipError is raised, and an answer mirrors the offer's media."""
    data = offer(*lines)
    try:
        agreed = negotiate(data, local=LOCAL)
    except RemoteSipError:
        return
    asked, answered = parse_description(data), parse_description(agreed.answer)
    assert [m.media for m in asked.media] == [m.media for m in answered.media]
    assert sum(m.port != 0 for m in answered.media) == 1
    assert agreed.ptime_ms in range(10, 61, 10)
