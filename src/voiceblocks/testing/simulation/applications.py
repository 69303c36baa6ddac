"""The application under test: how each kind of it is given its notifications."""

from __future__ import annotations

import asyncio
import inspect
import io
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from voiceblocks.client import Notification, receive_notification
from voiceblocks.testing.simulation.http import ASGIApp, Host, HttpAnswer, HttpRequest, ask_asgi
from voiceblocks.testing.simulation.in_step import run_in_step
from voiceblocks.testing.simulation.virtual_loop import VirtualLoop

Handler = Callable[[Notification], Awaitable[object]] | Callable[[Notification], object]
"Is given each notification, once checked; answers by asking the API."

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def host_of_handler(handler: Handler, access_token: str, now_s: Callable[[], float]) -> Host:
    """
    A function or coroutine function of a notification.

    A plain function may block and may use the blocking client: it runs in step with the loop.
    """

    async def answer(request: HttpRequest) -> HttpAnswer:
        told = receive_notification(request.body, request.headers, access_token, now_s=now_s())
        if _is_coroutine_function(handler):
            await handler(told)  # type: ignore[misc]
        else:
            await run_in_step(lambda: handler(told))
        return HttpAnswer(200)

    return answer


def host_of_asgi(app: ASGIApp) -> Host:
    """An ASGI application, such as FastAPI's or Starlette's; plain functions run in step, too."""
    _let_anyio_run_in_step()

    async def answer(request: HttpRequest) -> HttpAnswer:
        return await ask_asgi(app, request)

    return answer


def host_of_wsgi(app: WsgiApp) -> Host:
    """A WSGI application, such as Flask's; it runs in step with the loop."""

    async def answer(request: HttpRequest) -> HttpAnswer:
        return await run_in_step(lambda: _ask_wsgi(app, request))

    return answer


def _let_anyio_run_in_step() -> None:
    """
    Let what FastAPI and Starlette run in threads (`def` handlers) run in step on virtual loops.

    anyio's own threads would answer at some time of their own. On other loops nothing changes.
    """
    import anyio.to_thread

    original = anyio.to_thread.run_sync
    if getattr(original, "runs_in_step", False):
        return

    async def run_sync(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if isinstance(asyncio.get_running_loop(), VirtualLoop):
            return await run_in_step(lambda: func(*args))
        return await original(func, *args, **options)

    run_sync.runs_in_step = True  # type: ignore[attr-defined]
    anyio.to_thread.run_sync = run_sync  # type: ignore[assignment]


def _is_coroutine_function(handler: object) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - whether calling it gives a coroutine
    )


def _ask_wsgi(app: WsgiApp, request: HttpRequest) -> HttpAnswer:
    parts = urlsplit(request.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(parts.path, "latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "",
        "SERVER_PORT": str(parts.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    said: list[Any] = [500, []]

    def start_response(status: str, headers: list[tuple[str, str]], _info: object = None) -> None:
        said[:] = [int(status.split(maxsplit=1)[0]), headers]

    answered = app(environ, start_response)
    try:
        body = b"".join(answered)
    finally:
        close = getattr(answered, "close", None)
        if close is not None:
            close()
    return HttpAnswer(said[0], body, {name.title(): value for name, value in said[1]})
