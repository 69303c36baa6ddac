"""Finds the session description in a message body (RFC 3261 7.4 and 20.11, RFC 5621)."""

from __future__ import annotations

import re

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import SipRequest, SipResponse
from voiceblocks.sip.parameters import Parameters

SDP = "application/sdp"
_MAX_PARTS = 16
"A multipart body with more parts is no call."


class UnsupportedBody(RemoteSipError):
    """A body that we must not ignore and cannot read; answered with 415."""

    def __init__(self, reason: str = "Unsupported Media Type") -> None:
        super().__init__(reason, 415)


def session_description(message: SipRequest | SipResponse) -> bytes | None:
    """
    Return the SDP of a message, also out of a multipart body.

    A body that its Content-Disposition calls optional is skipped.

    Returns:
        `None` where there is none.

    Raises:
        UnsupportedBody: For a body of another type that may not be skipped.
    """
    if not message.body.strip():
        return None
    headers = message.headers
    encoding = (headers.get("Content-Encoding") or "identity").strip().lower()
    if encoding not in ("identity", ""):
        raise UnsupportedBody("Unsupported Content-Encoding")
    content_type = message.content_type
    if content_type is None or content_type == SDP:
        # RFC 3261 20.15 asks for Content-Type; a body without one can only be meant as SDP.
        if content_type is None and not message.body.lstrip().startswith(b"v="):
            raise UnsupportedBody
        return message.body
    if content_type.startswith("multipart/"):
        found = _in_multipart(headers.get("Content-Type") or "", message.body)
        if found is not None:
            return found
    if _is_optional(headers.get("Content-Disposition")):
        return None
    raise UnsupportedBody


def _in_multipart(content_type: str, body: bytes) -> bytes | None:
    try:
        boundary = Parameters.parse(content_type.partition(";")[2]).get("boundary")
    except RemoteSipError:
        return None
    if not boundary or len(boundary) > 70:
        return None
    delimiter = b"--" + boundary.encode("utf-8", "surrogateescape")
    parts = (b"\n" + body).split(b"\n" + delimiter, _MAX_PARTS)
    for part in parts[1:]:
        if part.startswith(b"--"):
            break
        head, blank, content = _split_part(part)
        if not blank:
            continue
        kind = head.get("Content-Type") or ""
        if kind.partition(";")[0].strip().lower() == SDP:
            return content.removesuffix(b"\r") + b"\r\n"
    return None


_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


def _split_part(part: bytes) -> tuple[Headers, bool, bytes]:
    found = _BLANK_LINE.search(part)
    headers = Headers()
    if found is None:
        return headers, False, b""
    for line in part[: found.start()].decode("latin-1").splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() == "content-type":
            headers.set("Content-Type", value)
    return headers, True, part[found.end() :]


def _is_optional(disposition: str | None) -> bool:
    if disposition is None:
        return False
    try:
        handling = Parameters.parse(disposition.partition(";")[2]).get("handling")
    except RemoteSipError:
        return False
    return (handling or "").lower() == "optional"
