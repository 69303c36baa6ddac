"""The messages of RFC 4475: what this layer makes of each, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.message import (
    SipMessage,
    SipRequest,
    SipResponse,
    build_response,
    parse_message,
    salvage_request,
    validate_request,
)

DATA = Path(__file__).parents[2] / "data" / "sip"

ACCEPTED = {
    "wsinv": "folds, blanks, compact names, odd case, escaped quotes",
    "intmeth": "every character that a token, URI or quoted string may hold",
    "esc01": "escapes stay escaped",
    "escnull": "an escaped NUL is just another escape",
    "esc02": "a per cent sign that is no escape, in a method and a header name",
    "lwsdisp": "no blank before the angle bracket",
    "longreq": "long values, 34 Via lines",
    "dblreq": "bytes behind Content-Length are cut off a datagram",
    "semiuri": "semicolons in the user part",
    "transports": "unknown transports",
    "mpart01": "a binary body",
    "unreason": "UTF-8 in the reason",
    "noreason": "no reason",
    "trws": "tolerated: blanks behind the version cannot be misread",
    "escruri": "tolerated: headers in the Request-URI are ignored",
    "baddate": "tolerated: nobody here reads Date",
    "regbadct": "its Contact is refused when read; this layer does not read it",
    "badaspec": "tolerated: blanks inside the brackets are dropped",
    "baddn": "tolerated: the comma belongs to the name, To and From hold one address only",
    "badbranch": "an empty branch is treated like RFC 2543 by the transaction layer",
    "unksm2": "From and To may be of any scheme",
    "bext01": "Require is the user agent's business",
    "invut": "Content-Type is the user agent's business",
    "regaut01": "Authorization is the user agent's business",
    "bcast": "responses are matched by their top Via only, the broadcast one is never used",
    "zeromf": "Max-Forwards 0 matters to proxies",
    "cparam01": "Contact parameters",
    "cparam02": "Contact URI parameters",
    "regescrt": "headers inside a bracketed Contact URI",
    "sdp01": "Accept is the user agent's business",
    "inv2543": "no branch, no From tag, no Max-Forwards, no Content-Length",
}

REFUSED = {
    "badinv01": (400, "empty elements in Via"),
    "clerr": (400, "Content-Length beyond the datagram"),
    "ncl": (400, "negative Content-Length"),
    "scalar02": (400, "CSeq beyond 2**31"),
    "scalarlg": (400, "CSeq of a response beyond 2**31: it is dropped"),
    "quotbal": (400, "a quote that never closes"),
    "ltgtruri": (400, "brackets around the Request-URI"),
    "lwsruri": (400, "a blank inside the Request-URI"),
    "lwsstart": (400, "two blanks between the parts of the request line"),
    "badvers": (505, "SIP/7.0"),
    "mismatch01": (400, "CSeq of another method"),
    "mismatch02": (400, "CSeq of another method, of an unknown one"),
    "bigcode": (400, "a status that overflows: the response is dropped"),
    "insuf": (400, "From, To and Call-ID missing"),
    "unkscm": (416, "unknown scheme"),
    "novelsc": (416, "known scheme that is none of ours"),
    "multi01": (400, "From, To, CSeq and Call-ID twice"),
    "mcl01": (400, "two Content-Lengths that differ"),
}

UNANSWERABLE = {"scalarlg", "bigcode", "insuf"}
"Responses, and a request without the headers that an answer must echo."


def load(name: str) -> bytes:
    """Bytes of one torture message."""
    return (DATA / f"{name}.sip").read_bytes()


def parse_checked(data: bytes) -> SipMessage:
    """Parse as the endpoint does before it acts on a message."""
    message = parse_message(data)
    if isinstance(message, SipRequest):
        validate_request(message)
    else:
        assert message.cseq.method
        assert message.top_via.host
    return message


def test_every_file_has_a_row() -> None:
    """No torture message lies around without an expectation."""
    files = {path.stem for path in DATA.glob("*.sip")}
    assert files == set(ACCEPTED) | set(REFUSED)
    assert not set(ACCEPTED) & set(REFUSED)


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_accepted(name: str) -> None:
    """Valid and tolerated messages pass, and survive being written and read again."""
    message = parse_checked(load(name))
    again = parse_checked(message.serialize())
    message.headers.set("Content-Length", str(len(message.body)))
    assert again == message


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused(name: str) -> None:
    """Broken messages are refused with the status to answer with."""
    with pytest.raises(RemoteSipError) as refusal:
        parse_checked(load(name))
    assert refusal.value.status_hint == REFUSED[name][0]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_requests_can_be_answered(name: str) -> None:
    """Wherever Via, From, To, Call-ID and CSeq are there, the refusal reaches the peer."""
    request = salvage_request(load(name))
    assert (request is None) == (name in UNANSWERABLE)
    if request is not None:
        response = parse_message(build_response(request, 400, to_tag="ours").serialize())
        assert isinstance(response, SipResponse)
        assert response.headers.get_all("Via") == request.headers.get_all("Via")
        assert response.headers.get_all("To")[0].endswith(("tag=ours", "tag=3xfe-9921883-z9f"))


def test_wsinv() -> None:
    """The short tortuous INVITE gives the values that RFC 4475 3.1.1.1 names."""
    message = parse_checked(load("wsinv"))
    assert isinstance(message, SipRequest)
    assert message.request_uri.user == "vivekg"
    assert "unknownparam" in message.request_uri.parameters
    assert message.to_tag == "1918181833n"
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert message.from_tag == "98asjd8"
    assert message.max_forwards == 68
    assert str(message.cseq) == "9 INVITE"
    assert message.headers.get("Subject") == ""
    assert message.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    assert message.headers.get("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert len(message.headers.values("Via")) == 3
    assert (message.top_via.transport, message.top_via.address) == ("UDP", "192.0.2.2")
    assert message.top_via.branch == "390skdjuw"
    contact = message.contact
    assert contact is not None
    assert contact.display_name == 'Quoted string ""'
    assert contact.parameters.get("newparam") == "newvalue"
    assert contact.parameters.get("q") == "0.33"
    assert len(message.body) == 150


def test_intmeth() -> None:
    """The widest set of legal characters comes through unchanged."""
    message = parse_checked(load("intmeth"))
    assert isinstance(message, SipRequest)
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert message.cseq.method == message.method
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.parameters.get("fromParam''~+*_!.-%") == "работающий"
    assert message.from_tag == "_token~1'+`*%!-."
    assert message.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.headers.get("extensionHeader-!.%*+_`'~") == "\ufeff大停電"
    uri = message.request_uri
    assert uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert str(uri) == message.uri
    assert load("intmeth") == message.serialize().replace(b"~: \xef", b"~:\xef")


def test_escapes_stay() -> None:
    """Escapes are neither resolved nor normalised, in whatever they appear."""
    message = parse_checked(load("esc01"))
    assert isinstance(message, SipRequest)
    assert message.request_uri.user == "sips%3Auser%40example.com"
    assert message.request_uri.unescaped_user == "sips:user@example.com"
    assert message.request_uri.host == "example.net"
    contact = message.contact
    assert contact is not None
    assert list(contact.sip_uri.parameters) == [("%6C%72", None), ("n%61me", "v%61lue%25%34%31")]
    odd = parse_checked(load("esc02"))
    assert isinstance(odd, SipRequest)
    assert odd.method == "RE%47IST%45R"
    assert odd.from_.display_name == "%Z%45"
    assert len(odd.headers.get_all("Contact")) == 2


def test_semicolons_in_the_user_part() -> None:
    """The host of `user;par=...@example.com` is example.com."""
    message = parse_checked(load("semiuri"))
    assert isinstance(message, SipRequest)
    assert message.request_uri.user == "user;par=u%40example.net"
    assert message.request_uri.host == "example.com"
    assert len(message.request_uri.parameters) == 0


def test_long_values() -> None:
    """All 34 Via lines are there, in order, whatever the spelling of their names."""
    message = parse_checked(load("longreq"))
    hosts = [f"sip{number}.example.com" for number in range(33, 0, -1)]
    assert [value.split()[1] for value in message.headers.values("v")[:33]] == hosts
    assert message.to.display_name.startswith("I have a user name of extremeextreme")
    assert message.to.sip_uri.port == 6000


def test_transports() -> None:
    """Transports that nobody knows are names like others."""
    values = parse_checked(load("transports")).headers.values("Via")
    assert [value.split()[0].rpartition("/")[2] for value in values] == [
        "UDP",
        "SCTP",
        "TLS",
        "UNKNOWN",
        "TCP",
    ]


def test_binary_body() -> None:
    """A body with NULs, bare line feeds and all other bytes arrives as it was sent."""
    message = parse_checked(load("mpart01"))
    assert message.content_type == "multipart/mixed"
    assert bytes(range(256)) in message.body
    assert message.body.endswith(b"--7a9cbec02ceef655--\r\n")
    assert message.serialize() == load("mpart01")


def test_reasons() -> None:
    """Reasons may be in any language, or empty."""
    odd = parse_checked(load("unreason"))
    assert isinstance(odd, SipResponse)
    assert odd.reason == "= 2**3 * 5**2 но сто девяносто девять - простое"
    assert odd.serialize() == load("unreason")
    empty = parse_checked(load("noreason"))
    assert isinstance(empty, SipResponse)
    assert (empty.status, empty.reason) == (100, "")
    assert empty.serialize() == load("noreason")


def test_contact_without_brackets() -> None:
    """Parameters of an unbracketed Contact are the header's; a `?` in it is refused."""
    contact = parse_checked(load("cparam01")).contact
    assert contact is not None
    assert contact.uri == "sip:+19725552222@gw1.example.net"
    assert "unknownparam" in contact.parameters
    bracketed = parse_checked(load("cparam02")).contact
    assert bracketed is not None
    assert "unknownparam" in bracketed.sip_uri.parameters
    escaped = parse_checked(load("regescrt")).contact
    assert escaped is not None
    assert escaped.sip_uri.headers == "Route=%3Csip:sip.example.com%3E"
    with pytest.raises(RemoteSipError):
        _ = parse_checked(load("regbadct")).contact


def test_tolerated_names() -> None:
    """Commas in unquoted names and blanks inside brackets do no harm."""
    assert parse_checked(load("baddn")).from_.display_name == "Bell, Alexander"
    assert parse_checked(load("badaspec")).to.uri == "sip:t.watson@example.org"


def test_overlarge_scalars() -> None:
    """Seconds and hops beyond their range are read as the largest value."""
    message = parse_message(load("scalar02"))
    assert message.expires == 2**32 - 1
    assert message.max_forwards == 255
