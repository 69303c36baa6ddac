"""CSeq (RFC 3261 section 20.16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import is_token, parse_number

MAX_CSEQ: Final = 2**31 - 1
"Section 8.1.1.5: less than 2**31."


@dataclass(frozen=True, slots=True)
class CSeq:
    """Sequence number and method of a request, echoed in its responses."""

    number: int
    "0..2**31-1."

    method: str
    'Case matters: `"INVITE"`.'

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """
        Read `4711 INVITE`, with any blanks between.

        Raises:
            RemoteSipError: 400 when number or method is missing, malformed or out of range.
        """
        number, blank, method = text.replace("\t", " ").strip(" ").partition(" ")
        if not blank:
            raise RemoteSipError("CSeq without number or method")
        method = method.lstrip(" ")
        if not is_token(method):
            raise RemoteSipError("CSeq with a malformed method")
        return cls(parse_number(number, "CSeq", maximum=MAX_CSEQ), method)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"
