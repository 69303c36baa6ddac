"""
Cutting a byte stream into SIP messages (RFC 3261 section 18.3, RFC 5626 keep-alives).

Sans-I/O: the shell feeds what it read and takes messages out until there are none.

```
read() --> feed --> next_message --> bytes          hand to parse_message
                                --> KEEP_ALIVE_PING  write PONG
                                --> None             read more
                                --> RemoteSipError   answer if possible, close the connection
```
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal, TypeAlias

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import BLANKS, decode
from voiceblocks.sip.headers import Headers, canonical_name
from voiceblocks.sip.message import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, content_length


class KeepAlive(Enum):
    """What is no message on a stream."""

    PING = b"\r\n\r\n"


KEEP_ALIVE_PING: Final = KeepAlive.PING
"The peer asks whether the connection lives (RFC 5626 section 4.4.1); answer with `PONG`."

PONG: Final = b"\r\n"

Frame: TypeAlias = bytes | Literal[KeepAlive.PING]

_END_OF_HEADERS: Final = re.compile(rb"\n\r?\n")


def is_keep_alive(datagram: bytes) -> bool:
    """
    Whether a UDP datagram is only a keep-alive and wants no answer.

    Line ends (RFC 5626 uses STUN on UDP, but phones send CRLFs), NULs or nothing at all.
    """
    return not datagram.strip(b"\r\n\0 ")


class StreamFramer:
    """
    One direction of one connection.

    Every byte is looked at a bounded number of times, however it is sliced. After an error the
    stream is out of step for good: `next_message` raises it again, `feed` ignores its data.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        "Bytes known to hold no end of headers."
        self._frame_bytes: int | None = None
        "Length of the frame at the head of the buffer once its headers are complete."
        self._line_ends = 0
        "CRLFs in a row between messages."
        self._failure: RemoteSipError | None = None

    @property
    def buffered_bytes(self) -> int:
        """Bytes of an unfinished message; not zero when a peer closes in the middle of one."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Append what was read; of any size, also empty."""
        if self._failure is None:
            self._buffer += data

    def next_message(self) -> Frame | None:
        """
        Take out the next frame.

        Returns:
            The bytes of one message, `KEEP_ALIVE_PING`, or `None` when more must be fed.

        Raises:
            RemoteSipError: 513 for a message over `MAX_MESSAGE_BYTES` or headers over
                `MAX_HEADER_BYTES`; 400 for a broken Content-Length, or none although there is
                a body. `unframed` then holds the start of the message, for `salvage_request`.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._next()
        except RemoteSipError as failure:
            self._failure = failure
            raise

    @property
    def unframed(self) -> bytes:
        """What is buffered, at most one message's worth."""
        return bytes(self._buffer[:MAX_MESSAGE_BYTES])

    def _next(self) -> Frame | None:
        if self._frame_bytes is None:
            if self._skip_line_ends():
                return KEEP_ALIVE_PING
            self._frame_bytes = self._measure()
        if self._frame_bytes is None or len(self._buffer) < self._frame_bytes:
            return None
        frame = bytes(self._buffer[: self._frame_bytes])
        del self._buffer[: self._frame_bytes]
        self._frame_bytes = None
        self._searched = 0
        return frame

    def _skip_line_ends(self) -> bool:
        """Drop line ends before a message; `True` after each second CRLF."""
        buffer = self._buffer
        at = 0
        while at < len(buffer):
            if buffer[at] == 0x0A:
                at += 1
            elif buffer[at] == 0x0D and buffer[at + 1 : at + 2] == b"\n":
                at += 2
                self._line_ends += 1
                if self._line_ends == 2:
                    self._line_ends = 0
                    del buffer[:at]
                    return True
            else:
                break
        del buffer[:at]
        if buffer and buffer != b"\r":
            self._line_ends = 0
        return False

    def _measure(self) -> int | None:
        """Length of the frame at the head of the buffer, `None` while its headers are open."""
        # The end may straddle the border of what was searched by up to two bytes.
        end = _END_OF_HEADERS.search(self._buffer, max(0, self._searched - 2))
        self._searched = len(self._buffer)
        header_bytes = len(self._buffer) if end is None else end.start()
        if header_bytes > MAX_HEADER_BYTES:
            raise RemoteSipError("Message Too Large", 513)
        if end is None:
            return None
        frame_bytes = end.end() + _body_bytes(decode(bytes(self._buffer[: end.start()])))
        if frame_bytes > MAX_MESSAGE_BYTES:
            raise RemoteSipError("Message Too Large", 513)
        return frame_bytes


def _body_bytes(head: str) -> int:
    """Content-Length of a header block whose other lines may be broken in any way."""
    unfolded = head.removesuffix("\r").replace("\r\n", "\n")
    unfolded = unfolded.replace("\n ", " ").replace("\n\t", "\t")
    lengths: list[tuple[str, str]] = []
    has_body = False
    for line in unfolded.split("\n")[1:]:
        name, colon, value = line.partition(":")
        key = canonical_name(name.rstrip(BLANKS)) if colon else ""
        if key == "content-length":
            lengths.append((key, value))
        has_body = has_body or key == "content-type"
    length = content_length(Headers.from_wire(lengths))
    if length is not None:
        return length
    if has_body:
        # Section 18.3 requires it on streams; without it the body cannot be told from the next
        # message. Bodiless messages of careless peers are taken.
        raise RemoteSipError("Content-Length is missing on a stream")
    return 0
