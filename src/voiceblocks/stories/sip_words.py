"""A SIP message in a few words, by the little of it that everybody reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from voiceblocks.stories.model import SipMessage

_START = re.compile(rb"(?:SIP/2\.0 +(\d{3})(?: +([^\r\n]*))?|([A-Za-z]+) +)")
_CSEQ = re.compile(rb"(?<![^\r\n])cseq[ \t]*:[ \t]*(\d{1,10})[ \t]+([A-Za-z]+)", re.IGNORECASE)
_LONGEST: Final = 40


@dataclass(frozen=True, slots=True)
class SipSummary:
    """What a message is."""

    method: str
    "Of the request, or of the one that a response answers; empty where it cannot be read."
    status: int | None
    "Of a response."
    reason: str
    cseq: int | None

    @property
    def label(self) -> str:
        """`INVITE`, or `200 OK (INVITE)`."""
        if self.status is None:
            return self.method or "unreadable message"
        answered = f" ({self.method})" if self.method else ""
        return f"{self.status} {self.reason}".strip() + answered


def summary_of(data: bytes) -> SipSummary:
    """Read it; whatever the bytes are, nothing is raised."""
    start = _START.match(data.lstrip(b"\r\n"))
    cseq = _CSEQ.search(data)
    number = None if cseq is None else int(cseq[1])
    answered = "" if cseq is None else _plain(cseq[2])
    if start is None:
        return SipSummary("", None, "", number)
    if start[1] is None:
        return SipSummary(_plain(start[3]), None, "", number)
    return SipSummary(answered, int(start[1]), _plain(start[2] or b""), number)


def with_repeats(messages: Iterable[SipMessage]) -> Iterator[tuple[SipMessage, bool]]:
    """Yield each message, and whether the very same went the same way before: a retransmission."""
    seen: set[tuple[bool, str, bytes]] = set()
    for message in messages:
        key = (message.incoming, message.leg, message.data)
        yield message, key in seen
        seen.add(key)


def _plain(text: bytes) -> str:
    """Text that is fit for a terminal and a picture."""
    shown = text.decode("utf-8", "replace")[:_LONGEST]
    return "".join(letter if letter.isprintable() else "?" for letter in shown).strip()
