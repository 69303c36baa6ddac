"""Session descriptions (RFC 8866) as values: bytes in, lines by section, bytes out.

Tolerant where phones are sloppy (line ends, blank lines, missing `s=` or `t=`),
strict where a guess could send audio to the wrong place (`m=`, `c=`). Lines that
nobody here understands are kept. What offer and answer mean is in `negotiation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voiceblocks.errors import RemoteSipError

MAX_BYTES = 65_535
"A body larger than a datagram is no description of a phone call."

MAX_MEDIA = 32
"An answer repeats every media section, so their number is bounded."


def _as_text(data: bytes) -> str:
    """Bytes to text without loss, whatever their character set."""
    return data.decode("utf-8", "surrogateescape")


def unreadable(reason: str) -> RemoteSipError:
    """The error for a description that cannot be read."""
    return RemoteSipError(f"SDP: {reason}", 400)


def parse_number(text: str, highest: int) -> int | None:
    """A decimal of ASCII digits from 0 to `highest`, or `None`. Never slow on long digits."""
    if not text or len(text) > 20 or not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if number <= highest else None


@dataclass(frozen=True, slots=True)
class Line:
    """One `type=value` line."""

    kind: str
    'The letter before the equals sign, e.g. `"a"`.'

    value: str
    "What follows it, without the line end."


@dataclass(frozen=True, slots=True)
class Connection:
    """A `c=` line, or the address of an `a=rtcp` line (RFC 8866 section 5.7)."""

    address_type: str
    '`"IP4"` or `"IP6"`.'

    host: str
    "Address or name, without multicast TTL and count."


@dataclass(frozen=True, slots=True)
class Origin:
    """The `o=` line: who made this description, and which version of it this is."""

    username: str
    session_id: str
    session_version: str
    address_type: str
    host: str


def _first(lines: Iterable[Line], kind: str) -> str | None:
    return next((line.value for line in lines if line.kind == kind), None)


def _attribute(lines: Iterable[Line], name: str) -> str | None:
    for line in lines:
        if line.kind == "a":
            found, _, value = line.value.partition(":")
            if found.strip().lower() == name:
                return value.strip()
    return None


def _attributes(lines: Iterable[Line], name: str) -> list[str]:
    pairs = (line.value.partition(":") for line in lines if line.kind == "a")
    return [value.strip() for found, _, value in pairs if found.strip().lower() == name]


def _connection(lines: Iterable[Line]) -> Connection | None:
    value = _first(lines, "c")
    return None if value is None else parse_connection(value)


def parse_connection(value: str) -> Connection:
    """Read `IN IP4 192.0.2.1` or `IN IP6 2001:db8::1`.

    Raises:
        RemoteSipError: With 400 if it is neither.
    """
    fields = value.split()
    if len(fields) != 3 or fields[0].upper() != "IN" or fields[1].upper() not in ("IP4", "IP6"):
        raise unreadable("connection line")
    return Connection(fields[1].upper(), fields[2].split("/", 1)[0])


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One `m=` line and what follows it (RFC 8866 section 5.14)."""

    media: str
    '`"audio"`, `"video"`, …'

    port: int
    "Where the maker of this description receives; 0 where the stream is refused."

    protocol: str
    'Such as `"RTP/AVP"`.'

    formats: tuple[str, ...]
    "Payload types of RTP, in order of preference; at least one."

    lines: tuple[Line, ...] = ()
    "The section's other lines, as sent."

    port_count: int | None = None
    "The number after the port's slash, where there is one."

    @property
    def connection(self) -> Connection | None:
        """The section's own `c=` line."""
        return _connection(self.lines)

    def attribute(self, name: str) -> str | None:
        """The first `a=name` line's value (empty for a flag), or `None`."""
        return _attribute(self.lines, name)

    def attributes(self, name: str) -> list[str]:
        """The values of all `a=name` lines."""
        return _attributes(self.lines, name)

    def serialize(self) -> bytes:
        """The section's lines."""
        port = str(self.port) if self.port_count is None else f"{self.port}/{self.port_count}"
        head = Line("m", " ".join((self.media, port, self.protocol, *self.formats)))
        return _serialize((head, *self.lines))


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description: the session's lines, then the media sections."""

    lines: tuple[Line, ...]
    "All lines before the first `m=`, as sent."

    media: tuple[MediaDescription, ...] = ()

    @property
    def origin(self) -> Origin | None:
        """The `o=` line, or `None` where it is missing or odd (nothing depends on it)."""
        fields = (_first(self.lines, "o") or "").split()
        if len(fields) != 6:
            return None
        return Origin(fields[0], fields[1], fields[2], fields[4].upper(), fields[5])

    @property
    def connection(self) -> Connection | None:
        """The session's `c=` line, which holds for sections without their own."""
        return _connection(self.lines)

    @property
    def timing(self) -> str:
        """The `t=` line's value; `0 0` where it is missing or odd."""
        fields = (_first(self.lines, "t") or "").split()
        if len(fields) == 2 and all(parse_number(f, 10**19) is not None for f in fields):
            return " ".join(fields)
        return "0 0"

    def attribute(self, name: str) -> str | None:
        """The first session-level `a=name` line's value, or `None`."""
        return _attribute(self.lines, name)

    def serialize(self) -> bytes:
        """The exact inverse of `parse_description`, with CRLF line ends."""
        return _serialize(self.lines) + b"".join(section.serialize() for section in self.media)


def _serialize(lines: Iterable[Line]) -> bytes:
    text = "".join(f"{line.kind}={line.value}\r\n" for line in lines)
    return text.encode("utf-8", "surrogateescape")


def _parse_media(value: str) -> MediaDescription:
    fields = value.split()
    if len(fields) < 4:
        raise unreadable("media line")
    port_text, slash, count_text = fields[1].partition("/")
    port = parse_number(port_text, 65_535)
    count = parse_number(count_text, 65_535) if slash else None
    if port is None or (slash and count is None):
        raise unreadable("port of a media line")
    return MediaDescription(fields[0], port, fields[2], tuple(fields[3:]), (), count)


def _parse_line(text: str) -> Line:
    kind, equals, value = text.partition("=")
    kind = kind.strip()
    if not equals or len(kind) != 1 or not (kind.isascii() and kind.isalpha()):
        raise unreadable("a line that is not type=value")
    return Line(kind.lower(), value.rstrip())


def parse_description(data: bytes) -> SessionDescription:
    """Read a description. Takes time in proportion to its length.

    Raises:
        RemoteSipError: With 400 if it is not a description, or has a `c=` or `m=` line
            that cannot be read.
    """
    if len(data) > MAX_BYTES:
        raise unreadable("too long")
    session: list[Line] = []
    sections: list[tuple[MediaDescription, list[Line]]] = []
    current = session
    for text in _as_text(data).replace("\r", "\n").split("\n"):
        if not text.strip():
            continue
        line = _parse_line(text)
        if not session and line != Line("v", "0"):
            raise unreadable("does not begin with v=0")
        if line.kind == "c":
            parse_connection(line.value)
        if line.kind != "m":
            current.append(line)
            continue
        if len(sections) == MAX_MEDIA:
            raise unreadable("too many media sections")
        current = []
        sections.append((_parse_media(line.value), current))
    if not session:
        raise unreadable("empty")
    return SessionDescription(
        tuple(session),
        tuple(
            MediaDescription(m.media, m.port, m.protocol, m.formats, tuple(lines), m.port_count)
            for m, lines in sections
        ),
    )
