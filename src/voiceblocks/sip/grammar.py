"""
The few lexical rules of RFC 3261 section 25 that all SIP parsers here share.

Text is UTF-8 decoded with `surrogateescape`: any bytes survive a round trip exactly, so a
display name in latin-1 is echoed as it came. Use `readable` before such text goes into a log,
a database or JSON.

Every function is linear in its input: the alternatives of each repeated group exclude each
other, so no expression can match one text in two ways, and scanning stops at the first quote or
bracket that is never closed instead of trying again behind it.
"""

from __future__ import annotations

import re
from typing import Final

from voiceblocks.errors import ContractViolation, RemoteSipError

BLANKS: Final = " \t"
"Linear white space once folded lines were joined; `str.strip()` alone would eat Unicode blanks."

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_QUOTED_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_NEEDS_ESCAPE: Final = re.compile(r'(["\\])')
_BAD_IN_HOST: Final = re.compile(r'[\x00-\x20\x7f\[\]<>"@;?:,/\\]')
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._~-]+)?")
_SEPARATED: Final = {
    separator: re.compile(rf'"(?:[^"\\]|\\.)*"|<[^>]*>|["<{separator}]', re.DOTALL)
    for separator in (",", ";")
}
"Finds, in this order: a quoted string, a bracket, then what is left: unclosed or a separator."


def decode(data: bytes) -> str:
    """Text of a start line or header block; the exact inverse of `encode` for any bytes."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """
    Bytes on the wire; undecodable bytes that `decode` carried come out as they went in.

    Raises:
        ContractViolation: `text` holds a surrogate that `decode` never makes.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ContractViolation("a lone surrogate in SIP text") from error


def readable(text: str) -> str:
    """
    Text that can be logged and stored: bytes that were not UTF-8 are read as latin-1.

    What old phones send is latin-1 in practice; every byte has a character there, so this never
    fails.
    """
    if text.isascii():
        return text
    return "".join(
        chr(ord(character) - 0xDC00) if 0xDC80 <= ord(character) <= 0xDCFF else character
        for character in text
    )


def is_token(text: str) -> bool:
    """Whether `text` is a non-empty `token` (methods, header names, option tags)."""
    return _TOKEN.fullmatch(text) is not None


def parse_number(text: str, what: str, *, maximum: int, clamp: bool = False) -> int:
    """
    Read an unsigned decimal number with blanks around it.

    Args:
        text: Raw header text such as `" 70"`. Leading zeros are allowed, signs are not.
        what: Name for the error, such as `"Content-Length"`.
        maximum: Largest value accepted.
        clamp: Give `maximum` for larger numbers instead of refusing them.

    Raises:
        RemoteSipError: 400 when it is not a number, or is too large and `clamp` is off.
    """
    digits = text.strip(BLANKS)
    # Only ASCII: str.isdigit alone would accept superscripts, int() also underscores.
    if not (digits.isascii() and digits.isdigit()):
        raise RemoteSipError(f"{what} is not a number")
    digits = digits.lstrip("0") or "0"
    # The length is compared first, int() of a long string is quadratic.
    if len(digits) > len(str(maximum)) or int(digits) > maximum:
        if clamp:
            return maximum
        raise RemoteSipError(f"{what} is out of range")
    return int(digits)


def quoted_string_end(text: str, start: int) -> int:
    """
    Index just behind the quoted string that opens at `start`.

    Raises:
        RemoteSipError: 400 when it is never closed.
    """
    found = _QUOTED_STRING.match(text, start)
    if found is None:
        raise RemoteSipError("a quoted string is not closed")
    return found.end()


def split_outside_quotes(text: str, separator: str) -> list[str]:
    """
    Split at `separator` (`,` or `;`) outside quoted strings and angle brackets.

    Parts are not trimmed and may be empty.

    Raises:
        RemoteSipError: 400 for a quote or bracket that is never closed.
    """
    if '"' not in text and "<" not in text:
        return text.split(separator)
    parts: list[str] = []
    part_start = 0
    for found in _SEPARATED[separator].finditer(text):
        if found.group() == separator:
            parts.append(text[part_start : found.start()])
            part_start = found.end()
        elif found.end() == found.start() + 1:
            raise RemoteSipError("a quote or an angle bracket is not closed")
    parts.append(text[part_start:])
    return parts


def quote(text: str) -> str:
    """`text` as a quoted string, with backslashes where they are needed."""
    return '"' + _NEEDS_ESCAPE.sub(r"\\\1", text) + '"'


def unquote(text: str) -> str:
    """The content of a quoted string; text that is not one is given back unchanged."""
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        return _QUOTED_PAIR.sub(r"\1", text[1:-1])
    return text


def parse_host_port(text: str) -> tuple[str, int | None]:
    """
    Read `host[:port]` of a URI or Via.

    Tolerates what the grammar forbids but networks contain: `_` in names, blanks around the
    colon. An IPv6 reference keeps its brackets, so that it can be written back.

    Raises:
        RemoteSipError: 400 when there is no usable host or the port is not 0..65535.
    """
    text = text.strip(BLANKS)
    if text.startswith("["):
        address, closed, rest = text[1:].partition("]")
        if not closed or _IPV6.fullmatch(address) is None:
            raise RemoteSipError("a malformed IPv6 reference")
        host, rest = f"[{address}]", rest.lstrip(BLANKS)
        if rest and not rest.startswith(":"):
            raise RemoteSipError("text behind an IPv6 reference")
        port_text = rest[1:] if rest else None
    else:
        host, colon, after = text.partition(":")
        host = host.rstrip(BLANKS)
        port_text = after if colon else None
        if not host or _BAD_IN_HOST.search(host):
            raise RemoteSipError("a malformed host")
    if port_text is None:
        return host, None
    return host, parse_number(port_text, "a port", maximum=65535)


def bare_host(host: str) -> str:
    """`host` without the brackets of an IPv6 reference, as sockets want it."""
    return host[1:-1] if host.startswith("[") else host
