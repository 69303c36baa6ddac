"""Requests and responses: reading, checking, echoing, writing."""

from __future__ import annotations

import pytest

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip.cseq import CSeq
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    REASONS,
    SipRequest,
    SipResponse,
    build_response,
    parse_message,
    salvage_request,
    validate_request,
)

INVITE = (
    b"INVITE sip:+6531580000@192.0.2.10;user=phone SIP/2.0\r\n"
    b"Via : SIP/2.0/UDP my_pbx:5062;rport;branch=z9hG4bK+a%2B+\r\n"
    b"v: SIP/2.0/TCP [2001:db8::1],\r\n SIP/2.0/TLS last\r\n"
    b"Record-Route: <sip:p1;lr>\r\n"
    b"RECORD-ROUTE: <sip:p2;lr>, <sip:p3;lr>\r\n"
    b'f: "J\xe9r\xf4me"  <sip:+65@me>;tag=a+1\r\n'
    b"tO: tel:+6531580000\r\n"
    b"i: +abc@x\r\n"
    b"Timestamp: 54\r\n"
    b"CSeq: 1\r\n\tINVITE\r\n"
    b"m: <sip:me@192.0.2.9:5062>\r\n"
    b"c: Application/SDP ; x=y\r\n"
    b"Expires: 120\r\n"
    b"l : 4 \r\n"
    b"\r\n"
    b"v=0\n"
)


def invite() -> SipRequest:
    """The request above, parsed."""
    message = parse_message(INVITE)
    assert isinstance(message, SipRequest)
    return message


def test_properties() -> None:
    """Everything that the layers above ask for is read from what real peers send."""
    request = invite()
    validate_request(request)
    assert request.method == "INVITE"
    assert request.request_uri.user == "+6531580000"
    assert request.call_id == "+abc@x"
    assert request.cseq == CSeq(1, "INVITE")
    assert request.from_.readable_name == "Jérôme"
    assert request.from_tag == "a+1"
    assert request.to.uri == "tel:+6531580000"
    assert request.to_tag is None
    assert request.top_via.branch == "z9hG4bK+a%2B+"
    assert request.contact is not None
    assert request.contact.sip_uri.port == 5062
    assert request.expires == 120
    assert request.content_type == "application/sdp"
    assert request.max_forwards is None
    assert request.body == b"v=0\n"


def test_absent_headers() -> None:
    """Optional headers are None when absent; required ones are an error that names them."""
    request = SipRequest("OPTIONS", "sip:x")
    assert request.contact is None
    assert request.expires is None
    assert request.content_type is None
    assert request.max_forwards is None
    for name in ("call_id", "cseq", "from_", "to", "from_tag", "to_tag", "top_via"):
        with pytest.raises(RemoteSipError, match="is missing"):
            getattr(request, name)


def test_content_types() -> None:
    """Blanks and parameters do not matter; what is no media type stays as it is."""
    headers = Headers([("c", "Multipart / Mixed;boundary=/")])
    assert SipRequest("INVITE", "sip:x", headers).content_type == "multipart/mixed"
    headers.set("Content-Type", "SDP")
    assert SipRequest("INVITE", "sip:x", headers).content_type == "sdp"


@pytest.mark.parametrize("via", [None, "", ",", ", SIP/2.0/UDP a", "SIP/2.0/UDP a, b"])
def test_every_via_is_checked(via: str | None) -> None:
    """A request whose way back cannot be read is refused before anybody acts on it."""
    request = invite()
    request.headers.remove("Via")
    if via is not None:
        request.headers.prepend("Via", via)
    with pytest.raises(RemoteSipError) as refusal:
        validate_request(request)
    assert refusal.value.status_hint == 400


def test_bytes_survive() -> None:
    """Values come back byte for byte; folds lose their line end only, lengths are corrected."""
    lines = invite().serialize().split(b"\r\n")
    assert lines[1] == b"Via: SIP/2.0/UDP my_pbx:5062;rport;branch=z9hG4bK+a%2B+"
    assert lines[2] == b"v: SIP/2.0/TCP [2001:db8::1], SIP/2.0/TLS last"
    assert lines[5] == b'f: "J\xe9r\xf4me"  <sip:+65@me>;tag=a+1'
    assert lines[9] == b"CSeq: 1\tINVITE"
    assert lines[-3] == b"l: 4"
    assert parse_message(b"\r\n".join(lines)) == invite()


def test_content_length_is_written() -> None:
    """A message without Content-Length gets one, a wrong or doubled one is corrected."""
    response = SipResponse(200, "OK", Headers([("l", "99"), ("Content-Length", "7")]), b"abc")
    assert response.serialize() == b"SIP/2.0 200 OK\r\nl: 3\r\n\r\nabc"
    assert (
        SipRequest("BYE", "sip:x").serialize() == b"BYE sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    "data",
    [
        INVITE.replace(b"\r\n", b"\n"),
        b"\r\n\r\n" + INVITE,
        INVITE + b"bytes behind the body",
        INVITE.replace(b"l : 4 \r\n", b""),
        INVITE.replace(b"SIP/2.0\r\n", b"sip/2.0 \r\n", 1),
        INVITE.replace(b"l : 4", b"Content-LENGTH\t:\t0004"),
        INVITE.replace(b"l : 4", b"l: 4\r\nContent-Length: 4"),
    ],
    ids=["bare LF", "leading line ends", "trailing bytes", "no length", "case", "blanks", "twice"],
)
def test_tolerated(data: bytes) -> None:
    """What careless peers send means the same as the clean message."""
    message = parse_message(data)
    expected = invite()
    assert message.body == b"v=0\n"
    for request in (message, expected):
        request.headers.remove("Content-Length")
    assert message == expected


