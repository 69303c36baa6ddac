"""Send requests: one after another, or many at a time in an event loop.

Every method's parameters stand once, at the request that it makes (`requests_ivr`,
`requests_voice`, `requests_account`); here they become methods that send it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http.client import HTTPException
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import Request as HttpRequest
from urllib.request import build_opener

from voiceblocks.client import requests_account, requests_ivr, requests_recording, requests_voice
from voiceblocks.client.errors import RequestFailed
from voiceblocks.client.request import Request

if TYPE_CHECKING:
    import aiohttp

P = ParamSpec("P")
T = TypeVar("T")

Transport = Callable[[str, bytes], bytes]
"Sends a form to a URL and returns the answer's body; raises `RequestFailed` without one."
AsyncTransport = Callable[[str, bytes], Awaitable[bytes]]
"The same, awaited."

TIMEOUT_S = 60.0
"What the original's libraries wait; a block answers once its prompt is ready."
_FORM = "application/x-www-form-urlencoded"


class _Sends(Protocol):
    def send(self, request: Request[T]) -> T: ...


class _SendsLater(Protocol):
    def send(self, request: Request[T]) -> Awaitable[T]: ...


class _Api:
    def __init__(self, client: _Sends) -> None:
        self._client = client

    def send(self, request: Request[T]) -> T:
        """Send a request of this part of the API."""
        return self._client.send(request)


class _AsyncApi:
    def __init__(self, client: _SendsLater) -> None:
        self._client = client

    def send(self, request: Request[T]) -> Awaitable[T]:
        """Send a request of this part of the API."""
        return self._client.send(request)


def _now(make: Callable[P, Request[T]]) -> Callable[Concatenate[_Api, P], T]:
    def method(self: _Api, /, *args: P.args, **named: P.kwargs) -> T:
        return self.send(make(*args, **named))

    method.__doc__, method.__name__ = make.__doc__, make.__name__
    return method


def _later(make: Callable[P, Request[T]]) -> Callable[Concatenate[_AsyncApi, P], Awaitable[T]]:
    def method(self: _AsyncApi, /, *args: P.args, **named: P.kwargs) -> Awaitable[T]:
        return self.send(make(*args, **named))

    method.__doc__, method.__name__ = make.__doc__, make.__name__
    return method


class IvrApi(_Api):
    """The blocks."""

    dial = _now(requests_ivr.dial)
    play = _now(requests_ivr.play)
    gather = _now(requests_ivr.gather)
    record = _now(requests_ivr.record)
    monitor = _now(requests_ivr.monitor)
    hold = _now(requests_ivr.hold)
    unhold = _now(requests_ivr.unhold)
    transfer = _now(requests_ivr.transfer)
    hangup = _now(requests_ivr.hangup)


class AsyncIvrApi(_AsyncApi):
    """The blocks."""

    dial = _later(requests_ivr.dial)
    play = _later(requests_ivr.play)
    gather = _later(requests_ivr.gather)
    record = _later(requests_ivr.record)
    monitor = _later(requests_ivr.monitor)
    hold = _later(requests_ivr.hold)
    unhold = _later(requests_ivr.unhold)
    transfer = _later(requests_ivr.transfer)
    hangup = _later(requests_ivr.hangup)


class VoiceApi(_Api):
    """Calls without blocks, conferences, and questions about calls."""

    call = _now(requests_voice.call)
    conference = _now(requests_voice.conference)
    moderate = _now(requests_voice.moderate)
    hangup = _now(requests_voice.hangup)
    status = _now(requests_voice.status)
    history = _now(requests_voice.history)
    rate = _now(requests_voice.rate)


class AsyncVoiceApi(_AsyncApi):
    """Calls without blocks, conferences, and questions about calls."""

    call = _later(requests_voice.call)
    conference = _later(requests_voice.conference)
    moderate = _later(requests_voice.moderate)
    hangup = _later(requests_voice.hangup)
    status = _later(requests_voice.status)
    history = _later(requests_voice.history)
    rate = _later(requests_voice.rate)


class NumberApi(_Api):
    """The account's numbers."""

    available_countries = _now(requests_account.available_countries)
    available_numbers = _now(requests_account.available_numbers)
    rate = _now(requests_account.rate)
    subscribe = _now(requests_account.subscribe)
    update_forwarding = _now(requests_account.update_forwarding)
    subscribed_numbers = _now(requests_account.subscribed_numbers)


