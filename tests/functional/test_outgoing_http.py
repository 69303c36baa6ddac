"""What a server fetches and posts to, by its API: guarded, checked first, ours from the store.

The server may reach 127.0.0.1 alone, asks the test's own name server, and hands out links
under a PUBLIC_URL that leads nowhere.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import pytest
import pytest_asyncio
import soundfile
from aiohttp import web

from tests.functional.calls import recording, ringing
from tests.harness import Application, ServerProcess
from tests.hostile_urls import PRIVATE, PUBLIC, URLS, ZONE, Bait, baits
from tests.unit.adapters.dns_server import DnsServer
from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import tone
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.webhook_sink import Reply
from voiceblocks.workflows.serve_recording import sign_link

pytestmark = pytest.mark.asyncio(loop_scope="session")

RECORD, PLAY = "ivr/middle/record", "ivr/middle/play"
PUBLIC_URL = "https://voice.example.invalid/vb"
TONE_HZ = 1300.0
DEST, OTHER_DEST = "+6567654321", "+6567654322"
ENDPOINTS: list[tuple[str, str, dict[str, str]]] = [
    (PLAY, "notify_url", {}),
    ("ivr/middle/gather", "notify_url", {}),
    (RECORD, "notify_url", {}),
    ("ivr/middle/monitor", "notify_url", {}),
    ("ivr/middle/monitor", "monitor_notify_url", {}),
    ("ivr/middle/unhold", "notify_url", {}),
    ("ivr/end/transfer", "notify_url", {"dest": DEST}),
    ("ivr/end/hangup", "notify_url", {}),
    ("ivr/start/dial", "notify_url", {"dest": DEST}),
    ("voice/call", "notify_url", {"dest1": DEST, "dest2": OTHER_DEST}),
    ("voice/conference", "notify_url", {"dest": DEST}),
    ("conference/call", "notify_url", {"dest": DEST}),
]


@dataclass
class World:
    """A server and what is around it."""

    server: ServerProcess
    names: DnsServer
    bait: Bait


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """The world of these tests."""
    async with DnsServer(dict(ZONE)) as names, baits() as bait:
        settings = {
            "ALLOW_PRIVATE_TARGETS": f"{PUBLIC}/32",
            "NAME_SERVERS": f"127.0.0.1:{names.port}",
            "PUBLIC_URL": PUBLIC_URL,
        }
        server = await ServerProcess(tmp_path_factory.mktemp("guarded"), settings).start()
        yield World(server, names, bait)
        assert await server.stop() == 0


@pytest_asyncio.fixture(loop_scope="session")
async def app(world: World) -> AsyncIterator[Application]:
    """An application of that server."""
    async with Application(world.server) as application:
        yield application


async def status(app: Application, path: str, **parameters: str) -> str:
    """The status of a request."""
    answer = await app.request(path, **parameters)
    return str(answer["status"])


async def test_no_hostile_address_is_reached(world: World, app: Application, phone: Phone) -> None:
    """
    The whole table as `<url>`, behind a redirect, and as notify_url: refused, and nobody came.

        application          server                 127.0.0.1           private address
          |-- <url>row ------->|                      |                        |
          |<- ..._invalid_url -|                      |                        |
          |-- <url>hop ------->|-- GET -------------->|                        |
          |                    |<- 302 to the row ----|                        |
          |<- ..._invalid_url -|                      |          (nothing)     |
    """
    _call, session = await ringing(app, phone)
    for row in URLS:
        url = world.bait.url(row)
        msg = f"<url>{escape(url)}</url>"
        assert await app.block(PLAY, session, msg=msg) == "error_msg_invalid_url", row
        app.sink.script(Reply(302, location=url))
        msg = f"<url>{app.url('/hop.mp3')}</url>"
        assert await app.block(PLAY, session, msg=msg) == "error_msg_invalid_url", row
        outcome = await app.block(PLAY, session, notify_url=url)
        assert outcome == "error_invalid_notify_url", row
    assert world.bait.reached == 0


async def test_a_redirected_notification_reaches_nothing_private(
    world: World, app: Application, phone: Phone
) -> None:
    """A 307 to a private address ends there; the call's next notifications come as ever."""
    call, session = await ringing(app, phone)
    app.sink.script(Reply(307, location=f"http://{PRIVATE}:{world.bait.port}/"))
    assert await app.block(PLAY, session, notify_url=app.url("/played")) == "success_ok"
    await call.answered()
    await app.told(ivr_block="play")
    assert await app.block("ivr/end/hangup", session, notify_url=app.url()) == "success_ok"
    await app.told(ivr_block="hangup")
    assert world.bait.reached == 0


