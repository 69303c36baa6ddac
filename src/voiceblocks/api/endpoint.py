"""`/open/…`: the order of checks, and answers that are always HTTP 200 and JSON.

Old clients throw away what comes with another status, or hang (spec section 15.1).
The order is the one in which the original's pages print the statuses: method, bytes,
missing credentials, token, application, rate limit; then what the API itself checks.

A path without an API is `error_service_not_available`, also with HTTP 200: old
libraries know that word. Empty path segments are ignored, since some clients join
base and path with one slash too many.
"""

from __future__ import annotations

import json
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from starlette.types import Receive, Scope, Send

from voiceblocks.accounts.model import Application
from voiceblocks.api.access_log import annotate
from voiceblocks.api.form import ClientLeft, UnreadBody, discard_body, read_fields
from voiceblocks.api.handlers import BlockSubmitter, RateLimiter
from voiceblocks.api.metrics import ApiMetrics
from voiceblocks.api.statuses import INTERNAL_ERROR, SUCCESS, status_of
from voiceblocks.blocks.fields import Fields
from voiceblocks.errors import InvalidRequest
from voiceblocks.log import get_logger
from voiceblocks.speech.asked_by import ASKED_BY
from voiceblocks.stories.asked import PROMPTS
from voiceblocks.stories.interfaces import UNHEARD, RequestListener
from voiceblocks.stories.model import PromptMade

ApiFunction: TypeAlias = Callable[[Application, Fields], Awaitable[Mapping[str, Any]]]
"""One API behind its credentials. Returns what the answer holds beside `status`; every
exception becomes a status by `statuses.status_of`."""

_METHODS: Final = frozenset({"GET", "POST"})
_UNKNOWN_API: Final = "unknown"

_OUR_ID = re.compile(r"(?:AA-)?[SC]-[A-Za-z0-9]{1,16}-[a-z0-9]{8,32}")


class _Asked:
    """A request, as far as its call's story tells of it."""

    __slots__ = ("app_id", "fields", "prompts")

    def __init__(self) -> None:
        self.app_id = ""
        "Empty until it is known who asks."
        self.fields = Fields()
        self.prompts: list[PromptMade] = []

    def calls(self, answer: Mapping[str, Any]) -> list[str]:
        """The calls that it names, or that came of it."""
        named = [self.fields.get("session"), self.fields.get("txn_ref")]
        named += [answer.get("session") or answer.get("txn_ref"), *answer.get("txn_refs", ())]
        return [call for call in named if call]


class OpenEndpoint:
    """
    The ASGI application below `/open`.

    Args:
        functions: APIs by their path below `/open/`.
        submitter: Knows the applications.
        rate_limiter: Asked once for each authenticated request.
        metrics: Told of every answer.
        story: Told of every answer to an application.
    """

    def __init__(
        self,
        functions: Mapping[str, ApiFunction],
        *,
        submitter: BlockSubmitter,
        rate_limiter: RateLimiter,
        metrics: ApiMetrics,
        story: RequestListener = UNHEARD,
    ) -> None:
        self._functions = functions
        self._submitter = submitter
        self._rate_limiter = rate_limiter
        self._metrics = metrics
        self._story = story
        self._log = get_logger("api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started_s = time.perf_counter()
        path = _api_path(scope["path"])
        api = path if path in self._functions else _UNKNOWN_API
        keep_alive = True
        asked = _Asked()
        PROMPTS.set(asked.prompts)
        try:
            answer = {"status": SUCCESS, **await self._answer(api, scope, receive, asked)}
        except ClientLeft:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            keep_alive = not isinstance(error, UnreadBody)
            answer = {"status": (status := status_of(error))}
            if status == INTERNAL_ERROR:
                self._log.error("request_failed", api=api, traceback=_without_values(error))
        annotate(scope, api_status=answer["status"])
        duration_s = time.perf_counter() - started_s
        self._metrics.note(api, answer["status"], duration_s)
        if asked.app_id and (calls := asked.calls(answer)):
            self._story.note_request(
                asked.app_id,
                calls,
                api=api,
                status=answer["status"],
                duration_s=duration_s,
                prompts=asked.prompts,
            )
        await _send_json(send, answer, keep_alive=keep_alive)

    async def _answer(
        self, api: str, scope: Scope, receive: Receive, asked: _Asked
    ) -> Mapping[str, Any]:
        if scope["method"] not in _METHODS:
            await _discard(scope, receive)
            raise InvalidRequest("error_invalid_http_method")
        fields = await read_fields(scope, receive)
        annotate(scope, **_calls_named(fields))
        function = self._functions.get(api)
        if function is None:
            raise InvalidRequest("error_service_not_available")
        app_id = fields.required("app_id")
        access_token = fields.required("access_token")
        app = await self._submitter.authenticate(app_id, access_token)
        self._rate_limiter.count(app.id, api)
        ASKED_BY.set(app.account_id)
        asked.app_id, asked.fields = app.id, fields
        return await function(app, fields)


def _calls_named(fields: Fields) -> dict[str, str]:
    """By what the log finds a call's requests: what looks like our ids, and nothing else."""
    named = {name: fields.get(name) or "" for name in ("session", "txn_ref")}
    return {name: value for name, value in named.items() if _OUR_ID.fullmatch(value)}


def _api_path(path: str) -> str:
    segments = [segment for segment in path.split("/") if segment]
    return "/".join(segments[1:])


async def _discard(scope: Scope, receive: Receive) -> None:
    try:
        await discard_body(scope, receive)
    except UnreadBody:
        raise UnreadBody("error_invalid_http_method") from None
    except InvalidRequest:
        # Its size does not matter any more.
        return


def _without_values(error: BaseException) -> str:
    """
    Where an exception came from, and through which others, without their texts.

    A database's or a library's text quotes parameters: tokens, numbers, messages.
    """
    stages: list[str] = []
    current: BaseException | None = error
    while current is not None and len(stages) < 10:
        frames = "".join(traceback.format_tb(current.__traceback__))
        stages.append(f"{type(current).__module__}.{type(current).__qualname__}\n{frames}")
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return "caused by\n".join(stages)


async def _send_json(send: Send, answer: Mapping[str, Any], *, keep_alive: bool) -> None:
    # ASCII, since one client evaluates it as JavaScript.
    body = json.dumps(answer).encode("ascii")
    headers = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if not keep_alive:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
