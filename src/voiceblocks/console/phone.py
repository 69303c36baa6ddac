"""The phone in the browser: its page, and the WebSocket that carries a call.

The browser speaks first, in JSON: `{"token": …, "number": "+65…"}`; then in binary messages of
sound (`lines.Sound`), `{"press": "5"}` and `{"hang_up": true}`. It hears sound, and in JSON what
becomes of the call: `{"state": "ringing" | "answered" | "ended" | "refused", "why": …, "call": …}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from voiceblocks.console.forms import COOKIE, check_token, is_foreign
from voiceblocks.console.handlers import ConsoleHandlers
from voiceblocks.console.lines import (
    SAMPLE_BYTES,
    SAMPLES_PER_S,
    SOUND_MAX_BYTES,
    Line,
    Over,
    PickedUp,
    Ringing,
    Sound,
)
from voiceblocks.console.rendering import page
from voiceblocks.errors import RequestRefused
from voiceblocks.workflows.call_own_numbers import NUMBERS_MOST, OwnNumber
from voiceblocks.workflows.sign_in import Visitor

FIRST_WORD_S: Final = 10.0
LOOK_AGAIN_S: Final = 5.0
"How soon somebody who was signed out or disabled is off the phone."

_OVER: Final = 1000
_REFUSED: Final = 1008

_SIGNED_OUT: Final = "You are signed out: sign in and call again."
_NONSENSE: Final = "That is not what this page's phone sends: load the page again."
_TOO_MUCH: Final = "More sound came than a phone can say: load the page again."

_NOT_ANSWERED: Final = {
    404: "Nobody has this number any more.",
    480: "The application did not answer in time.",
    486: (
        "The account has as many calls as it may have at a time. Hang one up, or ask the operator "
        "for more."
    ),
    487: "You hung up before it was answered.",
    503: "This server takes no more calls now: it is full, or about to stop.",
    603: (
        "The call was refused: by the application, for want of credit, or since the account is on "
        "trial and has no registered number."
    ),
}
_FAILED: Final = (
    "The call did not come about: the server's own phone port did not answer. Look at the page of "
    "the server's health, and call again."
)


class _Begin(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    number: str


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    press: str = ""
    hang_up: bool = False


class BrowserPhone:
    """
    The page and its calls.

    Args:
        handlers: Numbers, lines and stories.
    """

    def __init__(self, handlers: ConsoleHandlers) -> None:
        self._handlers = handlers
        self._numbers = handlers.own_numbers
        self._claimed: set[str] = set()
        "Sessions of lines that are open: which call is whose."

    async def page(self, request: Request, visitor: Visitor) -> Response:
        """Show the phone, with the call that is made or was made."""
        numbers = await self._numbers.numbers(visitor.user)
        named = request.query_params.get("call", "")
        story = await self._handlers.show.story(visitor.user, named) if named else None
        return page(
            "phone.html",
            visitor,
            numbers=numbers,
            has_more=len(numbers) >= NUMBERS_MOST,
            wanted=request.query_params.get("to", "")[:32],
            story=story,
            api_url=self._handlers.public_url(),
            keys="123456789*0#",
        )

    async def line(self, socket: WebSocket) -> None:
        """Serve one call."""
        if is_foreign(socket) or "origin" not in socket.headers:
            # Before it is accepted: the handshake is answered with 403.
            await socket.close()
            return
        await socket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            try:
                visitor = await self._visitor(socket)
                called = await self._whom(socket, visitor)
                line = self._handlers.lines.open(called.number, called.caller)
            except RequestRefused as refused:
                await _end(socket, str(refused))
                return
            await self._talk(socket, line, called)

    async def _visitor(self, socket: WebSocket) -> Visitor:
        visitor = await self._handlers.sign_in.visitor(socket.cookies.get(COOKIE, ""))
        if visitor is None:
            raise RequestRefused(_SIGNED_OUT)
        return visitor

    async def _whom(self, socket: WebSocket, visitor: Visitor) -> OwnNumber:
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                message = await _receive(socket)
            begin = msgspec.json.decode(message.get("text") or "", type=_Begin)
        except (TimeoutError, msgspec.MsgspecError) as error:
            raise RequestRefused(_NONSENSE) from error
        check_token({"token": begin.token}, visitor.form_token)
        return await self._numbers.own_number(visitor.user, begin.number.strip())

    async def _talk(self, socket: WebSocket, line: Line, called: OwnNumber) -> None:
        tasks = [
            asyncio.create_task(self._hear(socket, line, called)),
            asyncio.create_task(_speak(socket, line)),
            asyncio.create_task(self._stays_signed_in(socket)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            line.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        why = [task.result() for task in done]
        if why[0] is not None:
            await _end(socket, why[0])

    async def _hear(self, socket: WebSocket, line: Line, called: OwnNumber) -> None:
        """Pass on what is heard, until the call is over."""
        since_us, session = self._numbers.now_us(), None
        try:
            while True:
                match await line.next():
                    case Sound() as sound:
                        await socket.send_bytes(sound.pcm)
                    case Ringing():
                        session = await self._claim(called, since_us)
                        await socket.send_json({"state": "ringing", "call": session})
                    case PickedUp():
                        await socket.send_json({"state": "answered"})
                    case Over(status=status):
                        await socket.send_json({"state": "ended", "why": _why(status)})
                        await socket.close(_OVER)
                        return
        finally:
            self._claimed.discard(session or "")

    async def _claim(self, called: OwnNumber, since_us: int) -> str | None:
        for session in await self._numbers.sessions_of(called, since_us):
            if session not in self._claimed:
                self._claimed.add(session)
                return session
        return None

    async def _stays_signed_in(self, socket: WebSocket) -> str:
        try:
            while True:
                await asyncio.sleep(LOOK_AGAIN_S)
                await self._visitor(socket)
        except RequestRefused as refused:
            return str(refused)


async def _speak(socket: WebSocket, line: Line) -> str | None:
    """Pass on what is said; returns what was wrong with it, or `None` when the browser is gone."""
    allowance = _Allowance()
    while True:
        try:
            message = await _receive(socket)
        except WebSocketDisconnect:
            return None
        pcm = message.get("bytes")
        if not allowance.covers(len(pcm) if pcm else SOUND_MAX_BYTES):
            return _TOO_MUCH
        if pcm is not None:
            if len(pcm) > SOUND_MAX_BYTES or len(pcm) % SAMPLE_BYTES:
                return _NONSENSE
            line.speak(pcm)
            continue
        try:
            said = msgspec.json.decode(message.get("text") or "", type=_Said)
        except msgspec.MsgspecError:
            return _NONSENSE
        if said.hang_up:
            line.hang_up()
        elif len(said.press) == 1 and said.press in "0123456789*#":
            line.press(said.press)
        else:
            return _NONSENSE


class _Allowance:
    """Somewhat more than the sound of the time that has passed: clocks differ, networks stutter."""

    RATE: Final = 1.25 * SAMPLES_PER_S * SAMPLE_BYTES
    MOST: Final = 5.0 * SAMPLES_PER_S * SAMPLE_BYTES

    def __init__(self) -> None:
        self._left, self._at = self.MOST, time.monotonic()

    def covers(self, size: int) -> bool:
        """Take so many bytes, if there are as many."""
        now = time.monotonic()
        self._left = min(self.MOST, self._left + (now - self._at) * self.RATE) - size
        self._at = now
        return self._left >= 0


async def _receive(socket: WebSocket) -> dict[str, Any]:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or _OVER)
    return dict(message)


async def _end(socket: WebSocket, why: str) -> None:
    await socket.send_json({"state": "refused", "why": why})
    await socket.close(_REFUSED)


def _why(status: int | None) -> str:
    if status is None:
        return "The call is over."
    return _NOT_ANSWERED.get(status, _FAILED)
