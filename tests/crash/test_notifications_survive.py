"""What an application was not told before a crash, it is told after it."""

from __future__ import annotations

import asyncio

import pytest

from tests.crash import facts
from tests.crash.victims import victim
from tests.functional.calls import recording, waiting_for_a_block
from tests.harness import Application, ServerProcess
from voiceblocks.notifications.state import NotificationState
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.webhook_sink import Hang

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def killed(server: ServerProcess) -> None:
    """`kill -9` of everything, and a new start."""
    server.kill_all()
    await server.gone()
    await server.start()


async def until_delivered(app: Application, session: str) -> None:
    """Wait until the answer to the record notification is noted."""
    async with asyncio.timeout(10):
        while True:
            [told] = (await facts.facts_of(app, session)).told_of("record")
            if told.state is NotificationState.DELIVERED:
                return
            await asyncio.sleep(0.05)


async def test_a_dead_application_hears_everything_after_two_crashes(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Nobody listens, the server is killed twice: what lasts arrives, in order, per session."""
    forced, forced_session = await recording(app, phone)
    await forced.media.say(tone_code.encode_seconds(0, 1))
    _waiting, waiting_session = await waiting_for_a_block(app, phone)
    killed_call = await victim(app, phone)
    await app.sink.stop()
    app.sink.received.clear()
    hangup = {"force": "enabled", "notify_url": app.url()}
    assert await app.block("ivr/end/hangup", forced_session, **hangup) == "success_ok"
    async with asyncio.timeout(5):
        await forced.ended()
    await killed(server)
    await killed(server)
    await app.sink.start()
    wanted = {
        forced_session: [("record", "ended"), ("hangup", "ended")],
        waiting_session: [("play", "ended")],
        killed_call.session: [("record", "ended")],
    }
    for _one in range(sum(len(blocks) for blocks in wanted.values())):
        await app.sink.next(30, call_state="ended")
    for session, blocks in wanted.items():
        told = [n for n in app.sink.received if n.body["session"] == session]
        first = {n.event_id: n for n in reversed(told)}
        in_order = sorted(first.values(), key=lambda n: n.at_s)
        assert [(n.body["ivr_block"], n.body["call_state"]) for n in in_order] == blocks
        assert all(n.verify_signature(app.access_token) for n in told)
        found = await facts.facts_of(app, session)
        kept = [n for n in found.notifications if n.lasting]
        assert [n.id for n in kept] == [n.event_id for n in in_order]
        assert len(found.charges) <= 1
    both = [n.body for n in app.sink.received if n.body["session"] == forced_session]
    assert len({(body["charge_id"], body["debit"]) for body in both}) == 1


async def test_what_was_on_its_way_is_sent_again_at_once(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Killed while the application thinks: the same event comes again, and not only after 35 s."""
    call, session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 1))
    app.sink.script(Hang())
    call.hang_up()
    first = await app.told(ivr_block="record")
    await killed(server)
    second = await app.told(ivr_block="record")
    assert second.event_id == first.event_id
    assert second.raw_body == first.raw_body
    assert second.attempt == first.attempt + 1
    await until_delivered(app, session)
