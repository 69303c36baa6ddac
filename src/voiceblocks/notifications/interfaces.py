"""What delivering notifications needs from the outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WebhookResult:
    """What became of one request: either `http_status` or `error` is set."""

    latency_ms: int
    http_status: int | None = None
    error: str | None = None
    "One of a few words such as `timed_out`, with a detail; never holds the URL."
    answer: str | None = None
    "First part of the body, as text."


class WebhookSender(Protocol):
    """Sends one request."""

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> WebhookResult:
        """POST `body`; every failure to get an answer is a result, not an exception."""
        ...
