"""Malformed, mutated and hostile SIP: refused with a status, quickly, and never otherwise."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.cseq import CSeq
from voiceblocks.sip.framing import StreamFramer
from voiceblocks.sip.grammar import readable
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import (
    SipMessage,
    SipRequest,
    build_response,
    parse_message,
    salvage_request,
    validate_request,
)
from voiceblocks.sip.parameters import Parameters
from voiceblocks.sip.uri import SipUri
from voiceblocks.sip.via import Via, stamp_source

TORTURE = [
    path.read_bytes() for path in sorted((Path(__file__).parents[2] / "data/sip").glob("*.sip"))
]

GOOD = (
    b"INVITE sip:+6531580000@192.0.2.10 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK1;rport\r\n"
    b'From: "Caller" <sip:+6590000000@192.0.2.9>;tag=1\r\n'
    b"To: <sip:+6531580000@192.0.2.10>\r\n"
    b"Call-ID: abc\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Max-Forwards: 70\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"v=0\n"
)

MALFORMED: dict[str, tuple[tuple[bytes, bytes], int]] = {
    "empty request line": ((b"INVITE sip:+6531580000@192.0.2.10 SIP/2.0", b""), 400),
    "no version": ((b" SIP/2.0\r\n", b"\r\n"), 400),
    "no Request-URI": ((b" sip:+6531580000@192.0.2.10 ", b" "), 400),
    "method that is no token": ((b"INVITE sip", b"INV@TE sip"), 400),
    "version that is no number": ((b" SIP/2.0\r\n", b" SIP/two\r\n"), 400),
    "another version": ((b" SIP/2.0\r\n", b" SIP/3.0\r\n"), 505),
    "HTTP": ((b" SIP/2.0\r\n", b" HTTP/1.1\r\n"), 400),
    "unknown URI scheme": ((b"sip:+6531580000@192.0.2.10 ", b"h323:x "), 416),
    "Request-URI without host": ((b"sip:+6531580000@192.0.2.10 ", b"sip:+6531580000@ "), 400),
    "port out of range": ((b"@192.0.2.10 SIP", b"@192.0.2.10:70000 SIP"), 400),
    "line without colon": ((b"Max-Forwards: 70", b"Max-Forwards 70"), 400),
    "empty header name": ((b"Max-Forwards: 70", b": 70"), 400),
    "blank inside a header name": ((b"Max-Forwards:", b"Max Forwards:"), 400),
    "fold before the first header": ((b"Via:", b" Via:"), 400),
    "lone carriage return": ((b"Call-ID: abc", b"Call-ID: a\rbc"), 400),
    "no blank line": ((b"\r\n\r\nv=0\n", b"\r\n"), 400),
    "missing Via": ((b"Via:", b"X-Via:"), 400),
    "missing From": ((b"From:", b"X-From:"), 400),
    "missing To": ((b"To:", b"X-To:"), 400),
    "missing Call-ID": ((b"Call-ID:", b"X-Call-ID:"), 400),
    "empty Call-ID": ((b"Call-ID: abc", b"Call-ID:"), 400),
    "missing CSeq": ((b"CSeq:", b"X-CSeq:"), 400),
    "CSeq of another method": ((b"1 INVITE", b"1 BYE"), 400),
    "CSeq without number": ((b"1 INVITE", b"INVITE"), 400),
    "CSeq too large": ((b"1 INVITE", b"2147483648 INVITE"), 400),
    "Call-ID twice": ((b"CSeq:", b"i: other\r\nCSeq:"), 400),
    "From with open quote": ((b'"Caller"', b'"Caller'), 400),
    "From with open bracket": ((b"192.0.2.9>", b"192.0.2.9"), 400),
    "To without scheme": ((b"<sip:+6531580000@192.0.2.10>", b"<+6531580000>"), 400),
    "To is a star": ((b"<sip:+6531580000@192.0.2.10>", b"*"), 400),
    "Via without transport": ((b"SIP/2.0/UDP 192", b"SIP/2.0 192"), 400),
    "Via without host": ((b"192.0.2.9:5062;", b";"), 400),
    "second Via broken": ((b";rport\r\n", b";rport, what\r\n"), 400),
    "Via with only commas": ((b"SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bK1;rport", b",,"), 400),
    "Max-Forwards is a word": ((b"Max-Forwards: 70", b"Max-Forwards: many"), 400),
    "negative Content-Length": ((b"Length: 4", b"Length: -4"), 400),
    "Content-Length beyond the datagram": ((b"Length: 4", b"Length: 5"), 400),
    "two Content-Lengths": ((b"Length: 4", b"Length: 4\r\nl: 3"), 400),
    "parameter without name": ((b";tag=1", b";=1"), 400),
    "headers of 40 KB": ((b"Call-ID: ", b"Call-ID: " + b"a" * 40000), 513),
}


def exercise(data: bytes) -> SipMessage:
    """Do with a datagram all that an endpoint may do with it."""
    message = parse_message(data)
    again = parse_message(message.serialize())
    message.headers.remove("Content-Length")
    again.headers.remove("Content-Length")
    assert again == message
    if isinstance(message, SipRequest):
        message.stamp_source("192.0.2.99", 5060)
        validate_request(message)
        parse_message(build_response(message, 180, to_tag="ours").serialize())
    for name in ("From", "To", "Contact", "Route", "Record-Route"):
        for value in message.headers.values(name):
            address = NameAddr.parse(value)
            assert NameAddr.parse(str(address)) == address
            readable(address.display_name).encode()
            assert SipUri.parse(str(address.sip_uri)) == address.sip_uri
    _ = (message.call_id, message.cseq, message.from_tag, message.to_tag, message.top_via)
    _ = (message.expires, message.content_type, message.max_forwards, message.contact)
    return message


def refusal_of(attempt: Callable[[bytes], object], data: bytes) -> tuple[int, str]:
    """Status and reason of the refusal, 0 if there was none."""
    try:
        attempt(data)
    except RemoteSipError as refusal:
        return refusal.status_hint, refusal.reason
    return 0, ""


def survive(data: bytes) -> None:
    """Accept or refuse, by the documented exception only, on UDP and on TCP."""
    for attempt in (exercise, salvage_request, frame_all):
        status, reason = refusal_of(attempt, data)
        assert status == 0 or 400 <= status <= 699
        assert reason.isascii()


def frame_all(data: bytes) -> None:
    """Take everything out of a stream."""
    framer = StreamFramer()
    framer.feed(data)
    while framer.next_message() is not None:
        pass


def test_the_good_one_is_good() -> None:
    """The message that the table breaks is accepted unbroken."""
    exercise(GOOD)
    assert len(MALFORMED) >= 20


@pytest.mark.parametrize("kind", sorted(MALFORMED))
def test_malformed(kind: str) -> None:
    """Each kind of malformed SIP gets its status."""
    (part, replacement), status = MALFORMED[kind]
    assert GOOD.count(part) >= 1
    data = GOOD.replace(part, replacement, 1)
    with pytest.raises(RemoteSipError) as refusal:
        exercise(data)
    assert refusal.value.status_hint == status


@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    """Random bytes are refused politely."""
    survive(data)


@given(
    st.text(alphabet='INVITE sip:@<>";,=\\\r\n\t 0/2.[]%*v', max_size=200).map(
        lambda text: GOOD.replace(b"Caller", text.encode())
    )
)
def test_any_punctuation(data: bytes) -> None:
    """Neither do SIP's own special characters in a bad order break anything."""
    survive(data)


