"""What happened, line by line: for whoever reads why a script did not go on."""

from __future__ import annotations

from dataclasses import dataclass

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.message import SipRequest, parse_message
from voiceblocks.testing.simulation.network import SipDatagram
from voiceblocks.testing.simulation.virtual_loop import START_S

_LINES = 60
"Of an explanation: the newest."


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened."""

    at_s: float
    "Since the simulation began."
    who: str
    what: str

    def __str__(self) -> str:
        """As a line."""
        return f"{self.at_s:9.3f} s  {self.who:<12} {self.what}"


class ScriptFailed(AssertionError):
    """A script waited for something that did not come, or a part of the simulation broke."""


class Timeline:
    """All moments, in order."""

    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def add(self, now: float, who: str, what: str) -> None:
        """Note something."""
        self.moments.append(Moment(round(now - START_S, 6), who, what))

    def add_sip(self, sent: SipDatagram, who: str) -> None:
        """Note a SIP message by its first line, and what it is about."""
        try:
            message = parse_message(sent.data)
        except RemoteSipError:
            return
        if isinstance(message, SipRequest):
            what = f"{message.method} {message.uri}"
        else:
            what = f"{message.status} {message.reason} ({message.cseq.method})"
        self.add(sent.at_s, who, what)

    def text(self) -> str:
        """The newest lines."""
        shown = self.moments[-_LINES:]
        left_out = len(self.moments) - len(shown)
        lines = [str(moment) for moment in shown]
        if left_out:
            lines.insert(0, f"({left_out} earlier lines left out)")
        return "\n".join(lines) or "(nothing happened at all)"
