"""The story of a call: why it ended, in its first line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.calls import recording, ringing, waiting_for_a_block
from tests.harness import Application, ServerProcess
from voiceblocks.database.unit_of_work import Database
from voiceblocks.testing.phone import Phone
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