@given(
    st.sampled_from([*TORTURE, GOOD]),
    st.lists(
        st.tuples(
            st.integers(0, 3000),
            st.integers(0, 12),
            st.binary(max_size=3) | st.sampled_from([b"\r\n", b'"', b"<", b">", b";", b",", b"\0"]),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_mutated_messages(data: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    """Messages with pieces cut out and put in are accepted or refused, nothing else."""
    for at, removed, inserted in edits:
        at %= len(data) + 1
        data = data[:at] + inserted + data[at + removed :]
    survive(data)


def test_4000_mutations() -> None:
    """A fixed run of 4,000 fuzzed datagrams leaves no other exception behind."""
    random_source = random.Random(4475)
    for _ in range(4000):
        data = bytearray(random_source.choice(TORTURE))
        for _ in range(random_source.randint(1, 20)):
            data[random_source.randrange(len(data))] = random_source.randrange(256)
        survive(bytes(data))


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[A-Za-z][A-Za-z0-9.!%*_+`'~-]{0,12}", fullmatch=True),
            st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")),
        ),
        max_size=8,
    ),
    st.binary(max_size=60),
)
def test_headers_survive_byte_exact(pairs: list[tuple[str, bytes]], body: bytes) -> None:
    """Names, values and body of any bytes come out of a round trip as they went in."""
    pairs = [(name, value.strip(b" \t")) for name, value in pairs if name.lower() not in FRAMING]
    head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in pairs)
    data = b"FOO sip:x SIP/2.0\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert parse_message(data).serialize() == data


FRAMING = {"l", "content-length"}


def headers_of(text: str) -> None:
    """All that is done with an untrusted header value."""
    headers = Headers([("Contact", text)])
    headers.values("Contact")


def byte_wise(text: str) -> None:
    """The worst slicing of a stream."""
    framer = StreamFramer()
    for byte in text[:8000].encode():
        framer.feed(bytes([byte]))
        framer.next_message()


PARSERS: dict[str, Callable[[str], object]] = {
    "From": NameAddr.parse,
    "From parameters": lambda text: NameAddr.parse("<sip:a@b>;x=" + text),
    "From, quoted": lambda text: NameAddr.parse('"' + text),
    "Route": NameAddr.parse_many,
    "Via": lambda text: Via.parse("SIP/2.0/UDP " + text),
    "Via parameters": lambda text: Via.parse("SIP/2.0/UDP a;" + text),
    "Via stamped": lambda text: stamp_source("SIP/2.0/UDP a;x=" + text, "b", 1),
    "URI": SipUri.parse,
    "URI rest": lambda text: SipUri.parse("sip:" + text),
    "tel": lambda text: NameAddr.parse("tel:" + text),
    "parameters": Parameters.parse,
    "CSeq": CSeq.parse,
    "list": headers_of,
    "datagram": lambda text: exercise(GOOD.replace(b"Caller", text.encode()[:30000])),
    "folds": lambda text: exercise(GOOD.replace(b"abc", b"a" + b"\r\n " * (len(text) // 3))),
}

ATTACKS = [
    '"',
    '"\\',
    "<",
    "<>",
    ";",
    ";a=",
    '"";',
    '"a",',
    ",",
    " ",
    "\t",
    "=",
    "@",
    "1",
    "a:",
    "/",
]
ATTACKS += ["[", "a;b@", "%", "?", "<sip:a>,", "SIP/"]


def refused_or_not(parser: Callable[[str], object], text: str) -> None:
    """Run a parser for its time only."""
    with suppress(RemoteSipError):
        parser(text)


def best_time_s(parser: Callable[[str], object], text: str) -> float:
    """The least of several runs: what the work costs when nothing disturbs."""
    best = float("inf")
    for _ in range(4):
        # The thread's own time: what others do on this machine is not the parser's fault.
        started = thread_time()
        refused_or_not(parser, text)
        best = min(best, thread_time() - started)
    return best


def grows_linearly(parser: Callable[[str], object], text: str) -> bool:
    """Whether the whole costs far less than 64 times its eighth; measured again when in doubt."""
    eighth = text[: len(text) // 8]
    return any(best_time_s(parser, text) < 30 * best_time_s(parser, eighth) for _ in range(4))


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_64_kb_of_anything_is_linear(name: str) -> None:
    """
    Eight times the input takes about eight times as long, for every parser and every attack.

    Quadratic work would take 64 times as long. Times under 5 ms for 64 KB are not compared:
    there is nothing left to attack.
    """
    parser = PARSERS[name]
    for attack in ATTACKS:
        long = attack * (65536 // len(attack))
        took_s = best_time_s(parser, long)
        if took_s > 0.005:
            assert grows_linearly(parser, long), attack
        assert took_s < 1, attack


def test_byte_wise_feeding_is_linear() -> None:
    """A header block that trickles in byte by byte costs the same for every byte."""
    for attack in ("a", "\n", "\r\n", "a\n", "\r", "\r\n ", "A: b\r\n"):
        text = "X sip:x SIP/2.0\r\nA: " + attack * (8000 // len(attack))
        assert grows_linearly(byte_wise, text), attack
