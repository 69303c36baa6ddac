"""Recordings on S3, whose server is not there, comes, hangs and comes back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.functional.calls import decode, length_ms, recording
from tests.harness import Application, ServerProcess
from tests.s3_server import BUCKET, Fault, FaultyWire, S3Server, clean_environment
from tests.sealing import samples_in, seal
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPLOAD_LIMIT_S = 30.0


@pytest_asyncio.fixture(loop_scope="session")
async def cloud(tmp_path: Path) -> AsyncIterator[S3Server]:
    """Not started yet."""
    server = S3Server(tmp_path / "s3.log")
    yield server
    await server.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def wire(cloud: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyWire]:
    """The way to it, which the environment of new servers names."""
    async with FaultyWire(cloud.port) as opened:
        for name in clean_environment():
            monkeypatch.delenv(name)
        for name, value in opened.environment().items():
            monkeypatch.setenv(name, value)
        yield opened


async def recorded(app: Application, phone: Phone, first_second: int) -> dict[str, Any]:
    """The notification of a recording of one second."""
    call, session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(first_second, 1))
    await call.media.press("#")
    told = await app.told(ivr_block="record", session=session)
    await app.hang_up(session)
    await call.ended()
    assert told.body["record_status"] == "success"
    return dict(told.body)


async def uploaded(server: ServerProcess, url: str) -> None:
    """Wait until the local copy has gone, which is the last step of an upload."""
    copy = server.data_dir / "recordings" / url.partition("?")[0].rpartition("/")[2]
    async with asyncio.timeout(UPLOAD_LIMIT_S):
        while copy.exists():  # noqa: ASYNC110 (another process deletes it)
            await asyncio.sleep(0.05)


@pytest.mark.timeout(120)
async def test_a_store_that_is_away_across_a_restart(
    data_dir: Path, cloud: S3Server, wire: FaultyWire, phone: Phone
) -> None:
    """
    Told at once, served all the time, uploaded when the store is there, the same bytes throughout.

    ```
    phone        voiceblocks             wire            S3
      |--INVITE, 1 s, '#'-->|               |             (not started)
      |          record: success, link      |
      |          GET link -> 200            |
      |          PUT ---------------------->x
      |          kill -9, started again     |
      |          PUT ---------------------->x
      |                                     |             started
      |          PUT ---------------------->|------------>|
      |          GET, compared <------------|-------------|
      |          local copy deleted         |             |
      |          GET link -> 200 <----------|-------------|
    ```
    """
    server = ServerProcess(data_dir, settings={"RECORDINGS_URL": f"s3://{BUCKET}/of/node-1"})
    await server.start()
    async with Application(server) as app:
        told = await recorded(app, phone, 0)
        url = told["record_url"]
        audio = await app.fetch(url)
        assert length_ms(decode(audio)) == pytest.approx(1000, abs=60)
        async with asyncio.timeout(UPLOAD_LIMIT_S):
            await wire.came.wait()
        server.kill_all()
        await server.gone()
        wire.came.clear()
        await server.start()
        async with asyncio.timeout(UPLOAD_LIMIT_S):
            await wire.came.wait()
        assert await app.fetch(url) == audio
        (task,) = (await server.cli("recordings", "tasks"))["tasks"]
        assert (task["task"], task["recording"] in url) == ("upload", True)
        await cloud.start()
        await uploaded(server, url)
        assert await app.fetch(url) == audio
        async with app.http.get(url, headers={"Range": "bytes=100-299"}) as reply:
            assert (reply.status, await reply.read()) == (206, audio[100:300])
        assert (await server.cli("recordings", "tasks"))["tasks"] == []
        shown = await server.cli("recordings", "show", task["recording"])
        assert shown["sha256"] == hashlib.sha256(audio).hexdigest()
        assert shown["uploaded"] is not None
        # The store is away again: what is only there cannot be had, and says so.
        wire.fail(Fault.REFUSED)
        async with app.http.get(url) as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (503, "60")
        # But nothing else depends on it: not a new recording, not a deletion.
        second = await recorded(app, phone, 5)
        await app.fetch(second["record_url"])
        deleted = await server.cli("recordings", "delete", task["recording"])
        assert deleted["erased"] is False
        async with app.http.get(url) as reply:
            assert reply.status == 404
        wire.fail(Fault.NONE)
        await uploaded(server, second["record_url"])
        async with asyncio.timeout(UPLOAD_LIMIT_S):
            while (await server.cli("recordings", "tasks"))["tasks"]:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    await server.stop()


async def test_readers_are_sent_on_to_the_store(
    data_dir: Path, cloud: S3Server, wire: FaultyWire, phone: Phone, tmp_path: Path
) -> None:
    """LINK_REDIRECT_S: from here until it is uploaded, then 307 to a short-lived link there."""
    await cloud.start()
    wire.fail(Fault.REFUSED)
    settings = {"RECORDINGS_URL": f"s3://{BUCKET}", "LINK_REDIRECT_S": "60"}
    server = await ServerProcess(data_dir, settings=settings).start()
    async with Application(server) as app:
        url = (await recorded(app, phone, 0))["record_url"]
        async with app.http.get(url, allow_redirects=False) as reply:
            assert reply.status == 200
            audio = await reply.read()
        wire.fail(Fault.NONE)
        await uploaded(server, url)
        async with app.http.get(url, allow_redirects=False) as reply:
            assert reply.status == 307
            location = reply.headers["Location"]
        assert location.startswith(f"http://127.0.0.1:{wire.port}/{BUCKET}/rec-")
        assert "X-Amz-Expires=60" in location
        async with aiohttp.ClientSession() as stranger:
            async with stranger.get(location) as reply:
                assert await reply.read() == audio
            async with stranger.head(url, allow_redirects=True) as reply:
                assert reply.headers["Content-Length"] == str(len(audio))
        # A link for one use would be good for a minute there: it is served from here.
        name = url.partition("?")[0].rpartition("/")[2].removesuffix(".mp3")
        once = (await server.cli("recordings", "link", name, once=True))["url"]
        path = once.partition("/recordings/")[2]
        async with app.http.get(f"http://{server.http}/recordings/{path}") as reply:
            assert (reply.status, len(reply.history)) == (200, 0)
            assert await reply.read() == audio
        # A sealed one goes the same way, and comes back as it was sealed.
        await seal(app, tmp_path)
        sealed = (await recorded(app, phone, 7))["record_url"]
        await uploaded(server, sealed)
        heard = tone_code.decode_seconds(samples_in(await app.fetch(sealed)))
        assert [one.second_index for one in heard] == [7]
    await server.stop()