@pytest.mark.parametrize(("path", "name", "others"), ENDPOINTS)
async def test_every_endpoint_checks_its_addresses(
    world: World, app: Application, path: str, name: str, others: dict[str, str], phone: Phone
) -> None:
    """Three statuses at each; what was found out once costs the next request nothing."""
    connections = 0

    async def not_tls(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    plain = await asyncio.start_server(not_tls, PUBLIC, 0)
    port = plain.sockets[0].getsockname()[1]
    asked_before = world.names.asked["nowhere.example.", "A"]
    _call, session = await ringing(app, phone)
    given = {"session": session, "notify_url": app.url(), **others}
    expected = {
        f"http://{PRIVATE}/": "error_invalid_notify_url",
        "http://nowhere.example/": "error_unable_to_resolve_notify_url",
        f"https://{PUBLIC}:{port}/": "error_unable_to_complete_ssl_handshake_notify_url",
    }
    for url, refusal in expected.items():
        for _ in range(2):
            assert await status(app, path, **{**given, name: url}) == refusal
    assert connections == 1
    assert world.names.asked["nowhere.example.", "A"] <= asked_before + 1
    plain.close()


async def a_recording(app: Application, phone: Phone) -> tuple[PhoneCall, str, str]:
    """A call that has recorded a second of a tone: call, session, link."""
    call, session = await recording(app, phone)
    await call.media.say(tone((TONE_HZ,), 1000, -12))
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    return call, session, told.body["record_url"]


def cached_files(server: ServerProcess) -> set[Path]:
    """Everything in the caches of prompts and downloads."""
    return {path for path in (server.data_dir / "cache").rglob("*") if path.is_file()}


async def test_our_own_recording_comes_from_the_store(
    world: World, app: Application, phone: Phone
) -> None:
    """
    Heard although its link leads nowhere; by the rules of its signature; gone when deleted.

    An expired link is good for its own account only, a changed one for nobody, and with the
    recording goes every cached form of it.
    """
    call, session, link = await a_recording(app, phone)
    assert link.startswith(f"{PUBLIC_URL}/recordings/")
    name = urlsplit(link).path.rpartition("/")[2]
    key = load_or_create(world.server.data_dir / "secret.key")
    expired = sign_link(key, PUBLIC_URL, name, expires_s=1_000_000_000)
    before = cached_files(world.server)

    async with Application(world.server) as stranger:
        _other_call, other_session = await ringing(stranger, phone)
        for url in (link + "x", expired):
            msg = f"<url>{escape(url)}</url>"
            refused = await stranger.block(PLAY, other_session, msg=msg)
            assert refused == "error_msg_download_failed"
        msg = f"<url>{escape(link)}</url>"
        assert await stranger.block(PLAY, other_session, msg=msg) == "success_ok"

    assert await app.block(PLAY, session, msg=f"<url>{escape(link)}x</url>") == (
        "error_msg_download_failed"
    )
    heard_before = len(call.media.audio())
    await app.play(session, f"<url>{escape(expired)}</url>")
    await app.told(ivr_block="play")
    played = call.media.audio()[heard_before:]
    levels = [
        goertzel_level_dbfs(piece, TONE_HZ) - rms_dbfs(piece)
        for piece in (played[start : start + 800] for start in range(0, len(played) - 800, 800))
    ]
    assert sum(level > -3 for level in levels) >= 8
    assert cached_files(world.server) - before

    await world.server.cli("recordings", "delete", name.removesuffix(".mp3"))
    assert cached_files(world.server) - before == set()
    assert await app.block(PLAY, session, msg=f"<url>{escape(link)}</url>") == (
        "error_msg_download_failed"
    )


class Site:
    """A web server with one trouble for each path."""

    def __init__(self) -> None:
        self.base = ""
        self.hung = asyncio.Event()
        self.gate = asyncio.Event()

    def application(self) -> web.Application:
        """Its routes."""
        made = web.Application()
        made.add_routes(
            [
                web.get("/good.wav", self._good),
                web.get("/good.mp3", self._good),
                web.get("/hang.wav", self._hang),
                web.get("/hops/{n}/a.wav", self._hop),
                web.get("/status/{status}/a.wav", self._status),
                web.get("/huge.wav", self._huge),
                web.get("/endless.wav", self._endless),
                web.get("/packed.wav", self._packed),
                web.get("/broken.wav", self._broken),
                web.get("/text.{extension}", self._text),
                web.get("/empty.wav", self._empty),
            ]
        )
        return made

    async def _good(self, _request: web.Request) -> web.Response:
        return web.Response(body=_wav())

    async def _hang(self, _request: web.Request) -> web.Response:
        self.hung.set()
        await self.gate.wait()
        return web.Response(body=_wav())

    async def _hop(self, request: web.Request) -> web.Response:
        n = int(request.match_info["n"])
        location = "/good.wav" if n == 1 else f"/hops/{n - 1}/a.wav"
        return web.Response(status=302, headers={"Location": location})

    async def _status(self, request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]), body=_wav())

    async def _huge(self, _request: web.Request) -> web.Response:
        return web.Response(body=bytes(10 * 1024 * 1024 + 1))

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(11):
            await response.write(bytes(1024 * 1024))
        return response

    async def _packed(self, _request: web.Request) -> web.Response:
        return web.Response(body=_wav(), headers={"Content-Encoding": "gzip"})

    async def _broken(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(b"RIFF")
        assert request.transport is not None
        request.transport.close()
        return response

    async def _text(self, _request: web.Request) -> web.Response:
        return web.Response(text="this is no music")

    async def _empty(self, _request: web.Request) -> web.Response:
        return web.Response()


def _wav() -> bytes:
    held = io.BytesIO()
    soundfile.write(held, tone((TONE_HZ,), 200, -12), 8000, format="WAV")
    return held.getvalue()


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[Site]:
    """A running `Site`."""
    made = Site()
    runner = web.AppRunner(made.application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, PUBLIC, 0).start()
    made.base = f"http://{PUBLIC}:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


FETCHES = {
    "/good.ogg": "error_msg_invalid_file_format",
    "/good": "error_msg_invalid_file_format",
    "/good.mp3": "error_msg_invalid_file_format",
    "/text.mp3": "error_msg_invalid_file_format",
    "/text.wav": "error_msg_invalid_file_format",
    "/text.gsm": "error_msg_invalid_file_format",
    "/empty.wav": "error_msg_invalid_file_format",
    "/huge.wav": "error_msg_invalid_file_size",
    "/endless.wav": "error_msg_invalid_file_size",
    "/hops/4/a.wav": "error_msg_download_failed",
    "/status/206/a.wav": "error_msg_download_failed",
    "/status/304/a.wav": "error_msg_download_failed",
    "/status/403/a.wav": "error_msg_download_failed",
    "/status/404/a.wav": "error_msg_download_failed",
    "/status/503/a.wav": "error_msg_download_failed",
    "/packed.wav": "error_msg_download_failed",
    "/broken.wav": "error_msg_download_failed",
    "/hops/3/a.wav": "success_ok",
}


async def test_each_failure_of_a_file_has_its_status(
    app: Application, phone: Phone, site: Site
) -> None:
    """By a real web server; the good one, behind three redirects, comes last and is accepted."""
    _call, session = await ringing(app, phone)
    for path, expected in FETCHES.items():
        msg = f"<url>{site.base}{path}</url>"
        assert await app.block(PLAY, session, msg=msg) == expected, path


async def test_a_file_that_is_waited_for_delays_nobody(
    app: Application, phone: Phone, site: Site
) -> None:
    """While a server hangs, other requests of the application are answered."""
    _call, session = await ringing(app, phone)
    _other_call, other_session = await ringing(app, phone)
    msg = f"<url>{site.base}/hang.wav</url>"
    waiting = asyncio.ensure_future(app.block(PLAY, session, msg=msg))
    async with asyncio.timeout(10):
        await site.hung.wait()
        other = f"<url>{site.base}/good.wav</url>"
        assert await app.block(PLAY, other_session, msg=other) == "success_ok"
        assert not waiting.done()
        site.gate.set()
        assert await waiting == "success_ok"
