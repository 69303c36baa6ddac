"""Stories are written beside everything else, for the right calls, and forgotten in time."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import a_session, an_account, an_application, seed
from voiceblocks.database import accounts, sessions, stories
from voiceblocks.database.unit_of_work import Database
from voiceblocks.stories.model import AnyEvent, ApiRequest, PromptMade, RecordingStep, SipMessage
from voiceblocks.workflows.forget_old import ForgetOld
from voiceblocks.workflows.keep_story import QUIET_US, KeepStory
from voiceblocks.workflows.tell_story import tell_story

DAY_US = 86_400 * 1_000_000
STEP = RecordingStep(1_700_000_000_000_100, "rec-1", "begins")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """With a call of app1 (twice) and one of another account's application."""
    opened = Database(database_url)

    def make(connection: Connection) -> None:
        seed(connection, "S-1-a", "S-1-b")
        accounts.insert_account(connection, an_account("acc_2"))
        accounts.insert_application(connection, an_application("app2", "acc_2"))
        other = a_session("S-1-other", txn_ref="AA-S-1-other", account_id="acc_2", app_id="app2")
        sessions.insert(connection, other)

    opened.run_sync(make)
    yield opened
    opened.close()


class World:
    """A keeper with a clock that stands still."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock: Any = SimpleNamespace(
            now_us=1_700_000_000_000_000, utc_us=lambda: self.clock.now_us
        )
        self.keeper = KeepStory(database, self.clock)

    async def events(self, session_id: str) -> list[AnyEvent]:
        story = await self.database.run(lambda c: tell_story(c, session_id))
        assert story is not None
        return list(story.events)

    def ask(self, app_id: str, *calls: str, status: str = "success_ok") -> None:
        prompts = [PromptMade("url", "https://a/b.mp3", 7, was_cached=False)]
        self.keeper.note_request(
            app_id, calls, api="ivr/middle/play", status=status, duration_s=0.25, prompts=prompts
        )


async def test_events_of_several_times_come_out_in_order(database: Database) -> None:
    """What was written in pieces is one story, and nothing is written twice."""
    world = World(database)
    later = RecordingStep(STEP.at_us + 5, "rec-1", "ends", 900)
    world.keeper.note("S-1-a", later)
    await world.keeper.write()
    world.keeper.note("S-1-a", STEP)
    await world.keeper.write()
    await world.keeper.write()
    assert await world.events("S-1-a") == [STEP, later]
    assert await world.events("S-1-b") == []


async def test_requests_reach_only_their_applications_calls(database: Database) -> None:
    """By session or transaction; another account's call hears nothing of who names it."""
    world = World(database)
    world.ask("app1", "S-1-a", status="error_session_ended")
    world.ask("app2", "AA-S-1-other")
    world.ask("app1", "S-1-other", "S-1-none")
    await world.keeper.write()
    (mine,) = await world.events("S-1-a")
    assert isinstance(mine, ApiRequest)
    assert (mine.status, mine.ms) == ("error_session_ended", 250.0)
    assert mine.at_us == world.clock.now_us - 250_000
    assert len(await world.events("S-1-other")) == 1
    story = await database.run(lambda c: tell_story(c, "S-1-a"))
    assert story is not None
    said = [moment.what for moment in story.moments if moment.kind in {"api", "prompt"}]
    assert said == [
        "prompt of https://a/b.mp3 fetched, 7 ms",
        "application asked for ivr/middle/play: error_session_ended after 250 ms",
    ]


async def test_a_call_that_is_not_there_costs_the_others_nothing(database: Database) -> None:
    """One story that cannot be written is dropped alone."""
    world = World(database)
    world.keeper.note("S-1-gone", STEP)
    world.keeper.note("S-1-a", STEP)
    await world.keeper.write()
    assert await world.events("S-1-a") == [STEP]
    world.keeper.note("S-1-b", STEP)
    await world.keeper.write()
    assert await world.events("S-1-b") == [STEP]


async def test_a_database_that_is_away_is_asked_again(database: Database) -> None:
    """What could not be written is written later."""
    world = World(database)
    away = Database(str(database._engine.url.render_as_string(hide_password=False)))
    away.close()
    keeper = KeepStory(away, world.clock)
    keeper.note("S-1-a", STEP)
    await keeper.write()
    keeper._database = database
    await keeper.write()
    assert await world.events("S-1-a") == [STEP]


async def test_a_flood_is_bounded_over_the_whole_call(database: Database) -> None:
    """However it is spread over time and restarts, a story has an end, and says what it lacks."""
    world = World(database)
    message = SipMessage(1, "", True, "udp", ("a", 1), ("b", 2), b"BYE sip:x SIP/2.0\r\n\r\n", 21)
    for _ in range(4):
        for _ in range(1500):
            world.keeper.note("S-1-a", message)
        await world.keeper.write()
        world.clock.now_us += QUIET_US + 1
        await world.keeper.write()
        await world.keeper.write()
    found = await world.events("S-1-a")
    assert 3000 <= len(found) <= 3000 + 4 * 41
    assert any(type(event).__name__ == "Cut" for event in found)
    assert world.keeper._logs == {}


async def test_old_stories_are_forgotten(database: Database) -> None:
    """`KEEP_STORY_DAYS`: what was written longer ago goes, and the call itself stays."""
    world = World(database)
    world.keeper.note("S-1-a", STEP)
    await world.keeper.write()
    world.clock.now_us += 29 * DAY_US
    world.keeper.note("S-1-b", STEP)
    await world.keeper.write()
    world.clock.now_us += DAY_US + 1

    def job(keep_days: int) -> ForgetOld:
        return ForgetOld(database, world.clock, keep_days, forget=stories.forget, kind="stories")

    assert await job(0).forget() == 0
    assert await job(30).forget() == 1
    assert await world.events("S-1-a") == []
    assert await world.events("S-1-b") == [STEP]
