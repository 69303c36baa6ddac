"""Sends one notification request and says what became of it; decides nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from voiceblocks.adapters.address_guard import (
    AnswerRefused,
    ConnectFailed,
    NameNotResolved,
    OutgoingHttpError,
    TargetRefused,
    TimedOut,
    TlsFailed,
)
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.notifications.interfaces import WebhookResult

ERROR_WORDS: dict[type[OutgoingHttpError], str] = {
    TargetRefused: "target_refused",
    NameNotResolved: "name_not_resolved",
    TlsFailed: "tls_failed",
    ConnectFailed: "connect_failed",
    TimedOut: "timed_out",
    AnswerRefused: "answer_refused",
}
"What an attempt's `error` begins with."


class WebhookClient:
    """
    Fulfils `notifications.interfaces.WebhookSender` with the guarded client.

    Args:
        http: Makes the requests.
        now_s: Monotonic seconds.
    """

    def __init__(self, http: GuardedHttp, now_s: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._now_s = now_s

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float
    ) -> WebhookResult:
        """POST `body`; every failure to get an answer is a result, not an exception."""
        begun_s = self._now_s()
        try:
            answer = await self._http.post(url, body, headers, timeout_s)
        except OutgoingHttpError as error:
            latency_ms = int((self._now_s() - begun_s) * 1000)
            return WebhookResult(latency_ms, error=f"{ERROR_WORDS[type(error)]}: {error}")
        # PostgreSQL stores no NUL.
        text = answer.body_start.decode("utf-8", "replace").replace("\0", "")
        return WebhookResult(answer.latency_ms, http_status=answer.status, answer=text)
