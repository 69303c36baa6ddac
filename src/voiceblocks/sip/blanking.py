"""SIP messages without their secrets, for whoever keeps them: still SIP, and exactly as long.

Blanked are the answers to challenges, passwords in URIs, digits (INFO bodies, `postd`), keys of
SRTP, and every body that is not SDP. Works on bytes that nobody has parsed: what we cannot read,
an attacker's peer might.
"""

from __future__ import annotations

import re
from typing import Final

_END_OF_HEAD: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_AT_LINE = rb"(?<![^\r\n])"
_FOLDED_VALUE = rb"((?:[^\r\n]|(?:\r\n|\n|\r)[ \t])*)"
_SECRET_HEADER: Final = re.compile(
    _AT_LINE
    + rb"((?:proxy-)?(?:authorization|authentication-info)[ \t]*:[ \t]*"
    + rb"(?:(?:digest|basic|bearer)[ \t]+)?)"
    + _FOLDED_VALUE,
    re.IGNORECASE,
)
_CONTENT_TYPE: Final = re.compile(
    _AT_LINE + rb"(?:content-type|c)[ \t]*:[ \t]*([^\r\n;]*)", re.IGNORECASE
)
_IN_URIS: Final = re.compile(
    rb"([?&](?:proxy-)?authorization=|;postd=)([^;?&>\s\"]*)", re.IGNORECASE
)
_KEYS: Final = re.compile(_AT_LINE + rb"(a=crypto:|a=key-mgmt:|k=)([^\r\n]*)", re.IGNORECASE)
_PASSWORD_STOPS: Final = re.compile(rb"[\s<>\"]")
_MOST_ADDRESSES: Final = 200
_SHOWN = b"\r\n\t "
_BLANK: Final = bytes(byte if byte in _SHOWN else ord("x") for byte in range(256))


def blank_secrets(data: bytes) -> bytes:
    """
    Return a message with its secrets overwritten.

    Args:
        data: As it was on the wire; whatever it is, nothing is raised. May be cut at its end.
    """
    end = _END_OF_HEAD.search(data)
    head, body = (data, b"") if end is None else (data[: end.end()], data[end.end() :])
    head = _SECRET_HEADER.sub(_second_blank, head)
    head = _IN_URIS.sub(_second_blank, head)
    head = _without_passwords(head)
    return head + _blanked_body(head, body)


def _second_blank(match: re.Match[bytes]) -> bytes:
    return match[1] + match[2].translate(_BLANK)


def _blanked_body(head: bytes, body: bytes) -> bytes:
    if not body:
        return body
    types = [found.strip().lower() for found in _CONTENT_TYPE.findall(head)]
    if types and all(kind == b"application/sdp" for kind in types):
        return _KEYS.sub(_second_blank, body)
    return body.translate(_BLANK)


def _without_passwords(head: bytes) -> bytes:
    """`sip:name:password@host`: what stands between the name's colon and the at sign."""
    at = head.find(b"@")
    if at < 0:
        return head
    result = bytearray(head)
    lower = head.lower()
    begin = 0
    for _ in range(_MOST_ADDRESSES):
        if at < 0:
            return bytes(result)
        # Each byte is looked at once, however many there are of anything.
        scheme = max(lower.rfind(b"sip:", begin, at), lower.rfind(b"sips:", begin, at))
        if scheme >= 0:
            user = head.index(b":", scheme) + 1
            colon = head.find(b":", user, at)
            if colon >= 0 and not _PASSWORD_STOPS.search(head, user, at):
                result[colon + 1 : at] = head[colon + 1 : at].translate(_BLANK)
        begin, at = at + 1, head.find(b"@", at + 1)
    # No real message has so many.
    result[begin:] = head[begin:].translate(_BLANK)
    return bytes(result)
