"""Reliable provisional responses (RFC 3262): numbers, repeats and acknowledgements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.grammar import parse_number
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.timers import TIMEOUT_S, Repeater, Timer, TimerQueue

_MAX_RSEQ = 2**32 - 1


@dataclass(frozen=True, slots=True)
class RAck:
    """What a PRACK acknowledges (section 7.2)."""

    response_number: int
    sequence: int
    method: str

    @classmethod
    def parse(cls, headers: Headers) -> RAck:
        """
        Read `776656 1 INVITE`.

        Raises:
            RemoteSipError: 400 when it is missing or malformed.
        """
        parts = (headers.get("RAck") or "").split()
        if len(parts) != 3:
            raise RemoteSipError("RAck is missing or malformed")
        return cls(
            parse_number(parts[0], "RAck", maximum=_MAX_RSEQ),
            parse_number(parts[1], "RAck", maximum=2**31 - 1),
            parts[2],
        )


class ReliableSender:
    """
    Our reliable provisional responses to one INVITE, one at a time.

    Args:
        first_number: Of the first response, 1..2**31-1 (section 3).
    """

    def __init__(self, timers: TimerQueue, first_number: int) -> None:
        self._timers = timers
        self._next_number = first_number
        self._last: int | None = None
        "Number that no PRACK has named yet."
        self._has_sdp = False
        self._is_waiting = False
        self._repeater: Repeater | None = None
        self._timer: Timer | None = None
        self.sdp_acknowledged = False
        "Whether a response with SDP was acknowledged: offer and answer are done."

    @property
    def is_pending(self) -> bool:
        """Whether a PRACK is still to come; no further reliable response may be sent."""
        return self._is_waiting

    @property
    def blocks_answer(self) -> bool:
        """Whether even a 2xx has to wait, since the unacknowledged response held SDP."""
        return self._is_waiting and self._has_sdp

    def take_number(self) -> int:
        """The RSeq of the next response."""
        number = self._next_number
        self._next_number += 1
        return number

    def start(
        self,
        number: int,
        now: float,
        *,
        has_sdp: bool,
        repeat: Callable[[], None],
        give_up: Callable[[float], None],
    ) -> None:
        """Repeat the response until its PRACK comes; give up after 64*T1."""
        self._last, self._has_sdp, self._is_waiting = number, has_sdp, True
        self._repeater = Repeater(self._timers, repeat, now, longest_s=None)
        self._timer = self._timers.schedule(now + TIMEOUT_S, give_up)

    def acknowledge(self, rack: RAck, invite_sequence: int) -> bool:
        """
        Take a PRACK, also one that comes after the final response (section 3).

        Returns:
            `False` when it matches nothing that waits for one.
        """
        named = (rack.response_number, rack.sequence, rack.method)
        if named != (self._last, invite_sequence, "INVITE"):
            return False
        self._last = None
        self.sdp_acknowledged |= self._has_sdp
        self.stop()
        return True

    def stop(self) -> None:
        """Repeat nothing more."""
        self._is_waiting = False
        if self._repeater is not None:
            self._repeater.stop()
        if self._timer is not None:
            self._timer.cancel()


class ReliableReceiver:
    """Which reliable responses of the peers to one INVITE of ours are news, per dialog."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def accept(self, to_tag: str, number: int) -> bool:
        """`True` for the first or the next in order; repeats and later ones are dropped (4)."""
        last = self._last.get(to_tag)
        if last is not None and number != last + 1:
            return False
        self._last[to_tag] = number
        return True


def read_rseq(headers: Headers) -> int | None:
    """RSeq of a response, `None` when missing or malformed."""
    value = headers.get("RSeq")
    if value is None:
        return None
    try:
        return parse_number(value.strip(), "RSeq", maximum=_MAX_RSEQ)
    except RemoteSipError:
        return None
