"""The WebSocket of the console's phone: who gets a line, what ends it, and the sound on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

from tests.functional.calls import decode
from tests.harness import Application, ServerProcess
from voiceblocks.testing.speakers import LEVEL_DBFS, voice, who_is_heard

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASSWORD = "correct horse battery"
LIMIT_S = 15.0
PIECE = 320


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """One with two lines, and a public address that is none of this machine."""
    settings = {
        "BROWSER_CALLS": "2",
        "MEDIA_ADDRESS": "203.0.113.5",
        "SIP_PUBLIC_ADDRESS": "203.0.113.5",
    }
    running = await ServerProcess(tmp_path_factory.mktemp("server"), settings).start()
    yield running
    assert await running.stop() == 0


@pytest_asyncio.fixture(loop_scope="module")
async def browser(server: ServerProcess) -> AsyncIterator[Browser]:
    """A browser; its calls end with the test."""
    made = Browser(server)
    yield made
    await made.http.close()


class Browser:
    """A browser that is signed in, as far as the server can tell."""

    def __init__(self, server: ServerProcess) -> None:
        self.base = f"http://{server.admin}/console"
        self._server = server
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self.token = ""

    async def sign_in(self, name: str, **role: str | bool) -> Browser:
        """Make a user and follow their link."""
        made = await self._server.cli("user", "add", name, **role)
        fields = {
            "link": made["url"].partition("link=")[2],
            "password": PASSWORD,
            "again": PASSWORD,
        }
        async with self.http.post(f"{self.base}/welcome", data=fields) as reply:
            found = re.search(r'name="token" value="([0-9a-f]{64})"', await reply.text())
        assert found is not None
        self.token = found[1]
        return self

    async def open(self, origin: str | None = None) -> aiohttp.ClientWebSocketResponse:
        """Open the line's WebSocket, from our own page unless told."""
        origin = origin or f"http://{self._server.admin}"
        return await self.http.ws_connect(f"{self.base}/phone/line", origin=origin)

    async def call(self, number: str) -> aiohttp.ClientWebSocketResponse:
        """Call; returns at once."""
        socket = await self.open()
        await socket.send_json({"token": self.token, "number": number})
        return socket


