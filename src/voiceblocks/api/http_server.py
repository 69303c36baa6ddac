"""One listening address, served in the process's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from voiceblocks.errors import StartupError

_BACKLOG = 1024
_KEEP_ALIVE_S = 30

_MESSAGE_MAX_BYTES = 4096
"Of a WebSocket: a browser's phone sends 40 ms of sound at a time, or some words."
_PING_S = 10.0


class HttpServer:
    """
    Serves an ASGI application by uvicorn.

    Args:
        app: What is served.
        host: Address to listen on.
        port: Port, or 0 for any free one.
        trusted_proxies: Addresses or networks whose `X-Forwarded-*` headers count.
        drain_s: How long open requests may take after `stop`.
        websockets: Whether `app` takes WebSockets.
    """

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        trusted_proxies: Sequence[str] = (),
        drain_s: int = 10,
        websockets: bool = False,
    ) -> None:
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._server = _EmbeddedServer(
            uvicorn.Config(
                app,
                http="httptools",
                ws="websockets-sansio" if websockets else "none",
                ws_max_size=_MESSAGE_MAX_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=_PING_S,
                ws_ping_timeout=_PING_S,
                lifespan="off",
                log_config=None,
                # Its lines hold query strings (decision 5); `access_log` writes ours.
                access_log=False,
                server_header=False,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=list(trusted_proxies),
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=drain_s,
            )
        )

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once started."""
        assert self._socket is not None
        host, port = self._socket.getsockname()[:2]
        return host, port

    async def start(self) -> None:
        """
        Begin to serve; returns once connections are accepted.

        Raises:
            StartupError: If the address cannot be listened on.
        """
        self._socket = self._listen()
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        ready = asyncio.ensure_future(self._server.ready.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await self._task

    async def stop(self) -> None:
        """Accept no more connections, let open requests end, and return."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        if self._socket is not None:
            self._socket.close()

    def _listen(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio turns Nagle's algorithm off only for sockets that name their protocol; with
        # it, every answer waits 40 ms for an acknowledgement between its head and its body.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen(_BACKLOG)
            listener.setblocking(False)
        except OSError as error:
            listener.close()
            raise StartupError(
                f"cannot listen for HTTP on {self._host}:{self._port}: {error.strerror}"
            ) from error
        return listener


class _EmbeddedServer(uvicorn.Server):
    """uvicorn's server without its hold on the process's signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()
