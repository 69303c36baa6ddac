"""Every SIP message of a call's dialogs, for its story.

While a message passes it is only put aside. Which call it belongs to is looked up later, by its
Call-ID, a second or so at a time: an INVITE comes before its session is stored, and the answer to
a BYE after the call is over.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from voiceblocks.clock import Clock
from voiceblocks.engine.local_address import advertised_host
from voiceblocks.sip.blanking import blank_secrets
from voiceblocks.sip.flow import Flow
from voiceblocks.stories.model import SipMessage

MOST_WAITING: Final = 4096
"Messages between two looks; a flood beyond that is not kept."
MOST_UNKNOWN: Final = 1024
"Messages that belong to no call yet, most of them to none ever: registrations, probes."
MOST_BYTES: Final = 8192
"Of one message. Real ones have a tenth of it; a capture says where one was cut."
MOST_CALL_IDS: Final = 100_000
PATIENCE_US: Final = 5_000_000
"How long a message waits for its call to be known."
AFTERWARDS_US: Final = 40_000_000
"How long a call's dialogs are remembered: 64*T1 and some more."

_CALL_ID = re.compile(rb"(?<![^\r\n])(?:call-id|i)[ \t]*:[ \t]*([^\s]+)", re.IGNORECASE)


class _Passed(NamedTuple):
    at_us: int
    incoming: bool
    flow: Flow
    data: bytes
    size_bytes: int


class SipLog:
    """
    Fulfils `sip_endpoint.SipObserver`.

    Args:
        clock: UTC.
        note: Takes a session's id and a message of it.
    """

    def __init__(self, clock: Clock, note: Callable[[str, SipMessage], None]) -> None:
        self._clock = clock
        self._note = note
        self._passed: deque[_Passed] = deque(maxlen=MOST_WAITING)
        self._unknown: deque[tuple[bytes, _Passed]] = deque(maxlen=MOST_UNKNOWN)
        self._owners: dict[bytes, tuple[str, str]] = {}
        self._call_ids: dict[str, list[bytes]] = {}
        self._over: deque[tuple[int, str]] = deque()

    def on_message(self, data: bytes, flow: Flow, *, incoming: bool) -> None:
        """A message passes."""
        self._passed.append(
            _Passed(self._clock.utc_us(), incoming, flow, data[:MOST_BYTES], len(data))
        )

    def belongs(self, call_id: str, session_id: str, leg_id: str) -> None:
        """The dialogs of `call_id` are a call's; `leg_id` is empty for its first leg."""
        if len(self._owners) >= MOST_CALL_IDS:
            return
        # Of two calls by one Call-ID, which only a hostile peer places, the first has it.
        key = call_id.encode("utf-8", "surrogateescape")
        if self._owners.setdefault(key, (session_id, leg_id))[0] == session_id:
            self._call_ids.setdefault(session_id, []).append(key)

    def over(self, session_id: str) -> None:
        """The call is over; what still comes of it belongs to it for a while."""
        self._over.append((self._clock.utc_us() + AFTERWARDS_US, session_id))

    def look(self, most: int) -> bool:
        """
        Give what has passed to the calls that it belongs to.

        Args:
            most: Messages to look at.

        Returns:
            Whether there are more.
        """
        for _ in range(min(most, len(self._passed))):
            passed = self._passed.popleft()
            found = _CALL_ID.search(passed.data)
            if found is not None and not self._is_given(found[1], passed):
                self._unknown.append((found[1], passed))
        return bool(self._passed)

    def look_again(self) -> None:
        """Look once more at what belonged to no call yet, and forget calls that are long over."""
        now_us = self._clock.utc_us()
        for _ in range(len(self._unknown)):
            call_id, passed = self._unknown.popleft()
            if not self._is_given(call_id, passed) and now_us - passed.at_us < PATIENCE_US:
                self._unknown.append((call_id, passed))
        while self._over and self._over[0][0] <= now_us:
            _, session_id = self._over.popleft()
            for call_id in self._call_ids.pop(session_id, ()):
                self._owners.pop(call_id, None)

    def _is_given(self, call_id: bytes, passed: _Passed) -> bool:
        owner = self._owners.get(call_id)
        if owner is None:
            return False
        self._note(owner[0], self._message(passed, owner[1]))
        return True

    def _message(self, passed: _Passed, leg_id: str) -> SipMessage:
        flow = passed.flow
        return SipMessage(
            at_us=passed.at_us,
            leg=leg_id,
            incoming=passed.incoming,
            transport=flow.transport,
            local=(_host_towards(flow), flow.local[1]),
            remote=flow.remote,
            data=blank_secrets(passed.data),
            size_bytes=passed.size_bytes,
        )


def _host_towards(flow: Flow) -> str:
    """Our address on the way to the peer, where the socket is bound to all of them."""
    try:
        return advertised_host(flow.local[0], "", flow.remote[0])
    except (OSError, ValueError):
        return flow.local[0]