class AsyncNumberApi(_AsyncApi):
    """The account's numbers."""

    available_countries = _later(requests_account.available_countries)
    available_numbers = _later(requests_account.available_numbers)
    rate = _later(requests_account.rate)
    subscribe = _later(requests_account.subscribe)
    update_forwarding = _later(requests_account.update_forwarding)
    subscribed_numbers = _later(requests_account.subscribed_numbers)


class AccountApi(_Api):
    """The account."""

    balance = _now(requests_account.balance)
    info = _now(requests_account.info)


class AsyncAccountApi(_AsyncApi):
    """The account."""

    balance = _later(requests_account.balance)
    info = _later(requests_account.info)


class RecordingApi(_Api):
    """The application's recordings."""

    pause = _now(requests_recording.pause)
    resume = _now(requests_recording.resume)
    health = _now(requests_recording.health)
    link = _now(requests_recording.link)
    revoke = _now(requests_recording.revoke)
    delete = _now(requests_recording.delete)


class AsyncRecordingApi(_AsyncApi):
    """The application's recordings."""

    pause = _later(requests_recording.pause)
    resume = _later(requests_recording.resume)
    health = _later(requests_recording.health)
    link = _later(requests_recording.link)
    revoke = _later(requests_recording.revoke)
    delete = _later(requests_recording.delete)


class Client:
    """
    Sends requests and waits for their answers; threads may share it.

    Args:
        base_url: Of the API, such as `http://127.0.0.1:8080/open/`.
        app_id: The application.
        access_token: Its access token.
        timeout_s: For each step of a request.
        transport: Sends requests instead of a connection; `voiceblocks.testing` has one.

    Each method raises `ApiError` where the server refuses, and `RequestFailed` where there
    is no answer; nothing is sent twice, since a call might be placed twice.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        access_token: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: Transport | None = None,
    ) -> None:
        self._base_url = _checked(base_url)
        self._app_id = app_id
        self._access_token = access_token
        self._timeout_s = timeout_s
        self._transport = transport
        self._opener = build_opener()
        self.ivr = IvrApi(self)
        self.voice = VoiceApi(self)
        self.number = NumberApi(self)
        self.account = AccountApi(self)
        self.recording = RecordingApi(self)

    def send(self, request: Request[T]) -> T:
        """Send any request, also one that has no method."""
        if self._transport is not None:
            form = request.form(self._app_id, self._access_token)
            return request.answer(self._transport(self._base_url + request.path, form))
        http = HttpRequest(  # noqa: S310 - `_checked` lets no other scheme in
            self._base_url + request.path,
            data=request.form(self._app_id, self._access_token),
            headers={"Content-Type": _FORM},
        )
        try:
            with self._opener.open(http, timeout=self._timeout_s) as answer:
                body: bytes = answer.read()
        except (OSError, HTTPException) as error:
            raise RequestFailed(f"{request.path}: no answer ({error})") from error
        return request.answer(body)


class AsyncClient:
    """
    The same, for an event loop; connections are kept. An async context manager, or `close` it.

    Args:
        base_url: As for `Client`.
        app_id: The application.
        access_token: Its access token.
        timeout_s: For a whole request.
        transport: As for `Client`.
    """

    def __init__(
        self,
        base_url: str,
        app_id: str,
        access_token: str,
        *,
        timeout_s: float = TIMEOUT_S,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._base_url = _checked(base_url)
        self._app_id = app_id
        self._access_token = access_token
        self._timeout_s = timeout_s
        self._transport = transport
        self._session: aiohttp.ClientSession | None = None
        self.ivr = AsyncIvrApi(self)
        self.voice = AsyncVoiceApi(self)
        self.number = AsyncNumberApi(self)
        self.account = AsyncAccountApi(self)
        self.recording = AsyncRecordingApi(self)

    async def __aenter__(self) -> Self:
        """Nothing is opened before the first request."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def send(self, request: Request[T]) -> T:
        """Send any request, also one that has no method."""
        if self._transport is not None:
            form = request.form(self._app_id, self._access_token)
            return request.answer(await self._transport(self._base_url + request.path, form))
        # Here, so that who needs no event loop does not pay for it.
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            async with self._session.post(
                self._base_url + request.path,
                data=request.form(self._app_id, self._access_token),
                headers={"Content-Type": _FORM},
            ) as answer:
                body = await answer.read()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise RequestFailed(f"{request.path}: no answer ({error})") from error
        return request.answer(body)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _checked(base_url: str) -> str:
    if urlsplit(base_url).scheme not in ("http", "https"):
        raise ValueError(f"{base_url!r} is no address: write http://HOST:PORT/open/")
    return base_url.rstrip("/") + "/"
