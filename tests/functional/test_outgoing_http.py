"""What a server fetches and posts to, by its API: guarded, checked first, ours from the store.

The server may reach 127.0.0.1 alone, asks the test's own name server, and hands out links
under a PUBLIC_URL that leads nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import pytest
import pytest_asyncio

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
