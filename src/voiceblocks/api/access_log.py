"""One line for each request, never with a query string (decision 5)."""

from __future__ import annotations

import time
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voiceblocks.log import get_logger

_FACTS: Final = "voiceblocks.access_log"
_PATH_MAX: Final = 200
# Asked every few seconds by whoever watches the node.
_QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})


def annotate(scope: Scope, **facts: Any) -> None:
    """Add facts to the line of this request; nothing happens where none is written."""
    scope.get(_FACTS, {}).update(facts)


class AccessLog:
    """ASGI middleware: method, path as sent, status, time taken and peer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = get_logger("http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts: dict[str, Any] = {}
        scope[_FACTS] = facts
        status: int | None = None

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                # Not `HTTPStatus.OK`, which is written as more than a number.
                status = int(message["status"])
            await send(message)

        started_s = time.perf_counter()
        try:
            await self._app(scope, receive, note_status)
        finally:
            write = self._log.debug if scope["path"] in _QUIET_PATHS else self._log.info
            write(
                "http_request",
                method=scope["method"],
                path=_path_of(scope),
                http_status=status,
                duration_ms=round((time.perf_counter() - started_s) * 1000, 1),
                peer=(scope.get("client") or ("",))[0],
                **facts,
            )


def _path_of(scope: Scope) -> str:
    # As sent, still escaped: no line break can get into the log.
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    return raw.partition(b"?")[0][:_PATH_MAX].decode("ascii", "backslashreplace")
