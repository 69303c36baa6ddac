"""HTTP without connections: requests of the node go to applications in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp

from voiceblocks.adapters.address_guard import (
    AnswerRefused,
    ConnectFailed,
    NameNotResolved,
    TimedOut,
    read_target,
)
from voiceblocks.adapters.guarded_http import ANSWER_START_BYTES, Answer, GuardedHttp

ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a host in this process is asked."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What it answers."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] | None = None


Host = Callable[[HttpRequest], Awaitable[HttpAnswer]]
"Answers requests; what it raises is a connection that breaks off."


class InProcessHttp(GuardedHttp):
    """
    `GuardedHttp` whose hosts are functions. Redirects are not followed.

    `hosts` by name, in lower case; other names do not resolve.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.hosts: dict[str, Host] = {}
        self._now_s = now_s

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Answer:
        """See `GuardedHttp.post`."""
        begun_s = self._now_s()
        answer = await self._ask(HttpRequest("POST", url, headers, body), timeout_s)
        latency_ms = round((self._now_s() - begun_s) * 1000)
        return Answer(answer.status, answer.body[:ANSWER_START_BYTES], latency_ms)

    @contextlib.asynccontextmanager
    async def get(
        self, url: str, headers: Mapping[str, str], timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """See `GuardedHttp.get`."""
        answer = await self._ask(HttpRequest("GET", url, headers, b""), timeout_s)
        yield cast("aiohttp.ClientResponse", _Response(answer))

    async def check_connection(self, url: str, timeout_s: float) -> None:
        """See `GuardedHttp.check_connection`."""
        self._host_of(url)

    async def close(self) -> None:
        """There is nothing to close."""

    def _host_of(self, url: str) -> Host:
        read_target(url)
        host = self.hosts.get((urlsplit(url).hostname or "").lower())
        if host is None:
            raise NameNotResolved("no such host in this simulation")
        return host

    async def _ask(self, request: HttpRequest, timeout_s: float) -> HttpAnswer:
        host = self._host_of(request.url)
        try:
            async with asyncio.timeout(timeout_s):
                return await host(request)
        except TimeoutError as error:
            raise TimedOut("no answer in time") from error
        except ConnectFailed:
            raise
        except Exception as error:
            raise AnswerRefused("the application broke off") from error


class _Response:
    """What downloads use of an aiohttp response."""

    def __init__(self, answer: HttpAnswer) -> None:
        self.status = answer.status
        self.headers = dict(answer.headers or {})
        self.content_length = len(answer.body)
        self.content = self
        self._body = answer.body

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """The body in pieces."""
        for at in range(0, len(self._body), size):
            yield self._body[at : at + size]


async def ask_asgi(app: ASGIApp, request: HttpRequest) -> HttpAnswer:
    """One request to an ASGI application."""
    parts = urlsplit(request.url)
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in request.headers.items()
    ]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": parts.scheme,
        "path": parts.path or "/",
        "raw_path": parts.path.encode("ascii"),
        "query_string": parts.query.encode("ascii"),
        "root_path": "",
        "headers": [(b"host", parts.netloc.encode("ascii")), *headers],
        "client": ("127.0.0.1", 1),
        "server": (parts.hostname, parts.port or 80),
        "state": {},
    }
    given = False
    done = asyncio.Event()
    status, answered = 500, dict[str, str]()
    pieces: list[bytes] = []

    async def receive() -> dict[str, Any]:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": request.body, "more_body": False}
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = int(message["status"])
            for name, value in message.get("headers", ()):
                answered[bytes(name).decode("latin-1").title()] = bytes(value).decode("latin-1")
        elif message["type"] == "http.response.body":
            pieces.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                done.set()

    await app(scope, receive, send)
    return HttpAnswer(status, b"".join(pieces), answered)
