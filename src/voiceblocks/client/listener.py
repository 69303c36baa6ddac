"""Receive notifications with nothing but Python: for examples and small applications."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from voiceblocks.client.errors import NotificationRefused
from voiceblocks.client.notifications import Notification, receive_notification

_REMEMBERED = 10_000
_BODY_MAX_BYTES = 65_536


class Listener:
    """
    A web server that checks each notification and hands it over once.

    Repeats of one that was taken are answered and dropped. What `handler` raises is printed
    and answered with 503, after which the server sends it again.

    Args:
        handler: Called in a thread for each request.
        access_token: Of the application.
        host: Where to listen.
        port: The same; 0 for a free one.
    """

    def __init__(
        self,
        handler: Callable[[Notification], None],
        access_token: str | Sequence[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._handler = handler
        self._access_token = access_token
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((host, port), self._request_handler())
        self.port: int = self._server.server_address[1]

    def serve_forever(self) -> None:
        """Receive until `close` is called in another thread."""
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Receive nothing more."""
        self._server.shutdown()
        self._server.server_close()

    def _receive(self, body: bytes, headers: dict[str, str]) -> int:
        """Return the status to answer with."""
        try:
            told = receive_notification(body, headers, self._access_token)
        except NotificationRefused as error:
            sys.stderr.write(f"refused: {error}\n")
            return 403
        with self._lock:
            # Counted before it is handled: a repeat may come while the handler still runs.
            if told.event_id in self._taken:
                return 200
            self._taken[told.event_id or ""] = None
            while len(self._taken) > _REMEMBERED:
                self._taken.popitem(last=False)
        try:
            self._handler(told)
        except Exception:  # noqa: BLE001 - an application's fault costs one notification, not all
            traceback.print_exc()
            with self._lock:
                self._taken.pop(told.event_id or "", None)
            return 503
        return 200

    def _request_handler(self) -> type[BaseHTTPRequestHandler]:
        receive = self._receive

        class Handler(BaseHTTPRequestHandler):
            timeout = 30

            def do_POST(self) -> None:
                """Take one notification."""
                length = self.headers.get("Content-Length", "0")
                n_bytes = min(int(length), _BODY_MAX_BYTES) if length.isdecimal() else 0
                self.send_response(receive(self.rfile.read(n_bytes), dict(self.headers)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet: query strings hold what callers typed."""

        return Handler