async def told(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next that is no sound."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                found: dict[str, Any] = json.loads(message.data)
                return found
            assert message.type is aiohttp.WSMsgType.BINARY, message


async def refused(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The sentence with which it is refused and closed."""
    answer = await told(socket)
    assert answer["state"] == "refused", answer
    closed = await socket.receive(LIMIT_S)
    assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)
    return str(answer["why"])


async def test_who_gets_no_line(server: ServerProcess) -> None:
    """
    Another site's page, nobody, another account's user, nonsense: no call, and a sentence why.

    The public port has no WebSockets at all.
    """
    async with Application(server) as app, Application(server) as other:
        mine = await Browser(server).sign_in("mine", account=app.account_id)
        for origin in ("http://evil.example", "null", "http://["):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await mine.open(origin)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await mine.http.ws_connect(f"{mine.base}/phone/line")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await mine.http.ws_connect(f"http://{server.http}/console/phone/line")
        nobody = Browser(server)
        assert "signed out" in await refused(await nobody.open())

        assert "not one of yours" in await refused(await mine.call(other.number))
        assert "not one of yours" in await refused(await mine.call("+6599999999"))
        nonsense: list[str | bytes] = [
            "", "{}", "[1]", '{"token": 1}', "\0", b"\0\0", '{"token": "", "number": "", "x": 1}',
        ]  # fmt: skip
        for said in nonsense:
            socket = await mine.open()
            await (socket.send_str(said) if isinstance(said, str) else socket.send_bytes(said))
            assert "load the page again" in await refused(socket)
        socket = await mine.open()
        await socket.send_json({"token": "0" * 64, "number": app.number})
        assert "open for too long" in await refused(socket)
        socket = await mine.open()
        await socket.send_str(" " * 5000)
        closed = await socket.receive(LIMIT_S)
        assert closed.data == 1009
        assert "browser_phone" not in server.pids()
        for browser in (mine, nobody):
            await browser.http.close()


async def test_sound_in_fits_and_starts_is_recorded_in_even_time(
    server: ServerProcess, browser: Browser
) -> None:
    """
    A voice that comes in heaps of 80 ms, out of step with time, is one passage in the recording.

    The caller is the account's registered number where it has one. A phone whose process dies
    ends the call, and the page is told.
    """
    async with Application(server) as app:
        await server.cli("account", "set", app.account_id, registered_number="+6591234567")
        await browser.sign_in("talker", account=app.account_id)
        socket = await browser.call(app.number)
        ringing = await told(socket)
        answer = await app.told(ivr_block="answer")
        assert ringing == {"state": "ringing", "call": answer.body["session"]}
        assert answer.body["from"] == "+6591234567"
        await app.record(answer.body["session"])
        assert (await told(socket))["state"] == "answered"
        heard = asyncio.ensure_future(_drain(socket))
        samples = np.concatenate(
            [np.zeros(8000, np.int16), voice(5, 2000), np.zeros(4160, np.int16)]
        )
        pieces = samples.reshape(-1, PIECE)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, piece in enumerate(pieces):
            if number % 2 == 0:
                late_s = 0.015 * (number // 2 % 3)
                # The browser's pace, and its heaps: when they come is the test.
                await asyncio.sleep(max(0.0, began + number * 0.04 + late_s - loop.time()))
            await socket.send_bytes(piece.astype("<i2").tobytes())
        await socket.send_json({"press": "#"})
        record = await app.told(ivr_block="record")
        (passage,) = who_is_heard(decode(await app.fetch(record.body["record_url"])))
        assert passage.speaker == 5
        assert abs(passage.lasts_ms - 2000) < 60
        assert abs(passage.level_dbfs - LEVEL_DBFS) < 0.5

        (pid,) = server.pids()["browser_phone"]
        os.kill(pid, signal.SIGKILL)
        last = await asyncio.wait_for(heard, LIMIT_S)
        assert last["state"] == "ended"


async def test_what_ends_a_call(server: ServerProcess, browser: Browser) -> None:
    """
    Too many, too much, hanging up while it rings, a browser that goes, a user who is disabled.

    Each call ends for its application, too, and no process is left.
    """
    async with Application(server) as app:
        await browser.sign_in("boss", operator=True)
        first, second = await browser.call(app.number), await browser.call(app.number)
        sessions = set()
        for socket in (first, second):
            sessions.add((await told(socket))["call"])
        assert len(sessions) == 2
        assert {(await app.told(ivr_block="answer")).body["session"] for _ in "12"} == sessions
        assert "BROWSER_CALLS" in await refused(await browser.call(app.number))

        await first.send_json({"hang_up": True})
        ended = await told(first)
        assert ended == {"state": "ended", "why": "You hung up before it was answered."}
        await app.told(call_state="ended")
        with contextlib.suppress(aiohttp.ClientConnectionResetError):  # Closed in the middle.
            for _ in range(200):
                await second.send_bytes(bytes(1280))
        assert "More sound" in await refused(second)
        await app.told(call_state="ended")

        third = await browser.call(app.number)
        await told(third)
        await third.send_bytes(b"\0\0\0")
        assert "load the page again" in await refused(third)
        fourth = await browser.call(app.number)
        await told(fourth)
        await browser.http.close()
        for _ in "34":
            await app.told(call_state="ended")

        disabled = await Browser(server).sign_in("leaver", account=app.account_id)
        fifth = await disabled.call(app.number)
        session = (await told(fifth))["call"]
        await app.record(session)
        assert (await told(fifth))["state"] == "answered"
        await server.cli("user", "disable", "leaver")
        assert "signed out" in await refused(fifth)
        await app.told(ivr_block="record", call_state="ended")
        await disabled.http.close()
        async with asyncio.timeout(LIMIT_S):
            while "browser_phone" in server.pids():  # noqa: ASYNC110 (another process's end)
                await asyncio.sleep(0.05)


async def _drain(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Hear all there is; return what is said at the end."""
    while True:
        found = await told(socket)
        if found["state"] == "ended":
            return found
