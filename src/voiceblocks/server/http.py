"""One HTTP listener: uvicorn inside our own loop, without its signal handlers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from voiceblocks.errors import StartupError
from voiceblocks.settings import parse_listen

BACKLOG = 2048


class HttpListener:
    """
    Serves one ASGI application on one address.

    Args:
        app: The application.
        listen: `HOST:PORT`; port 0 takes a free one.
        setting: Name of the setting, for the sentence when the port is taken.
        trusted_proxies: Comma list of addresses whose X-Forwarded-* headers count.
    """

    def __init__(self, app: Any, listen: str, setting: str, trusted_proxies: str = "") -> None:
        self._listen = listen
        self._setting = setting
        self._server = _Server(
            uvicorn.Config(
                app,
                access_log=False,
                log_level="warning",
                lifespan="off",
                http="httptools",
                ws="none",
                server_header=False,
                date_header=True,
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=trusted_proxies or "",
                timeout_graceful_shutdown=5,
            )
        )
        self._task: asyncio.Task[None] | None = None
        self._sock: socket.socket | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it really listens."""
        assert self._sock is not None
        host, port = self._sock.getsockname()[:2]
        return host, port

    def bind(self) -> None:
        """
        Take the address, so that links can name it before the first request.

        Raises:
            StartupError: If it is taken.
        """
        host, port = parse_listen(self._listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            sock.close()
            raise StartupError(
                f"HTTP cannot listen on {self._listen} ({error.strerror}). Is another server "
                f"running? Set VOICEBLOCKS_{self._setting} to a free address."
            ) from error
        sock.setblocking(False)
        self._sock = sock

    async def start(self) -> None:
        """Answer requests from now on."""
        assert self._sock is not None
        self._task = asyncio.get_running_loop().create_task(
            self._server.serve(sockets=[self._sock])
        )
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Finish what is being answered, for a few seconds at most."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        elif self._sock is not None:
            self._sock.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the node's to handle."""
        yield
