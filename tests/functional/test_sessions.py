"""The life of a session: who may call, how long it rings and waits, what order things have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.functional.calls import ringing, waiting_for_a_block
from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import CallNotAnswered, Phone
from voiceblocks.testing.webhook_sink import ReceivedNotification

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server that waits for nobody, with two calls an account."""
    settings = {
        "ANSWER_TIMEOUT_S": "1",
        "IDLE_TIMEOUT_S": "1",
        "MAX_CALLS_PER_ACCOUNT": "2",
    }
    running = await ServerProcess(tmp_path_factory.mktemp("hasty"), settings).start()
    yield running
    assert await running.stop() == 0


async def refused_with(app: Application, phone: Phone, number: str | None = None) -> int:
    """Dial and return the final status."""
    call = await phone.call(app.sip(number))
    with pytest.raises(CallNotAnswered) as refused:
        async with asyncio.timeout(10):
            await call.answered()
    return refused.value.status


async def test_an_unknown_number_is_not_found(app: Application, phone: Phone) -> None:
    """404, and nobody is told."""
    assert await refused_with(app, phone, "+6599999999") == 404
    assert app.sink.received == []


async def test_an_application_that_does_not_react(hasty: ServerProcess, phone: Phone) -> None:
    """Ringing without a block: 480 after `ANSWER_TIMEOUT_S`, one ended notification."""
    async with Application(hasty) as app:
        assert await refused_with(app, phone) == 480
        told = await app.told(ivr_block="answer", call_state="ended")
        assert told.body["debit"] == "0.000"


async def test_no_next_block_ends_the_call(hasty: ServerProcess, phone: Phone) -> None:
    """After `IDLE_TIMEOUT_S` the call is hung up and the last URL told."""
    async with Application(hasty) as app:
        call, _session = await waiting_for_a_block(app, phone)
        async with asyncio.timeout(5):
            await call.ended()
        told = await app.told(ivr_block="play", call_state="ended")
        assert told.body["duration"] == "1"


async def test_an_account_has_its_limit_exactly(hasty: ServerProcess, phone: Phone) -> None:
    """Ten calls arrive at once: two ring, eight hear busy."""
    async with Application(hasty) as app:
        calls = [await phone.call(app.sip()) for _ in range(10)]
        statuses = []
        for call in calls:
            with pytest.raises(CallNotAnswered) as refused:
                await call.answered()
            statuses.append(refused.value.status)
        assert sorted(statuses) == [480, 480, *[486] * 8]


async def test_no_credit_no_call(server: ServerProcess, phone: Phone) -> None:
    """603 (decision 10)."""
    async with Application(server, credit="0.000") as app:
        assert await refused_with(app, phone) == 603


async def test_strangers_get_silence(data_dir: Path) -> None:
    """An INVITE from outside ACCEPT_CALLS_FROM is not answered at all (decision 9)."""
    own = await ServerProcess(data_dir, {"ACCEPT_CALLS_FROM": "192.0.2.0/24"}).start()
    try:
        async with Application(own) as app, Phone() as phone:
            call = await phone.call(app.sip())
            waiting = asyncio.ensure_future(call.ringing())
            done, _ = await asyncio.wait({waiting}, timeout=1.5)
            assert not done
            assert app.sink.received == []
            waiting.cancel()
    finally:
        await own.stop()


async def test_blocks_can_be_sent_from_inside_the_handler(app: Application, phone: Phone) -> None:
    """Old applications ask for the next block before they answer the notification."""
    statuses: list[str] = []

    async def act(told: ReceivedNotification) -> None:
        if told.body["call_state"] == "ringing" or len(statuses) < 4:
            statuses.append(
                await app.block(
                    "ivr/middle/play", told.body["session"], msg="Yes.", notify_url=app.url()
                )
            )
        elif told.body["call_state"] == "ongoing":
            statuses.append(await app.block("ivr/end/hangup", told.body["session"]))

    app.sink.on_notification = act
    call = await phone.call(app.sip())
    await call.answered()
    async with asyncio.timeout(20):
        await call.ended()
    assert statuses == ["success_ok"] * 5
    sequence = [n.body["ivr_block"] for n in app.sink.received]
    assert sequence == ["answer", "play", "play", "play", "play"]


async def test_an_application_that_fails_after_acting_is_not_told_twice(
    app: Application, phone: Phone
) -> None:
    """A handler that has its block accepted and then answers 500: no repeat (decision 2)."""

    async def act_and_fail(told: ReceivedNotification) -> None:
        if told.body["ivr_block"] == "answer":
            await app.block(
                "ivr/middle/play", told.body["session"], msg="Hello.", notify_url=app.url()
            )
        raise RuntimeError("this application has a fault")

    app.sink.on_notification = act_and_fail
    call, session = await ringing(app, phone)
    await call.answered()
    await app.told(ivr_block="play")
    assert [n.body["ivr_block"] for n in app.sink.received].count("answer") == 1
    assert session
