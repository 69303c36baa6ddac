"""How often an application may ask: so many requests a minute for each API."""

from __future__ import annotations

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from voiceblocks.accounts.errors import RateLimitExceeded


class InMemoryRateLimiter:
    """
    Fulfils `handlers.RateLimiter` for one process.

    The window moves, so that no minute's border allows twice as much.

    Args:
        per_minute: Requests for each application and API.
    """

    def __init__(self, per_minute: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerMinute(per_minute)

    def count(self, app_id: str, api: str) -> None:
        """Count one request; see the protocol."""
        if not self._limiter.hit(self._limit, app_id, api):
            raise RateLimitExceeded(f"more than {self._limit.amount} a minute")
