"""The console: pages for people, on the operator's port. Every page but the doors is for visitors.

Server-rendered; a little script refreshes lists, draws the waveform and shows local times, and
everything works without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from voiceblocks.console.actions import Action, Actions, carry_out
from voiceblocks.console.doors import Doors
from voiceblocks.console.forms import COOKIE
from voiceblocks.console.handlers import ConsoleHandlers
from voiceblocks.console.pages import Pages
from voiceblocks.console.phone import BrowserPhone
from voiceblocks.console.rendering import SECURE, go_to, sorry
from voiceblocks.workflows.sign_in import SignIn, Visitor

_NOWHERE: Final = "There is no such page. A link may have been cut in two when it was copied."

PageFunction = Callable[[Request, Visitor], Awaitable[Response]]


def create_console(handlers: ConsoleHandlers) -> Starlette:
    """Return the application that is mounted at `/console`."""
    doors, pages = Doors(handlers.sign_in), Pages(handlers)
    actions, phone = Actions(handlers.act), BrowserPhone(handlers)

    def private(path: str, function: PageFunction) -> Route:
        return Route(path, _for_visitors(handlers.sign_in, function), methods=["GET"])

    def button(path: str, action: Action) -> Route:
        async def press(request: Request, visitor: Visitor) -> Response:
            return await carry_out(action, request, visitor, request.path_params["subject"])

        return Route(path, _for_visitors(handlers.sign_in, press), methods=["POST"])

    async def nowhere(request: Request) -> Response:
        visitor = await handlers.sign_in.visitor(request.cookies.get(COOKIE, ""))
        return sorry(visitor, HTTPStatus.NOT_FOUND, _NOWHERE)

    return Starlette(
        routes=[
            private("/", pages.home),
            private("/calls", pages.calls),
            private("/calls/{call}.pcap", pages.call_capture),
            private("/calls/{call}.json", pages.call_document),
            private("/calls/{call}", pages.call),
            private("/recordings", pages.recordings),
            private("/recordings/{recording}", pages.recording),
            private("/recordings/{recording}/audio", pages.audio),
            private("/notifications", pages.notifications),
            private("/notifications/{notification}", pages.notification),
            private("/account", pages.account),
            private("/phone", phone.page),
            WebSocketRoute("/phone/line", phone.line),
            private("/trunks", pages.trunks),
            private("/health", pages.health),
            button("/notifications/{subject}/resend", actions.resend),
            button("/recordings/{subject}/revoke", actions.revoke),
            button("/recordings/{subject}/delete", actions.delete),
            Route("/sign-in", doors.sign_in, methods=["GET", "POST"]),
            Route("/welcome", doors.welcome, methods=["GET", "POST"]),
            Route("/sign-out", doors.sign_out, methods=["POST"]),
            Mount("/static", _Static(directory=Path(__file__).parent / "static")),
            Route("/{path:path}", nowhere),
        ]
    )


def _for_visitors(sign_in: SignIn, function: PageFunction) -> Callable[..., Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        visitor = await sign_in.visitor(request.cookies.get(COOKIE, ""))
        if visitor is None:
            return go_to("/console/sign-in")
        return await function(request, visitor)

    return answer


class _Static(StaticFiles):
    """Our style and script, with the same headers as a page; they may be kept for an hour."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = {**SECURE, "cache-control": "private, max-age=3600"}
                extra = [(name.encode(), value.encode()) for name, value in headers.items()]
                message = {**message, "headers": [*message["headers"], *extra]}  # type: ignore[misc]
            await send(message)

        await super().__call__(scope, receive, secured)  # type: ignore[arg-type]
