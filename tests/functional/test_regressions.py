"""Faults that were found by reading, each shown by a real call before it was mended."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from aiohttp import web

from tests.functional.calls import recording, ringing, waiting_for_a_block
from tests.functional.raw_sip import RawCall, RawPeer
from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import CallNotAnswered, Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_CALL_S = 6


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server that waits a second for a block, and takes no call for long."""
    settings = {
        "ANSWER_TIMEOUT_S": "1",
        "IDLE_TIMEOUT_S": "1",
        "MAX_CALL_S": str(MAX_CALL_S),
    }
    running = await ServerProcess(tmp_path_factory.mktemp("hasty"), settings).start()
    yield running
    assert await running.stop() == 0


@pytest_asyncio.fixture(loop_scope="session")
async def slow_prompt(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of a sound file whose server takes 2.5 s to answer."""
    path = tmp_path_factory.mktemp("prompt") / "prompt.wav"
    soundfile.write(path, np.full(1600, 0.1), 8000)
    content = path.read_bytes()

    async def serve(_request: web.Request) -> web.Response:
        await asyncio.sleep(2.5)
        return web.Response(body=content)

    site = web.Application()
    site.add_routes([web.get("/{name}.wav", serve)])
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_ringing_caller_is_kept_while_the_prompt_is_fetched(
    hasty: ServerProcess, phone: Phone, slow_prompt: str
) -> None:
    """The application asked in time; its own slow file must not cost it the call."""
    async with Application(hasty) as app:
        call, session = await ringing(app, phone)
        msg = f"<url>{slow_prompt}/one.wav</url>"
        status = await app.block("ivr/middle/play", session, msg=msg, notify_url=app.url())
        assert status == "success_ok"
        await call.answered()
        await app.told(ivr_block="play", call_state="ongoing")


async def test_a_waiting_caller_is_kept_while_the_prompt_is_fetched(
    hasty: ServerProcess, phone: Phone, slow_prompt: str
) -> None:
    """The same between two blocks; a stranger's request holds nothing up."""
    async with Application(hasty) as app, Application(hasty) as stranger:
        call, session = await waiting_for_a_block(app, phone)
        msg = f"<url>{slow_prompt}/two.wav</url>"
        assert await app.block("ivr/middle/play", session, msg=msg, notify_url=app.url("/2")) == (
            "success_ok"
        )
        await app.told(ivr_block="play", call_state="ongoing")
        # Another application's request does not keep the call up: it ends by its idle time.
        status = await stranger.block("ivr/middle/play", session, msg=msg.replace("two", "three"))
        assert status == "error_session_access_denied"
        async with asyncio.timeout(1):
            await call.ended()


async def test_record_blocks_do_not_make_a_call_younger(hasty: ServerProcess, phone: Phone) -> None:
    """Each one's max_duration counts on top while it runs, but the call's age stays its age."""
    async with Application(hasty) as app:

        async def record_again(told: object) -> None:
            body = told.body  # type: ignore[attr-defined]
            if body["call_state"] != "ended":
                await app.block(
                    "ivr/middle/record", body["session"], max_duration="1", notify_url=app.url()
                )

        app.sink.on_notification = record_again
        began = time.monotonic()
        call = await phone.call(app.sip())
        await call.answered()
        async with asyncio.timeout(MAX_CALL_S + 10):
            await call.ended()
        assert MAX_CALL_S - 1 < time.monotonic() - began < MAX_CALL_S + 4
        await app.told(call_state="ended")


async def test_every_accepted_block_is_told_once_however_the_call_ends(
    app: Application, phone: Phone
) -> None:
    """Hang-up, forced hang-ups and the next block race; who heard `success_ok` hears the rest."""
    accepted: Counter[str] = Counter()

    async def one_call(number: int) -> None:
        call, session = await waiting_for_a_block(app, phone)

        async def ask(path: str, block: str, **parameters: str) -> None:
            tag = f"{number}-{block}"
            status = await app.block(path, session, tag=tag, notify_url=app.url(), **parameters)
            if status == "success_ok":
                accepted[tag] += 1
            else:
                assert status in ("error_session_ended", "error_session_not_ready")

        async def leave() -> None:
            await asyncio.sleep(number % 5 * 0.002)
            call.hang_up()

        await asyncio.gather(
            ask("ivr/middle/record", "record"),
            ask("ivr/end/hangup", "first", force="enabled"),
            ask("ivr/end/hangup", "second", force="enabled"),
            leave(),
        )
        async with asyncio.timeout(10):
            await call.ended()

    for number in range(25):
        await one_call(number)
    async with asyncio.timeout(10):
        while accepted - Counter(n.body["tag"] for n in app.sink.received):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    told = Counter(n.body["tag"] for n in app.sink.received if n.body["tag"])
    assert told == accepted


async def test_nothing_is_left_of_calls_of_any_kind(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Refused, cancelled, rejected, recorded, hung up by force: all gauges return to zero."""
    async with Application(server) as other:
        for _ in range(5):
            # Given up while the server still looks the number up, as often as not.
            cancelled = await phone.call(other.sip())
            cancelled.hang_up()
            with pytest.raises(CallNotAnswered):
                await cancelled.answered()
    for _ in range(5):
        refused = await phone.call(app.sip("+6599999999"))
        with pytest.raises(CallNotAnswered):
            await refused.answered()
        rejected, session = await ringing(app, phone)
        assert await app.block("ivr/end/hangup", session) == "success_ok"
        with pytest.raises(CallNotAnswered):
            await rejected.answered()
        recorded, session = await recording(app, phone)
        assert await app.block("ivr/end/hangup", session, force="enabled") == "success_ok"
        await recorded.ended()
    async with asyncio.timeout(15):
        while await _alive(app):  # noqa: ASYNC110 (gauges are only there to be read)
            await asyncio.sleep(0.1)


async def _alive(app: Application) -> dict[str, float]:
    names = ("voiceblocks_live_calls", "voiceblocks_sip_legs", "voiceblocks_media_legs")
    async with app.http.get(f"http://{app.server.admin}/metrics") as reply:
        lines = (await reply.text()).splitlines()
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines
              if line.startswith(names)}  # fmt: skip
    assert len(values) >= len(names)
    return {name: value for name, value in values.items() if value}


async def test_a_store_that_is_away_for_a_moment_loses_no_recording(
    hasty: ServerProcess, phone: Phone
) -> None:
    """The disk is not mounted when `#` is pressed, and back two seconds later."""
    folder = hasty.data_dir / "recordings"
    async with Application(hasty) as app:
        call, _session = await recording(app, phone)
        await asyncio.to_thread(folder.rename, folder.with_name("away"))
        await asyncio.to_thread(folder.touch)
        try:
            await call.media.press("#")
            with pytest.raises(TimeoutError):
                await app.sink.next(1.5, ivr_block="record")
        finally:
            await asyncio.to_thread(folder.unlink)
            await asyncio.to_thread(folder.with_name("away").rename, folder)
        told = await app.told(ivr_block="record")
        assert told.body["record_status"] == "success"
        assert await app.fetch(told.body["record_url"])


@pytest.mark.slow
async def test_a_locked_database_delays_the_end_of_a_call_and_loses_nothing(
    hasty: ServerProcess, phone: Phone
) -> None:
    """Somebody holds the write lock for longer than a writer waits (5 s); the call is settled."""
    if not hasty.database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL has no such lock")
    async with Application(hasty) as app:
        call, session = await waiting_for_a_block(app, phone)
        await app.block("ivr/middle/record", session, notify_url=app.url("/last"))
        await call.media.beep_ended()
        locker = sqlite3.connect(
            hasty.database_url.removeprefix("sqlite:///"), isolation_level=None
        )
        locker.execute("BEGIN IMMEDIATE")
        call.hang_up()
        await call.ended()
        await asyncio.sleep(6)
        locker.execute("ROLLBACK")
        locker.close()
        told = await app.sink.next(20, ivr_block="record")
        assert told.body["call_state"] == "ended"
        assert told.body["duration"] == "1"


@pytest.mark.parametrize("host", ["[::1]:5060", "[2001:db8::1]", "255.255.255.255", "127.0.0.1:0"])
async def test_a_contact_that_our_socket_cannot_reach_strands_no_call(
    server: ServerProcess, app: Application, phone: Phone, host: str
) -> None:
    """The BYE cannot be sent; the call ends all the same, and so do others after it."""
    async with RawPeer(server.sip) as peer:
        call = RawCall(peer, app.number)
        call.contact = f"<sip:raw@{host}>"
        peer.send(call.invite())
        session = (await app.told(ivr_block="answer", call_state="ringing")).body["session"]
        await app.record(session)
        call.take(await peer.next(status=200, method="INVITE", call=call.call_id))
        peer.send(call.ack())
        status = await app.block("ivr/end/hangup", session, force="enabled", notify_url=app.url())
        assert status == "success_ok"
        await app.told(ivr_block="record", call_state="ended")
        await app.told(ivr_block="hangup", call_state="ended")
    other, _session = await ringing(app, phone)
    other.hang_up()
    with pytest.raises(CallNotAnswered):
        await other.answered()
