"""The story of a call: why it ended, in its first line, and all that happened in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.calls import recording, ringing, waiting_for_a_block
from tests.harness import Application, ServerProcess
from voiceblocks.database.unit_of_work import Database
from voiceblocks.stories.model import MediaEnded, SipMessage
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.sounds import silence
from voiceblocks.workflows.tell_story import Story, tell_story

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOLD_LIMIT_S = 15.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server that waits for nobody."""
    running = await ServerProcess(
        tmp_path_factory.mktemp("story"), {"IDLE_TIMEOUT_S": "1.5"}
    ).start()
    yield running
    assert await running.stop() == 0


async def story_of(server: ServerProcess, session: str) -> Story:
    """The story of a call, once its end was noted."""
    database = Database(server.database_url)
    try:
        async with asyncio.timeout(TOLD_LIMIT_S):
            while True:
                story = await database.run(lambda connection: tell_story(connection, session))
                assert story is not None
                if story.session.end_cause is not None:
                    return story
                await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(database.close)


async def test_the_first_line_says_who_ended_it(hasty: ServerProcess, phone: Phone) -> None:
    """Caller, application, nobody in time, and a caller who gave up: each is named."""

    async def caller_hangs_up(app: Application) -> str:
        call, session = await recording(app, phone)
        call.hang_up()
        return session

    async def application_hangs_up(app: Application) -> str:
        _call, session = await waiting_for_a_block(app, phone)
        await app.hang_up(session)
        return session

    async def last_block(app: Application) -> str:
        _call, session = await ringing(app, phone)
        assert await app.block("ivr/middle/play", session, msg="Bye.") == "success_ok"
        return session

    async def nobody_acts(app: Application) -> str:
        _call, session = await waiting_for_a_block(app, phone)
        return session

    async def caller_gives_up(app: Application) -> str:
        call, session = await ringing(app, phone)
        call.hang_up()
        return session

    expected = {
        caller_hangs_up: "The caller hung up during record.",
        application_hangs_up: "The application hung up.",
        last_block: "The application let the call end after play: it named no notify_url, so no "
        "block could follow.",
        nobody_acts: "The application sent no block after play within the idle time.",
        caller_gives_up: "It was never answered: the caller gave up while it rang.",
    }

    async def tell(how: object) -> str:
        async with Application(hasty) as app:
            session = await how(app)  # type: ignore[operator]
            return (await story_of(hasty, session)).why

    told = await asyncio.gather(*(tell(how) for how in expected))
    assert told == list(expected.values())


async def test_everything_is_told_in_its_order(hasty: ServerProcess, phone: Phone) -> None:
    """SIP, requests with their prompts, media, a recording and notifications, and no secret."""
    async with Application(hasty) as app:
        call, session = await ringing(app, phone)
        await app.record(session, msg="Please speak.")
        await call.answered()
        await call.media.beep_ended()
        # Time zero lies on a packet's boundary, half a packet from the beep's end at most.
        await call.media.say(silence(100))
        call.send_info("7")
        await call.media.press("#")
        await app.told(ivr_block="record")
        assert await app.block("ivr/middle/play", session, notify_url="nonsense") != "success_ok"
        call.hang_up()
        story = await whole_story_of(hasty, session)
    told = [moment.what for moment in story.moments]
    expected = [
        "SIP INVITE received from",
        "SIP 100 Trying (INVITE) sent to",
        "SIP 180 Ringing (INVITE) sent to",
        "notification 1 (answer), attempt 1: HTTP 200",
        "prompt of text in en spoken",
        "application asked for ivr/middle/record: success_ok",
        "SIP 200 OK (INVITE) sent to",
        "SIP ACK received from",
        "RTP of the first leg comes from",
        "begins",
        "SIP INFO received from",
        "record ended: finish_key",
        "notification 2 (record), attempt 1: HTTP 200",
        "application asked for ivr/middle/play: error_invalid_notify_url",
        "SIP BYE received from",
        "SIP 200 OK (BYE) sent to",
        "RTP of the first leg over",
    ]
    rest = iter(told)
    for words in expected:
        assert any(words in what for what in rest), (words, *told)
    assert any("recording rec-" in what and "ends after" in what for what in told)
    messages = [event for event in story.events if isinstance(event, SipMessage)]
    (info,) = [one for one in messages if one.data.startswith(b"INFO")]
    assert info.data.endswith(b"xxxxxxxx\r\nxxxxxxxxxxxx\r\n")
    assert len(info.data) == info.size_bytes


async def whole_story_of(server: ServerProcess, session: str) -> Story:
    """The story with what is written last: the answer to BYE, and the counters."""
    async with asyncio.timeout(TOLD_LIMIT_S):
        while True:
            story = await story_of(server, session)
            if any(isinstance(event, MediaEnded) for event in story.events):
                return story
            await asyncio.sleep(0.1)
