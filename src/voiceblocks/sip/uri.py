"""SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966), read tolerantly and written back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote as percent_encode
from urllib.parse import unquote as percent_decode

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import BLANKS, bare_host, parse_host_port
from voiceblocks.sip.parameters import NO_PARAMETERS, Parameters

_BAD_IN_URI: Final = re.compile(r'[\x00-\x20\x7f<>"]')
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")
_END_OF_HOST: Final = re.compile(r"[;?]")
_USER_UNRESERVED: Final = "-_.!~*'()&=+$,;?/"


@dataclass(frozen=True, slots=True)
class SipUri:
    """
    One URI that can be called.

    Nothing is unescaped, so `str(SipUri.parse(text))` gives the text back but for the case of
    the scheme and empty parameters. Equality is field by field, not that of section 19.1.4.
    """

    scheme: str
    'Lower case: `"sip"`, `"sips"` or `"tel"`.'

    user: str | None
    'Raw user part, e.g. `"+6531580000"` or `"*21#"`; for tel the number; `None` without `@`.'

    password: str | None = None
    "What follows the user's colon; kept for the exact inverse only."

    host: str = ""
    'Name, IPv4 or bracketed IPv6 reference as written, e.g. `"[2001:db8::1]"`; empty for tel.'

    port: int | None = None
    "0..65535, `None` when not written (5060, or 5061 for sips)."

    parameters: Parameters = NO_PARAMETERS
    "URI parameters such as transport, lr, user, phone-context."

    headers: str = ""
    "Raw text behind the `?`, still escaped; empty if there is none."

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """
        Read a URI without angle brackets.

        Raises:
            RemoteSipError: 416 for another scheme, 400 for anything malformed.
        """
        text = text.strip(BLANKS)
        scheme, colon, rest = text.partition(":")
        if not colon or _SCHEME.fullmatch(scheme) is None:
            raise RemoteSipError("a URI without scheme")
        if _BAD_IN_URI.search(text):
            raise RemoteSipError("a URI holds blanks, brackets or quotes")
        scheme = scheme.lower()
        if scheme == "tel":
            number, semicolon, parameters = rest.partition(";")
            if not number:
                raise RemoteSipError("a tel URI without number")
            return cls("tel", number, parameters=Parameters.parse(semicolon + parameters))
        if scheme not in ("sip", "sips"):
            raise RemoteSipError("Unsupported URI Scheme", 416)
        # The grammar allows ; ? and : in the user part but no second @ anywhere, so the first
        # one ends it: `sip:user;par=u%40example.net@example.com` has the host example.com.
        userinfo, at, remainder = rest.partition("@")
        user: str | None = None
        password: str | None = None
        if at:
            user, has_password, after_colon = userinfo.partition(":")
            password = after_colon if has_password else None
        else:
            remainder = rest
        ends = _END_OF_HOST.search(remainder)
        host_port = remainder if ends is None else remainder[: ends.start()]
        tail = "" if ends is None else remainder[ends.start() :]
        parameters, _, headers = tail.partition("?")
        host, port = parse_host_port(host_port)
        return cls(scheme, user, password, host, port, Parameters.parse(parameters), headers)

    @property
    def unescaped_user(self) -> str:
        """User part with `%XX` resolved, empty if there is none; broken escapes stay."""
        return percent_decode(self.user or "", errors="surrogateescape")

    @property
    def address(self) -> str:
        """Host without the brackets of an IPv6 reference, as sockets want it."""
        return bare_host(self.host)

    def __str__(self) -> str:
        text = [self.scheme, ":"]
        if self.user is not None:
            text.append(self.user)
        if self.password is not None:
            text += [":", self.password]
        if self.scheme != "tel":
            if self.user is not None:
                text.append("@")
            text.append(self.host)
            if self.port is not None:
                text.append(f":{self.port}")
        text.append(str(self.parameters))
        if self.headers:
            text += ["?", self.headers]
        return "".join(text)


def escaped_user(text: str) -> str:
    """A user part that says `text`, with `%XX` for what may not stand there (RFC 3261 25.1)."""
    return percent_encode(text, safe=_USER_UNRESERVED)
