"""The digits of one call, each once, whichever way they come.

They come as telephone-events in the RTP (RFC 4733) or in SIP INFO requests; some phones
and gateways send every key by both. So the same digit by the other way within
`SAME_KEY_S` is the same key: whichever comes first counts, and it is answered for by at
most one of the other way. Two presses of one key by one way are always two.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

MAX_WAITING_DIGITS = 64
"Pressed keys that nobody waits for are forgotten beyond this many."

SAME_KEY_S = 2.0
"An INFO that got lost twice is sent again 0.5 and 1.5 s after the first."


@dataclass(frozen=True, slots=True)
class Digit:
    """One pressed key. Personal data: never logged, so not shown either."""

    key: str = field(repr=False)
    "One of `0-9 * # A-D`."
    at: float
    "Monotonic seconds at which it was heard of."
    timestamp: int | None
    "RTP timestamp of its start; `None` for one that came by INFO."


class DigitInbox:
    """Keys that were pressed and nobody took yet. `next` may be cancelled without loss."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Digit] = asyncio.Queue(MAX_WAITING_DIGITS)
        # What came by one way and may still come by the other.
        self._unanswered: deque[Digit] = deque(maxlen=MAX_WAITING_DIGITS)

    def put(self, digit: Digit) -> None:
        """Take a digit as it comes, by either way."""
        by_info = digit.timestamp is None
        while self._unanswered and digit.at - self._unanswered[0].at > SAME_KEY_S:
            self._unanswered.popleft()
        for other in self._unanswered:
            if other.key == digit.key and (other.timestamp is None) is not by_info:
                self._unanswered.remove(other)
                return
        self._unanswered.append(digit)
        if not self._waiting.full():
            self._waiting.put_nowait(digit)

    def forget(self, before: float | None = None) -> None:
        """Drop what was pressed so far, or before an instant (monotonic seconds)."""
        for _digit in range(self._waiting.qsize()):
            digit = self._waiting.get_nowait()
            if before is not None and digit.at >= before:
                self._waiting.put_nowait(digit)

    async def next(self) -> Digit:
        """The next digit that nobody took yet."""
        return await self._waiting.get()
