"""
SIP requests and responses as values: parsing, serialising, checking, building responses.

Bytes flow in through `parse_message` (one UDP datagram, or one frame cut by `framing`), out
through `serialize`. Header values stay raw text; the properties parse them when asked. What a
header means for a call is the business of the layers above.

```
datagram --parse_message--> SipRequest --stamp_source--> --validate_request--> transaction layer
              |                                                 |
              +------ RemoteSipError(status_hint) --------------+--> salvage_request, build_response
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip.address import NameAddr
from voiceblocks.sip.cseq import CSeq
from voiceblocks.sip.grammar import (
    BLANKS,
    decode,
    encode,
    is_token,
    parse_number,
    split_outside_quotes,
)
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.reasons import REASONS
from voiceblocks.sip.uri import SipUri
from voiceblocks.sip.via import Via, stamp_source

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_HEADER_LINES",
    "MAX_MESSAGE_BYTES",
    "REASONS",
    "SipMessage",
    "SipRequest",
    "SipResponse",
    "build_response",
    "content_length",
    "parse_message",
    "salvage_request",
    "validate_request",
]

MAX_MESSAGE_BYTES: Final = 65536
MAX_HEADER_BYTES: Final = 32768
"Start line and headers together. Real ones stay under 4 KB; the longest RFC 4475 one is 3.5 KB."
MAX_HEADER_LINES: Final = 512

_END_OF_HEADERS: Final = re.compile(rb"\n\r?\n")
_SINGLE_HEADERS: Final = ("From", "To", "Call-ID", "CSeq", "Max-Forwards")
_MAX_DELTA_SECONDS: Final = 2**32 - 1


class _Message:
    """What requests and responses share: the lazily parsed headers."""

    __slots__ = ()

    headers: Headers
    body: bytes

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if not value:
            raise RemoteSipError(f"{name} is missing")
        return value

    @property
    def call_id(self) -> str:
        """Call-ID, compared byte by byte. Raises RemoteSipError when missing."""
        return self._required("Call-ID")

    @property
    def cseq(self) -> CSeq:
        """CSeq. Raises RemoteSipError when missing or malformed."""
        return CSeq.parse(self._required("CSeq"))

    @property
    def from_(self) -> NameAddr:
        """From. Raises RemoteSipError when missing or malformed."""
        return NameAddr.parse(self._required("From"))

    @property
    def to(self) -> NameAddr:
        """To. Raises RemoteSipError when missing or malformed."""
        return NameAddr.parse(self._required("To"))

    @property
    def from_tag(self) -> str | None:
        """Tag of From, `None` from RFC 2543 peers. Raises RemoteSipError as `from_` does."""
        return self.from_.tag

    @property
    def to_tag(self) -> str | None:
        """Tag of To, `None` outside a dialog. Raises RemoteSipError as `to` does."""
        return self.to.tag

    @property
    def top_via(self) -> Via:
        """The first Via value. Raises RemoteSipError when missing or malformed."""
        return Via.parse(split_outside_quotes(self._required("Via"), ",")[0])

    @property
    def contact(self) -> NameAddr | None:
        """First Contact, `None` if there is none. Raises RemoteSipError when malformed."""
        values = self.headers.values("Contact")
        return NameAddr.parse(values[0]) if values else None

    @property
    def expires(self) -> int | None:
        """Expires in seconds, at most 2**32-1, `None` if absent. Raises RemoteSipError."""
        value = self.headers.get("Expires")
        if value is None:
            return None
        return parse_number(value, "Expires", maximum=_MAX_DELTA_SECONDS, clamp=True)

    @property
    def content_type(self) -> str | None:
        """Media type in lower case without parameters, `None` if absent."""
        value = self.headers.get("Content-Type")
        if value is None:
            return None
        kind, slash, subtype = value.partition(";")[0].lower().partition("/")
        return f"{kind.strip(BLANKS)}{slash}{subtype.strip(BLANKS)}"

    @property
    def max_forwards(self) -> int | None:
        """Hops left, 0..255 (more is read as 255), `None` if absent. Raises RemoteSipError."""
        value = self.headers.get("Max-Forwards")
        if value is None:
            return None
        return parse_number(value, "Max-Forwards", maximum=255, clamp=True)

    def _serialize(self, start_line: str) -> bytes:
        if "\r" in start_line or "\n" in start_line:
            raise ContractViolation("a line break in a start line")
        lines = [start_line]
        has_length = False
        for key, name, value in self.headers.entries():
            if key == "content-length":
                if has_length:
                    continue
                has_length = True
                value = str(len(self.body))
            lines.append(f"{name}: {value}")
        if not has_length:
            lines.append(f"Content-Length: {len(self.body)}")
        lines.append("\r\n")
        return encode("\r\n".join(lines)) + self.body


@dataclass(slots=True)
class SipRequest(_Message):
    """A request. Mutable, owned by whoever holds it; nothing is cached."""

    method: str
    'Case matters: `"INVITE"`.'

    uri: str
    "Request-URI, raw."

    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def request_uri(self) -> SipUri:
        """Request-URI, parsed. Raises RemoteSipError: 416 for its scheme, 400 if malformed."""
        return SipUri.parse(self.uri)

    def stamp_source(self, host: str, port: int) -> None:
        """
        Note in the top Via where the request came from (RFC 3261 18.2.1, RFC 3581).

        The transport does this once per received request, before anything else looks at it.

        Args:
            host: Source address without brackets.
            port: Source port.

        Raises:
            RemoteSipError: 400 when the top Via is missing or malformed.
        """
        first, *others = split_outside_quotes(self._required("Via"), ",")
        self.headers.replace_first("Via", ",".join([stamp_source(first, host, port), *others]))

    def serialize(self) -> bytes:
        """
        Bytes for the wire, with a correct Content-Length.

        Raises:
            ContractViolation: A line break in method or URI.
        """
        return self._serialize(f"{self.method} {self.uri} SIP/2.0")


@dataclass(slots=True)
class SipResponse(_Message):
    """A response. Mutable, owned by whoever holds it; nothing is cached."""

    status: int
    "100..699."

    reason: str
    "Free text, may be empty."

    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300

    def serialize(self) -> bytes:
        """
        Bytes for the wire, with a correct Content-Length.

        Raises:
            ContractViolation: A line break in the reason.
        """
        return self._serialize(f"SIP/2.0 {self.status} {self.reason}")


SipMessage: TypeAlias = SipRequest | SipResponse


def parse_message(data: bytes) -> SipMessage:
    """
    Read one datagram or one frame of a stream.

    Tolerates leading and bare line ends, folded lines, blanks before the colon, a missing
    Content-Length, bytes behind the body (cut off), and any bytes in values. Only the start
    line, the line structure and Content-Length are checked here; see `validate_request`.

    Raises:
        RemoteSipError: 505 for another SIP version, 513 for too many or too long headers, 400
            for the rest, among it a body shorter than Content-Length (section 18.3).
    """
    start_line, pairs, body = _split(data)
    headers = Headers.from_wire(_parse_header_line(line) for line in pairs)
    message = _parse_start_line(start_line, headers)
    length = content_length(headers)
    if length is not None:
        if length > len(body):
            raise RemoteSipError("the body is shorter than Content-Length")
        body = body[:length]
    message.body = body
    return message


def salvage_request(data: bytes) -> SipRequest | None:
    """
    What can still be read of a request that `parse_message` refused, to answer it.

    Broken header lines are left out, the body is dropped.

    Returns:
        `None` when no answer is possible or allowed: it is a response, an ACK, or one of the
        headers that a response must echo is missing. Never raises.
    """
    try:
        start_line, lines, _ = _split(data)
    except RemoteSipError:
        return None
    method, _, rest = start_line.partition(" ")
    if not is_token(method) or method == "ACK":
        return None
    pairs: list[tuple[str, str]] = []
    for line in lines:
        try:
            pairs.append(_parse_header_line(line))
        except RemoteSipError:
            continue
    headers = Headers.from_wire(pairs)
    request = SipRequest(method, rest.rpartition(" ")[0].strip(BLANKS), headers)
    if not all(headers.get(name) for name in ("From", "To", "Call-ID", "CSeq")):
        return None
    try:
        request.top_via  # noqa: B018 - without it there is nowhere to answer to
    except RemoteSipError:
        return None
    return request


def content_length(headers: Headers) -> int | None:
    """
    Content-Length, `None` if absent.

    Raises:
        RemoteSipError: 400 when it is no number, or several differ: two parsers that choose
            differently would see two different messages.
    """
    lengths = {
        parse_number(value, "Content-Length", maximum=2**31) for value in headers.get_all("l")
    }
    if len(lengths) > 1:
        raise RemoteSipError("Content-Length is given twice")
    return lengths.pop() if lengths else None


def validate_request(request: SipRequest) -> None:
    """
    Check what every request must have (RFC 3261 sections 8.1.1 and 8.2.2).

    From, To, Call-ID, CSeq and Via present, readable and single; CSeq names the method; the
    Request-URI can be parsed. A missing Max-Forwards is tolerated, as is a missing From tag
    (RFC 2543 peers).

    Raises:
        RemoteSipError: 416 for the scheme of the Request-URI, 400 for anything else.
    """
    headers = request.headers
    for name in _SINGLE_HEADERS:
        if len(headers.get_all(name)) > 1:
            raise RemoteSipError(f"{name} is given twice")
    request.call_id  # noqa: B018 - raises when missing
    if request.cseq.method != request.method:
        raise RemoteSipError("CSeq does not match the method")
    for address in (request.from_, request.to):
        if address.uri == "*":
            raise RemoteSipError("From or To without address")
    request.top_via  # noqa: B018 - raises when missing or malformed
    for via in headers.values("Via")[1:]:
        Via.parse(via)
    request.max_forwards  # noqa: B018 - raises when malformed
    request.request_uri  # noqa: B018 - raises when malformed


def build_response(
    request: SipRequest,
    status: int,
    reason: str | None = None,
    to_tag: str | None = None,
    extra: Iterable[tuple[str, str]] = (),
) -> SipResponse:
    """
    Start the response to a request (RFC 3261 section 8.2.6).

    Via, From, To, Call-ID and CSeq are echoed as raw text, byte for byte, in the spelling of
    the request; so is Record-Route in 101..299 (section 12.1.1) and Timestamp in 100. Works on
    requests that `validate_request` refused.

    Args:
        request: As received, with its top Via stamped (`SipRequest.stamp_source`).
        status: 100..699.
        reason: Reason phrase; `None` for the one of `REASONS`.
        to_tag: Appended to To unless it has a tag already.
        extra: More header lines, such as Contact or Allow.

    Raises:
        ContractViolation: A line break in `extra`.
    """
    echoed = Headers()
    source = request.headers
    echo: list[tuple[str, str]] = source.lines("Via")
    if 100 < status < 300:
        echo += source.lines("Record-Route")
    echo += source.lines("From")[:1]
    for name, value in source.lines("To")[:1]:
        echo.append((name, value if to_tag is None else _with_tag(value, to_tag)))
    echo += source.lines("Call-ID")[:1]
    echo += source.lines("CSeq")[:1]
    if status == 100:
        echo += source.lines("Timestamp")[:1]
    echoed.extend(echo)
    echoed.extend(extra)
    return SipResponse(status, REASONS.get(status, "") if reason is None else reason, echoed)


def _with_tag(raw_to: str, tag: str) -> str:
    try:
        if NameAddr.parse(raw_to).tag is not None:
            return raw_to
    except RemoteSipError:
        pass  # An unreadable To is echoed in a 400; the tag at its end does not hurt.
    return f"{raw_to};tag={tag}"


def _split(data: bytes) -> tuple[str, list[str], bytes]:
    """Start line, unfolded header lines and everything behind the blank line."""
    data = data.lstrip(b"\r\n")
    end = _END_OF_HEADERS.search(data)
    if end is None:
        raise RemoteSipError("no blank line ends the headers")
    if end.start() > MAX_HEADER_BYTES:
        raise RemoteSipError("Message Too Large", 513)
    text = decode(data[: end.start()]).removesuffix("\r").replace("\r\n", "\n")
    if "\r" in text:
        raise RemoteSipError("a carriage return inside a line")
    start_line, _, block = text.partition("\n")
    if block.startswith((" ", "\t")):
        raise RemoteSipError("blanks before the first header")
    # Section 7.3.1: a line that begins with a blank continues the one before. Only the line
    # end goes away, so a value keeps its other bytes.
    lines = block.replace("\n ", " ").replace("\n\t", "\t").split("\n") if block else []
    if len(lines) > MAX_HEADER_LINES:
        raise RemoteSipError("Message Too Large", 513)
    return start_line, lines, data[end.end() :]


def _parse_header_line(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(BLANKS)
    if not colon or not is_token(name):
        raise RemoteSipError("a malformed header line")
    return name, value.strip(BLANKS)


def _parse_start_line(line: str, headers: Headers) -> SipMessage:
    first, _, rest = line.rstrip(BLANKS).partition(" ")
    if first[:4].upper() == "SIP/":
        _check_version(first)
        code, _, reason = rest.partition(" ")
        if len(code) != 3 or not code.isascii() or not code.isdigit() or not "1" <= code[0] <= "6":
            raise RemoteSipError("a status that is not 100 to 699")
        return SipResponse(int(code), reason, headers)
    uri, blank, version = rest.partition(" ")
    if not is_token(first) or not uri or not blank:
        raise RemoteSipError("a malformed request line")
    if version[:4].upper() != "SIP/" or " " in version or "\t" in line:
        raise RemoteSipError("a malformed request line")
    _check_version(version)
    return SipRequest(first, uri, headers)


def _check_version(version: str) -> None:
    major, dot, minor = version[4:].partition(".")
    for digits in (major, minor):
        if not dot or not digits.isascii() or not digits.isdigit():
            raise RemoteSipError("a malformed SIP version")
    if (major, minor) != ("2", "0"):
        raise RemoteSipError("Version Not Supported", 505)
