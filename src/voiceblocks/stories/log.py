"""The events of one call in memory, until they are written: bounded, whatever happens in it.

Of each kind the first ones are kept, and of all that comes beyond that the last ones: how a call
began and how it ended is what people ask for.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from voiceblocks.stories.model import AnyEvent, ApiRequest, Cut, SipMessage

MOST_OF_A_KIND: Final = {SipMessage: 1000, ApiRequest: 500}
MOST_OF_OTHERS: Final = 300
MOST_SIP_BYTES: Final = 512 * 1024
LAST_KEPT: Final = 40
MOST_STORED: Final = 3000
"Of a call, whatever restarts and pauses lie between."


class StoryLog:
    """What is still to be written of one call, and how much there was."""

    def __init__(self) -> None:
        self.pending: list[AnyEvent] = []
        self.n_stored: int | None = None
        "What the database has of it, as far as anybody has looked; see `set_stored`."
        self.touched_us = 0
        "When the last event came."
        self._counts: Counter[type] = Counter()
        self._sip_bytes = 0
        self._last: deque[AnyEvent] = deque(maxlen=LAST_KEPT)
        self._n_beyond = 0

    def add(self, event: AnyEvent, now_us: int) -> None:
        """Take one event."""
        self.touched_us = now_us
        if self._has_room(event):
            self.pending.append(event)
        else:
            self._n_beyond += 1
            self._last.append(event)

    def set_stored(self, n_events: int) -> None:
        """The database has so many already, from before a restart or a pause."""
        self.n_stored = n_events
        if n_events:
            self._counts.clear()
            self._sip_bytes = 0
            for event in self.take():
                self.add(event, self.touched_us)

    def take(self) -> list[AnyEvent]:
        """Take what is to be written."""
        taken, self.pending = self.pending, []
        return taken

    def put_back(self, events: list[AnyEvent]) -> None:
        """It could not be written."""
        self.pending = events + self.pending

    def close(self) -> None:
        """Nothing more is expected: the last events of those beyond the limit count, too."""
        if self._n_beyond:
            n_lost = self._n_beyond - len(self._last)
            if n_lost:
                self.pending.append(Cut(self._last[0].at_us, n_lost))
            self.pending += self._last
        self._last.clear()
        self._n_beyond = 0

    def _has_room(self, event: AnyEvent) -> bool:
        kind = type(event)
        if (self.n_stored or 0) + len(self.pending) >= MOST_STORED:
            return False
        if self._counts[kind] >= MOST_OF_A_KIND.get(kind, MOST_OF_OTHERS):
            return False
        if isinstance(event, SipMessage):
            if self._sip_bytes + len(event.data) > MOST_SIP_BYTES:
                return False
            self._sip_bytes += len(event.data)
        self._counts[kind] += 1
        return True
