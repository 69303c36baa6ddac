"""Symmetric RTP: from whom a leg takes packets, and where it sends its own.

What SDP says is often wrong behind a NAT, so the first plausible sender is *learned* and
then *locked*: nobody else can put audio into the call or draw it away. The table:

| state  | the locked source | named by SDP          | a stranger                  | silence |
|--------|-------------------|-----------------------|-----------------------------|---------|
| LEARN  | -                 | address: lock         | 3 packets: lock             | -       |
| LOCKED | take              | refuse, or (*)        | refuse                      | SILENT  |
| SILENT | take, LOCKED      | address, 3 packets: lock | same SSRC, 3 packets: lock | -      |

Packets count in sequence, of one source and SSRC. An update that names another address
goes to LEARN, one that names the same address to SILENT.
(*) A lock on somebody else although SDP named an address is *doubtful*: whoever sends to all
our ports, or the stale stream of an earlier call behind the same SBC, would else win each call
in which he is first. There a source that SDP fits better (its address, then its host) takes
over with 3 packets, as long as it is heard at all: that is for the owner to bound.
The last row is a NAT that gave the phone another port: only after real silence of the locked
source, and only for somebody who knows its SSRC or sits at the address that was signalled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voiceblocks.rtp.sequence import uint16_add

Address = tuple[str, int]

LEARN_PACKETS = 3
"Of one source in sequence; the address that SDP says needs no second."

REBIND_PACKETS = 3

SILENCE_S = 2.0
"The locked source has sent nothing for so long before another one is heard at all."


class LockState(StrEnum):
    """See the module's table."""

    LEARN = "learn"
    LOCKED = "locked"
    SILENT = "silent"


class Verdict(StrEnum):
    """What to do with a packet."""

    TAKE = "take"
    REFUSE = "refuse"
    LOCKED = "locked"
    "Take it; its source has just become the locked one."


@dataclass(slots=True)
class _Candidate:
    source: Address
    ssrc: int
    next_sequence: int
    packets: int


class SourceLock:
    """
    The lock of one leg. Reads no clock: who owns it reports silence.

    Args:
        signalled: The address in the peer's SDP, `None` where there was none.
    """

    def __init__(self, signalled: Address | None = None) -> None:
        self.state = LockState.LEARN
        self.signalled = signalled
        self.source: Address | None = None
        self.refused = 0
        self._ssrc: int | None = None
        self._candidate: _Candidate | None = None

    @property
    def target(self) -> Address | None:
        """Where to send: the locked source, else what SDP said."""
        return self.source or self.signalled

    @property
    def is_doubtful(self) -> bool:
        """Whether the locked source is another than SDP said."""
        source, signalled = self.source, self.signalled
        return source is not None and signalled is not None and source != signalled

    def receive(self, source: Address, ssrc: int, sequence: int) -> Verdict:
        """Judge one RTP packet that could be parsed and has a payload type that we know."""
        if source == self.source:
            self._ssrc = ssrc
            if self.state is LockState.SILENT:
                self._candidate = None
                self.state = LockState.LOCKED
                return Verdict.LOCKED
            return Verdict.TAKE
        if self.state is LockState.LOCKED and not self._may_take_over(source):
            self.refused += 1
            return Verdict.REFUSE
        if self._count(source, ssrc, sequence) >= self._needed(source, ssrc):
            self.source = source
            self._ssrc = ssrc
            self._candidate = None
            self.state = LockState.LOCKED
            return Verdict.LOCKED
        self.refused += 1
        return Verdict.REFUSE

    def on_silence(self) -> bool:
        """
        Note that the locked source was silent for `SILENCE_S`.

        Returns:
            Whether the state changed, so that others must be heard from now on.
        """
        if self.state is not LockState.LOCKED:
            return False
        self.state = LockState.SILENT
        return True

    def update(self, signalled: Address | None) -> None:
        """A new SDP came; the last source stays the target unless SDP moved it."""
        if signalled != self.signalled:
            self.source = None
            self._ssrc = None
        self.signalled = signalled
        self.state = LockState.LEARN if self.source is None else LockState.SILENT
        self._candidate = None

    def _may_take_over(self, source: Address) -> bool:
        return (
            self.source is not None
            and self.is_doubtful
            and self._fit(source) > self._fit(self.source)
        )

    def _fit(self, source: Address) -> int:
        """How well SDP fits a source: its address, its host, or not at all."""
        signalled = self.signalled
        if signalled is None or source[0] != signalled[0]:
            return 0
        return 2 if source == signalled else 1

    def _needed(self, source: Address, ssrc: int) -> float:
        signalled = self.signalled
        if self.state is LockState.LEARN:
            return 1 if source == signalled else LEARN_PACKETS
        if self.state is LockState.LOCKED or ssrc == self._ssrc or source == signalled:
            return REBIND_PACKETS
        return float("inf")

    def _count(self, source: Address, ssrc: int, sequence: int) -> int:
        candidate = self._candidate
        if (
            candidate is None
            or (candidate.source, candidate.ssrc) != (source, ssrc)
            or candidate.next_sequence != sequence
        ):
            candidate = self._candidate = _Candidate(source, ssrc, sequence, 0)
        candidate.packets += 1
        candidate.next_sequence = uint16_add(sequence, 1)
        return candidate.packets

    def dump(self) -> tuple[str, Address | None, Address | None, int | None]:
        """State for a leg that moves (decision 14); `restore` takes it."""
        return self.state.value, self.signalled, self.source, self._ssrc

    @classmethod
    def restore(cls, state: tuple[str, Address | None, Address | None, int | None]) -> SourceLock:
        """Continue where `dump` was taken."""
        name, signalled, source, ssrc = state
        lock = cls((signalled[0], signalled[1]) if signalled else None)
        lock.state = LockState(name)
        lock.source = (source[0], source[1]) if source else None
        lock._ssrc = ssrc
        return lock
