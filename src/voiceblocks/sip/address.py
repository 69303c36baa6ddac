"""Addresses in From, To, Contact, Route, Record-Route, P-Asserted-Identity (RFC 3261 20.10)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import (
    BLANKS,
    quote,
    quoted_string_end,
    readable,
    split_outside_quotes,
    unquote,
)
from voiceblocks.sip.parameters import NO_PARAMETERS, Parameters
from voiceblocks.sip.uri import SipUri

_SCHEME_COLON: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


@dataclass(frozen=True, slots=True)
class NameAddr:
    """
    A display name, a URI and the header's parameters.

    `NameAddr.parse(str(address)) == address`. What must reach the peer unchanged (the echoed
    From and To of a response) is copied as raw text instead.
    """

    display_name: str
    "Unquoted, empty if there is none. May hold undecodable bytes; see `readable_name`."

    uri: str
    'Raw, of any scheme, e.g. `"sip:alice@example.com;lr"`; `"*"` in a Contact.'

    parameters: Parameters = NO_PARAMETERS
    "Parameters of the header, such as tag, expires, q; not those of the URI."

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """
        Read one address, with or without angle brackets.

        Without brackets every parameter belongs to the header (section 20). Tolerates an
        unquoted comma in the name, blanks inside the brackets and an absent blank before them.

        Raises:
            RemoteSipError: 400 for anything else that is malformed.
        """
        text = text.strip(BLANKS)
        if text == "*":
            return cls("", "*")
        if text.startswith('"'):
            end = quoted_string_end(text, 0)
            display_name, rest = unquote(text[:end]), text[end:].lstrip(BLANKS)
            if not rest.startswith("<"):
                raise RemoteSipError("no address behind a quoted name")
            return cls._parse_bracketed(display_name, rest)
        bracket = text.find("<")
        if bracket >= 0:
            display_name = text[:bracket].rstrip(BLANKS)
            if '"' in display_name:
                raise RemoteSipError("a quote inside an unquoted name")
            return cls._parse_bracketed(display_name, text[bracket:])
        uri, semicolon, parameters = text.partition(";")
        if "?" in uri:
            # Section 20.10: such a URI needs brackets; guessing here means a wrong target.
            raise RemoteSipError("a URI with headers needs angle brackets")
        return cls("", _checked(uri), Parameters.parse(semicolon + parameters))

    @classmethod
    def _parse_bracketed(cls, display_name: str, text: str) -> NameAddr:
        uri, closed, rest = text[1:].partition(">")
        if not closed:
            raise RemoteSipError("an angle bracket is not closed")
        rest = rest.lstrip(BLANKS)
        if rest and not rest.startswith(";"):
            raise RemoteSipError("text behind an address")
        return cls(display_name, _checked(uri), Parameters.parse(rest))

    @classmethod
    def parse_many(cls, text: str) -> list[NameAddr]:
        """
        Read a comma-separated list, as Route and Contact carry it; empty elements are skipped.

        Raises:
            RemoteSipError: 400 when one of them is malformed.
        """
        parts = split_outside_quotes(text, ",")
        return [cls.parse(part) for part in parts if part.strip(BLANKS)]

    @property
    def tag(self) -> str | None:
        """The tag of a From or To."""
        return self.parameters.get("tag")

    @property
    def readable_name(self) -> str:
        """Display name fit for logs and databases: bytes that are not UTF-8 read as latin-1."""
        return readable(self.display_name)

    @property
    def sip_uri(self) -> SipUri:
        """
        The URI, parsed.

        Raises:
            RemoteSipError: 416 for a scheme other than sip, sips and tel; 400 if malformed.
        """
        return SipUri.parse(self.uri)

    def with_tag(self, tag: str) -> NameAddr:
        """A copy with this tag."""
        return NameAddr(self.display_name, self.uri, self.parameters.with_value("tag", tag))

    def __str__(self) -> str:
        if self.uri == "*":
            return "*"
        name = f"{quote(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{self.parameters}"


def _checked(uri: str) -> str:
    uri = uri.strip(BLANKS)
    if _SCHEME_COLON.match(uri) is None:
        raise RemoteSipError("an address without URI scheme")
    return uri
