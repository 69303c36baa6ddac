"""How often an application may ask: so many requests a minute for each API."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from voiceblocks.accounts.errors import RateLimitExceeded
from voiceblocks.clock import Clock

WINDOW_S: Final = 60.0
_FORGET_ABOVE: Final = 256
"Windows that are kept without a look at which of them are over."

QUERY_APIS: Final = frozenset(
    {
        "conference/moderate",
        "voice/hangup",
        "voice/query_status",
        "voice/get_history",
        "voice/get_rate",
        "user/get_balance",
        "user/get_info",
        "number/get_active",
        "number/get_countries",
        "number/get_choices",
        "number/get_rates",
        "number/subscribe",
        "number/update_forwarding",
        "recording/health",
        "recording/link",
        "recording/revoke",
        "recording/delete",
    }
)
"What the original limits to 60 a minute: not calls and their blocks, but what is asked about them."


class InMemoryRateLimiter:
    """
    Fulfils `handlers.RateLimiter` for one process.

    The window moves, so that no minute's border allows twice as much. What is refused does not
    count. Not by the library `limits`: its memory storage starts a thread for each 10 ms in which
    something is counted, a twelfth of what a block request cost.

    Args:
        per_minute: Requests for each application and API.
        queries_per_minute: The same for each of `QUERY_APIS`; `per_minute` if omitted.
        clock: Its monotonic time counts.
    """

    def __init__(
        self, per_minute: int, queries_per_minute: int | None = None, *, clock: Clock
    ) -> None:
        self._limit = per_minute
        self._query_limit = queries_per_minute or per_minute
        self._clock = clock
        self._own: Mapping[str, tuple[int | None, int | None]] = {}
        # Times at which what was allowed came, oldest first.
        self._windows: dict[tuple[str, str], deque[float]] = {}
        self._forget_above = _FORGET_ABOVE

    def set_own_limits(self, limits: Mapping[str, tuple[int | None, int | None]]) -> None:
        """
        These applications have limits of their own from now on, all others the general ones.

        Args:
            limits: By `app_id`: for blocks and calls, and for queries; `None` is the general one.
        """
        self._own = limits

    def count(self, app_id: str, api: str) -> None:
        """Count one request; see the protocol."""
        is_query = api in QUERY_APIS
        own = self._own.get(app_id, (None, None))[is_query]
        limit = own if own is not None else self._query_limit if is_query else self._limit
        now_s = self._clock.monotonic()
        window = self._windows.get((app_id, api))
        if window is None:
            self._forget_old(now_s)
            window = self._windows[app_id, api] = deque()
        while window and window[0] <= now_s - WINDOW_S:
            window.popleft()
        if len(window) >= limit:
            raise RateLimitExceeded(f"more than {limit} a minute")
        window.append(now_s)

    def _forget_old(self, now_s: float) -> None:
        if len(self._windows) < self._forget_above:
            return
        self._windows = {
            key: window
            for key, window in self._windows.items()
            if window and window[-1] > now_s - WINDOW_S
        }
        # A full look for each doubling, and not for each new key.
        self._forget_above = max(_FORGET_ABOVE, 2 * len(self._windows))
