"""Stopping on purpose: what lives may end, what is cut off is kept and told, nothing stays."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from tests.crash import facts
from tests.crash.victims import is_recovered, victim
from tests.functional.calls import decode, length_ms, recording
from tests.harness import Application, ServerProcess
from voiceblocks.calls.events import EndReason
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import CallNotAnswered, Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

DRAIN_TIMEOUT_S = 3


async def draining(server: ServerProcess) -> None:
    """Wait until the server says that it takes nothing new."""
    async with asyncio.timeout(5), aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"http://{server.http}/readyz") as reply:
                if reply.status == 503:
                    return
            await asyncio.sleep(0.02)


async def exits(server: ServerProcess, pids: list[int]) -> None:
    """Wait for the end; it was clean, and took all processes with it."""
    assert server.process is not None
    async with asyncio.timeout(20):
        await server.process.communicate()
    assert server.process.returncode == 0
    await facts.until(lambda: not any(facts.is_alive(pid) for pid in pids))


async def test_draining(tmp_path: Path, phone: Phone) -> None:
    """SIGTERM: a live recording may end by itself, new calls are refused, the rest is cut off."""
    server = ServerProcess(tmp_path / "data", settings={"DRAIN_TIMEOUT_S": str(DRAIN_TIMEOUT_S)})
    await server.start()
    pids = [pid for found in server.pids().values() for pid in found]
    assert len(pids) >= 7
    async with Application(server) as app:
        ends_itself, _session = await recording(app, phone, tag="ends itself")
        one = await victim(app, phone)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        asked_at = time.monotonic()
        await draining(server)
        refused = await phone.call(app.sip())
        with pytest.raises(CallNotAnswered, match="503"):
            await refused.answered()
        await ends_itself.media.say(tone_code.encode_seconds(0, 1))
        await ends_itself.media.press("#")
        told = await app.told(ivr_block="record", tag="ends itself")
        assert told.body["call_state"] == "ongoing"
        assert decode(await app.fetch(told.body["record_url"])).size
        ends_itself.hang_up()
        told = await app.told(ivr_block="record", tag="crash")
        one.killed_at = time.monotonic()
        assert time.monotonic() - asked_at >= DRAIN_TIMEOUT_S - 0.1
        assert told.body["call_state"] == "ended"
        assert told.body["record_status"] == "success"
        async with asyncio.timeout(5):
            await one.call.ended()
        await exits(server, pids)
        found = await facts.facts_of(app, one.session)
        assert [r.end_reason for r in found.recordings] == [EndReason.SERVER_RESTART]
        assert len(found.told_of("record")) == 1
        mp3 = server.data_dir / "recordings" / found.recordings[0].object_name
        samples = decode(await asyncio.to_thread(mp3.read_bytes))
        assert abs(length_ms(samples) - one.lasted_ms) < 1000
        await facts.nothing_is_left_in_the_folders(server)


async def test_stopping_at_once(server: ServerProcess, app: Application, phone: Phone) -> None:
    """SIGINT: what was recorded is kept and told before the server goes; the next one serves it."""
    one = await victim(app, phone)
    pids = [pid for found in server.pids().values() for pid in found]
    one.killed_at = time.monotonic()
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)
    await exits(server, pids)
    assert [n.body["ivr_block"] for n in app.sink.received] == ["answer", "record"]
    await server.start()
    await is_recovered(app, one)


async def test_a_second_server_on_the_same_folder_does_not_start(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """It would take the live calls of the first for dead ones; it says so, and harms nobody."""
    call, _session = await recording(app, phone)
    spoken = call.media.say(tone_code.encode_seconds(0, 6))
    second = ServerProcess(server.data_dir)
    with pytest.raises(AssertionError):
        await second.start()
    assert second.process is not None
    assert await second.process.wait() == 78
    await spoken
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    assert told.body["call_state"] == "ongoing"
    samples = decode(await app.fetch(told.body["record_url"]))
    heard = [second.second_index for second in tone_code.decode_seconds(samples)]
    assert heard == list(range(6))


async def test_a_control_process_without_its_supervisor_goes_away() -> None:
    """One whose supervisor died while it was being read is killed by nobody, and so ends itself."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voiceblocks.server", "1", start_new_session=True
    )
    async with asyncio.timeout(20):
        assert await child.wait() == 78
