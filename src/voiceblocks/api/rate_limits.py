"""How often an application may ask: so many requests a minute for each API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from voiceblocks.accounts.errors import RateLimitExceeded

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

    The window moves, so that no minute's border allows twice as much.

    Args:
        per_minute: Requests for each application and API.
        queries_per_minute: The same for each of `QUERY_APIS`; `per_minute` if omitted.
    """

    def __init__(self, per_minute: int, queries_per_minute: int | None = None) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerMinute(per_minute)
        self._query_limit = RateLimitItemPerMinute(queries_per_minute or per_minute)
        self._own: Mapping[str, tuple[int | None, int | None]] = {}

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
        limit = self._query_limit if is_query else self._limit
        own = self._own.get(app_id, (None, None))[is_query]
        if own is not None:
            limit = RateLimitItemPerMinute(own)
        if not self._limiter.hit(limit, app_id, api):
            raise RateLimitExceeded(f"more than {limit.amount} a minute")
