"""Via, the way back of a response (RFC 3261 sections 18.2 and 20.42, RFC 3581 for rport)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import (
    BLANKS,
    bare_host,
    is_token,
    parse_host_port,
    split_outside_quotes,
)
from voiceblocks.sip.parameters import NO_PARAMETERS, Parameters

BRANCH_COOKIE: Final = "z9hG4bK"
"A branch that begins so is unique per transaction (section 8.1.1.7); others are of RFC 2543."


@dataclass(frozen=True, slots=True)
class Via:
    """One hop. Parsing is for reading; responses echo the raw text, see `stamp_source`."""

    transport: str
    'Upper case, e.g. `"UDP"`; unknown ones are kept.'

    host: str
    "The sent-by host as written; an IPv6 reference with its brackets."

    port: int | None
    "The sent-by port, `None` when not written."

    parameters: Parameters = NO_PARAMETERS
    "branch, received, rport, and whatever else the sender put there."

    version: str = "2.0"
    "Kept as it came: a request of SIP 7.0 is answered 505 over the same Via."

    @classmethod
    def parse(cls, text: str) -> Via:
        """
        Read one value such as `SIP / 2.0 / UDP host:5060;branch=z9hG4bK87`.

        Raises:
            RemoteSipError: 400 when protocol, transport, host or port cannot be read.
        """
        hop, semicolon, parameters = text.partition(";")
        pieces = hop.replace("\t", " ").split("/", 2)
        if len(pieces) != 3 or pieces[0].strip(" ").upper() != "SIP":
            raise RemoteSipError("a Via that is not of SIP")
        version = pieces[1].strip(" ")
        if not is_token(version):
            raise RemoteSipError("a Via without protocol version")
        transport, blank, sent_by = pieces[2].strip(" ").partition(" ")
        if not blank or not is_token(transport):
            raise RemoteSipError("a Via without transport or host")
        host, port = parse_host_port(sent_by)
        found = Parameters.parse(semicolon + parameters)
        return cls(transport.upper(), host, port, found, version)

    @property
    def branch(self) -> str:
        """The branch, empty if there is none (RFC 2543 peers)."""
        return self.parameters.get("branch") or ""

    @property
    def address(self) -> str:
        """The sent-by host without the brackets of an IPv6 reference."""
        return bare_host(self.host)

    @property
    def received(self) -> str | None:
        """Address that the next hop saw, without brackets."""
        value = self.parameters.get("received")
        return None if value is None else bare_host(value)

    @property
    def rport(self) -> int | None:
        """Source port that the next hop saw; `None` if absent, empty or not a port."""
        value = self.parameters.get("rport") or ""
        if value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= 65535:
            return int(value)
        return None

    def with_received(self, host: str, port: int) -> Via:
        """A copy that notes where the request came from, by the rules of `stamp_source`."""
        parameters = self.parameters
        asked = "rport" in parameters
        if asked:
            parameters = parameters.with_value("rport", str(port))
        if asked or host != self.address:
            parameters = parameters.with_value("received", host)
        else:
            parameters = parameters.without("received")
        return replace(self, parameters=parameters)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/{self.version}/{self.transport} {self.host}{port}{self.parameters}"


def stamp_source(raw_value: str, host: str, port: int) -> str:
    """
    Note the source of a request in the raw text of its top Via, touching nothing else.

    RFC 3261 18.2.1: `received` when the source differs from sent-by. RFC 3581 section 4: with
    `rport` asked for, its value and always `received`. A `received` that the peer wrote itself
    is dropped: it would send our response elsewhere.

    Args:
        raw_value: One Via value, not a comma list.
        host: Source address without brackets.
        port: Source port.

    Raises:
        RemoteSipError: 400 when the value cannot be read.
    """
    via = Via.parse(raw_value)
    asked = "rport" in via.parameters
    if not asked and host == via.address and "received" not in via.parameters:
        return raw_value
    pieces: list[str] = []
    for piece in split_outside_quotes(raw_value, ";"):
        name = piece.partition("=")[0].strip(BLANKS).lower()
        if pieces and name == "received":
            continue
        pieces.append(f"rport={port}" if pieces and name == "rport" else piece)
    if asked or host != via.address:
        pieces.append(f"received={host}")
    return ";".join(pieces)
