"""A real web server for tests: it receives notifications, and answers as it is told.

```
async with WebhookSink() as sink:
    sink.script(503, Hang(), 200)          # answers, in order; then always 200
    ...                                    # give `sink.url` as notify_url
    notification = await sink.next(5, ivr_block="record")
    assert notification.body["record_status"] == "success"
```
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from aiohttp import web

from voiceblocks.webhook_signatures import HOIIO_HEADER as HEADER
from voiceblocks.webhook_signatures import hoiio_holds as verifies


@dataclass(frozen=True, slots=True)
class ReceivedNotification:
    """One request that reached the sink."""

    method: str
    path: str
    query: dict[str, str]
    "Parameters of the URL; of two with one name the last, as PHP reads them."
    body: dict[str, str]
    "Parameters of the body, read in the same way."
    headers: dict[str, str]
    "Names in lower case."
    raw_body: bytes
    raw_query: str
    at_s: float
    "The loop's time of arrival."

    @property
    def event_id(self) -> str:
        """The same for all attempts of one notification."""
        return self.headers.get("x-voiceblocks-event", "")

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return int(self.headers.get("x-voiceblocks-attempt", "0"))

    def verify_signature(self, access_token: str) -> bool:
        """Whether it was signed with this token, over exactly this body."""
        return verifies(self.raw_body, access_token, self.headers.get(HEADER.lower(), ""))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with more than a status."""

    status: int = 200
    text: str = ""
    location: str | None = None
    "Where a redirect leads."
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the sink closes or the sender goes away."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is closed without an answer."""


Step = int | Reply | Hang | Drop
"What is done with one request; a number is a status."

OnNotification = Callable[[ReceivedNotification], Awaitable[None]]
"Runs inside the handler, before its answer: where applications send their next block."


class WebhookSink:
    """
    Receives notifications on a free port of the loopback address.

    Belongs to the loop in which it is started. Use it as an async context manager, or call
    `start` and `stop`.

    Args:
        on_notification: Called with each request before it is answered; what it raises
            becomes an answer of 500, as in a real application.
    """

    def __init__(self, on_notification: OnNotification | None = None) -> None:
        self.on_notification = on_notification
        self.received: list[ReceivedNotification] = []
        self.errors: list[BaseException] = []
        "What `on_notification` raised: a test should look."
        self._unread: list[ReceivedNotification] = []
        self._steps: deque[Step] = deque()
        self._always: Step = 200
        self._arrived = asyncio.Condition()
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """A notify_url, such as `http://127.0.0.1:40123/notify`."""
        return f"http://127.0.0.1:{self._port}/notify"

    @property
    def port(self) -> int:
        """The port that it listens on; kept when it is stopped and started again."""
        return self._port

    async def start(self) -> None:
        """Begin to listen; after a `stop` on the same port."""
        self._closing.clear()
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._receive)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections from now on; hanging requests are dropped."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    def script(self, *steps: Step, then: Step = 200) -> None:
        """Answer the next requests with `steps` in order, and all after them with `then`."""
        self._steps = deque(steps)
        self._always = then

    async def next(self, timeout_s: float, **match: str) -> ReceivedNotification:
        """
        Return the oldest notification that was not returned before and matches.

        Args:
            timeout_s: How long to wait for one.
            match: Parameters of the body and their values, such as `ivr_block="record"`;
                for a name that is no identifier use `**{...}`.

        Raises:
            TimeoutError: If none came; its text says which did.
        """

        def find() -> ReceivedNotification | None:
            for candidate in self._unread:
                if all(candidate.body.get(name) == value for name, value in match.items()):
                    return candidate
            return None

        try:
            async with asyncio.timeout(timeout_s), self._arrived:
                await self._arrived.wait_for(lambda: find() is not None)
        except TimeoutError:
            came = [
                f"{one.body.get('ivr_block', '?')} {one.body.get('call_state', '')}".strip()
                for one in self.received
            ]
            raise TimeoutError(
                f"no notification with {match} within {timeout_s} s; received: {came}"
            ) from None
        found = find()
        assert found is not None
        self._unread.remove(found)
        return found

    async def _receive(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        notification = ReceivedNotification(
            method=request.method,
            path=request.path,
            query=_read_form(request.rel_url.raw_query_string),
            body=_read_form(raw.decode("utf-8", "replace")),
            headers={name.lower(): value for name, value in request.headers.items()},
            raw_body=raw,
            raw_query=request.rel_url.raw_query_string,
            at_s=asyncio.get_running_loop().time(),
        )
        step = self._steps.popleft() if self._steps else self._always
        async with self._arrived:
            self.received.append(notification)
            self._unread.append(notification)
            self._arrived.notify_all()
        if self.on_notification is not None:
            try:
                await self.on_notification(notification)
            except Exception as error:  # noqa: BLE001 - an application that fails answers 500
                self.errors.append(error)
                return web.Response(status=500)
        return await self._answer(request, step)

    async def _answer(self, request: web.Request, step: Step) -> web.StreamResponse:
        if isinstance(step, Hang):
            await self._closing.wait()
        if isinstance(step, Hang | Drop):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        reply = Reply(status=step) if isinstance(step, int) else step
        if reply.delay_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), reply.delay_s)
        headers = {} if reply.location is None else {"Location": reply.location}
        return web.Response(status=reply.status, text=reply.text, headers=headers)


def _read_form(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))