def test_response_echo() -> None:
    """A response carries the request's routing headers unchanged, and a tag on To only."""
    request = invite()
    response = build_response(request, 180, to_tag="ours", extra=[("Contact", "<sip:me>")])
    assert response.serialize() == (
        b"SIP/2.0 180 Ringing\r\n"
        b"Via: SIP/2.0/UDP my_pbx:5062;rport;branch=z9hG4bK+a%2B+\r\n"
        b"v: SIP/2.0/TCP [2001:db8::1], SIP/2.0/TLS last\r\n"
        b"Record-Route: <sip:p1;lr>\r\n"
        b"RECORD-ROUTE: <sip:p2;lr>, <sip:p3;lr>\r\n"
        b'f: "J\xe9r\xf4me"  <sip:+65@me>;tag=a+1\r\n'
        b"tO: tel:+6531580000;tag=ours\r\n"
        b"i: +abc@x\r\n"
        b"CSeq: 1\tINVITE\r\n"
        b"Contact: <sip:me>\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_response_details() -> None:
    """100 echoes Timestamp, failures no Record-Route, a tag of the request stays."""
    request = invite()
    trying = build_response(request, 100)
    assert trying.headers.get("Timestamp") == "54"
    assert trying.to_tag is None
    assert "Record-Route" not in trying.headers
    busy = build_response(request, 486, "Not now", to_tag="t")
    assert (busy.reason, busy.to_tag) == ("Not now", "t")
    assert "Record-Route" not in busy.headers
    request.headers.set("To", "<sip:x>;TAG=theirs")
    assert build_response(request, 200, to_tag="t").headers.get("To") == "<sip:x>;TAG=theirs"
    assert build_response(request, 299).reason == ""


def test_unreadable_to_is_echoed() -> None:
    """A 400 for a broken To can still be built."""
    request = invite()
    request.headers.set("To", '"open <sip:x>')
    assert build_response(request, 400, to_tag="t").headers.get("To") == '"open <sip:x>;tag=t'


def test_stamping() -> None:
    """Only the top Via value gets the source."""
    request = invite()
    request.stamp_source("198.51.100.7", 40000)
    assert request.headers.get_all("Via") == [
        "SIP/2.0/UDP my_pbx:5062;rport=40000;branch=z9hG4bK+a%2B+;received=198.51.100.7",
        "SIP/2.0/TCP [2001:db8::1], SIP/2.0/TLS last",
    ]
    request.headers.remove("Via")
    with pytest.raises(RemoteSipError):
        request.stamp_source("198.51.100.7", 40000)
    listed = SipRequest("OPTIONS", "sip:x", Headers([("v", "SIP/2.0/UDP a;rport , SIP/2.0/UDP b")]))
    listed.stamp_source("192.0.2.1", 1)
    assert listed.headers.get("Via") == "SIP/2.0/UDP a;rport=1;received=192.0.2.1, SIP/2.0/UDP b"


def test_no_injection_in_start_lines() -> None:
    """Neither reason, method nor URI can smuggle in a header."""
    for message in (
        SipResponse(200, "OK\r\nEvil: 1"),
        SipRequest("BYE", "sip:x\nEvil: 1"),
        SipRequest("BYE\r", "sip:x"),
    ):
        with pytest.raises(ContractViolation):
            message.serialize()


def test_limits() -> None:
    """Header blocks that no phone sends are refused with 513."""
    for junk in (b"X: " + b"a" * MAX_HEADER_BYTES + b"\r\n", b"X:\r\n" * MAX_HEADER_LINES):
        with pytest.raises(RemoteSipError) as refusal:
            parse_message(INVITE.replace(b"Expires", junk + b"Expires"))
        assert refusal.value.status_hint == 513


def test_salvage() -> None:
    """A refused request is read as far as an answer needs; ACK and fragments are not."""
    broken = INVITE.replace(b"Timestamp: 54", b"no colon here").replace(
        b"SIP/2.0\r\n", b"SIP/3.1\r\n", 1
    )
    request = salvage_request(broken)
    assert request is not None
    assert request.method == "INVITE"
    assert request.uri == "sip:+6531580000@192.0.2.10;user=phone"
    assert request.call_id == "+abc@x"
    assert salvage_request(broken.replace(b"INVITE ", b"ACK ", 1)) is None
    assert salvage_request(broken.replace(b"Via :", b"Vya :").replace(b"v:", b"w:")) is None
    assert salvage_request(broken.replace(b"i: ", b"ii: ")) is None
    assert salvage_request(broken.replace(b"SIP/2.0/UDP", b"what")) is None
    assert salvage_request(b"SIP/2.0 200 OK\r\n\r\n") is None
    assert salvage_request(b"\x00\x01") is None


def test_reasons_table() -> None:
    """Every status that the table of SIP answers uses has its phrase."""
    for status in (100, 180, 200, 400, 403, 404, 405, 415, 416, 420, 422, 480, 481, 482, 486, 487):
        assert REASONS[status]
    assert REASONS[603] == "Decline"
    assert all(100 <= status <= 699 for status in REASONS)
