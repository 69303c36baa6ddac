"""Reading parameters as old clients send them (decision 4).

No framework's form parser is used: those turn bad bytes into U+FFFD, and skip forms
that are labelled as JSON. Decided here, beyond the decision:

- The `Content-Type` is ignored. A body that is real JSON or multipart has no parameter
  that anybody asks for.
- A POST reads its query string too: the body wins, the query fills what the body lacks.
  The body of a GET is not read.
- `%` without two hexadecimal digits is taken as it stands; pieces without `=` are names
  with empty, that is absent, values.
- Bytes that are not UTF-8, a zero character (no database keeps it), and more than
  `BODY_MAX_BYTES`, `PAIRS_MAX` or `ESCAPES_MAX` are `error_malformed_params`, whichever
  parameter it is.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Scope

from voiceblocks.blocks.fields import Fields
from voiceblocks.errors import InvalidRequest

BODY_MAX_BYTES: Final = 1_000_000
PAIRS_MAX: Final = 1_000
ESCAPES_MAX: Final = 50_000
"Percent signs; every parameter at its longest, fully escaped, has less than half of them."
BODY_TIMEOUT_S: Final = 30.0
"From the first to the last byte of a body; half of what the slowest known client waits."

# So much more is read and thrown away, that a client which sends first and reads then
# gets to see its status instead of a reset connection.
_DISCARD_MAX_BYTES = 10 * BODY_MAX_BYTES


class ClientLeft(Exception):
    """The client closed the connection before its request was complete."""


class UnreadBody(InvalidRequest):
    """The request is refused with some of its body unread: the connection cannot be kept."""


async def read_fields(scope: Scope, receive: Receive) -> Fields:
    """
    Read the parameters of a GET or POST.

    Raises:
        InvalidRequest: `error_malformed_params`.
        ClientLeft: If there is nobody to answer.
    """
    query: bytes = scope["query_string"]
    if scope["method"] != "POST":
        return Fields(parse_pairs(query))
    body = await _read_body(scope, receive)
    return Fields([*parse_pairs(body), *parse_pairs(query)])


async def discard_body(scope: Scope, receive: Receive) -> None:
    """Read a body that nobody wants, so that the connection can be used again; as above."""
    await _read_body(scope, receive)


def parse_pairs(encoded: bytes) -> list[tuple[str, str]]:
    """
    Undo the form encoding of a query string or body.

    Raises:
        InvalidRequest: `error_malformed_params`.
    """
    # Nobody is authenticated yet, and this runs on the loop that answers calls.
    if (
        len(encoded) > BODY_MAX_BYTES
        or encoded.count(b"&") >= PAIRS_MAX
        or encoded.count(b"%") > ESCAPES_MAX
    ):
        raise _malformed()
    pairs = []
    for piece in encoded.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    if _declared_length(scope) > _DISCARD_MAX_BYTES:
        raise UnreadBody("error_malformed_params")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft
                chunk = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size > _DISCARD_MAX_BYTES:
                    raise UnreadBody("error_malformed_params")
                if size <= BODY_MAX_BYTES:
                    chunks.append(chunk)
    except TimeoutError:
        raise UnreadBody("error_malformed_params") from None
    if size > BODY_MAX_BYTES:
        raise _malformed()
    return b"".join(chunks)


def _declared_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and len(value) < 19:
            return int(value)
    return 0


def _decode(raw: bytes) -> str:
    raw = raw.replace(b"+", b" ")
    try:
        text = (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed() from None
    if "\0" in text:
        raise _malformed()
    return text


def _malformed() -> InvalidRequest:
    return InvalidRequest("error_malformed_params")
