"""What an application hears when its call ends in the moment in which it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.unit.database.nouns import CREATED_US, a_session, an_application, seed
from tests.unit.workflows.roomy import ROOMY
from voiceblocks.accounts.errors import InvalidAccessToken
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.blocks.hangup import HangupCommand
from voiceblocks.blocks.play import PlayCommand
from voiceblocks.calls.events import CallEnded, Disposition
from voiceblocks.database import accounts, notifications, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.engine.plan import BlockPlan
from voiceblocks.ids import SessionId
from voiceblocks.sessions.errors import SessionAccessDenied, SessionEnded
from voiceblocks.sessions.state import SessionState
from voiceblocks.speech.interfaces import Clip
from voiceblocks.workflows.authorise_outgoing_call import OutgoingRules
from voiceblocks.workflows.note_call_events import note_call_ended
from voiceblocks.workflows.prepare_request import RequestPreparer
from voiceblocks.workflows.request_parts import RequestParts
from voiceblocks.workflows.sign_notifications import newest_token
from voiceblocks.workflows.submit_block import SubmitBlock

SESSION = SessionId("S-1-a")
URL = "http://app.example/n"
ENDED = CallEnded(SESSION, CREATED_US + 1, Disposition.ANSWERED)


class GoneCalls:
    """An engine whose call has just ended."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def start_block(self, plan: BlockPlan) -> bool:
        """See `CallControl`."""
        return False

    def force_hangup(self, session_id: str, run_id: str) -> bool:
        """See `CallControl`."""
        return False

    def hold_clocks(self, session_id: str) -> AbstractContextManager[None]:
        """See `CallControl`."""
        self.held.append(session_id)
        return nullcontext()

    def say_goodbye(self, session_id: str, leg_id: str, dialog: str) -> None:
        """See `CallControl`."""


class Quiet:
    """Prompts that are there, URLs that are fine, an outbox that does what it is told."""

    def __init__(self) -> None:
        self.on_wake: Callable[[], None] = lambda: None

    async def prepare(self, parts: Sequence[Any], _account_id: str) -> list[Clip]:
        """See `PromptPreparer`."""
        return [Clip(Path("a"), Path("b"), 1) for _ in parts]

    async def check(self, url: str) -> None:
        """See `NotifyUrlCheck`."""

    def wake(self) -> None:
        """See `Outbox`."""
        self.on_wake()


class StoppedClock:
    """Always the same."""

    def monotonic(self) -> float:
        """Seconds."""
        return 0.0

    def utc_us(self) -> int:
        """Microseconds."""
        return CREATED_US


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with one session that waits for a block."""
    opened = Database(database_url)

    def write(connection: Any) -> None:
        seed(connection)
        fields = {"debit": None, "duration_min": None, "disposition": None, "ended_us": None}
        sessions.insert(
            connection, a_session(SESSION, state=SessionState.WAITING, run_id=None, **fields)
        )

    opened.run_sync(write)
    yield opened
    opened.close()


KEY = SecretKey(bytes(32))


def a_submitter(
    database: Database, calls: GoneCalls, quiet: Quiet, key: SecretKey = KEY
) -> SubmitBlock:
    """With nothing real behind it but the database."""
    unused: Any = None
    prompts: Any = quiet
    return SubmitBlock(
        RequestParts(
            database=database,
            key=key,
            requests=RequestPreparer(prompts, unused, quiet),
            calls=calls,
            outbox=quiet,
            rules=OutgoingRules(node="1", max_calls_per_account=8),
            recording_rules=ROOMY,
            clock=StoppedClock(),
        )
    )


@pytest.mark.parametrize("made_with", ["the former key", "the current key", "a lost key"])
async def test_tokens_outlive_a_change_of_the_server_key(
    database: Database, made_with: str
) -> None:
    """Those of keys that are still in the key file are found, and sign notifications."""
    current = SecretKey(b"c" * 32, former=(KEY,))
    keys = {"the former key": KEY, "the current key": current, "a lost key": SecretKey(b"l" * 32)}
    key = keys[made_with]
    sealed = key.seal("token", "app1")
    await database.run(
        lambda c: accounts.insert_token(c, key.lookup("token"), "app1", sealed, key.key_id, 1)
    )
    submitter = a_submitter(database, GoneCalls(), Quiet(), current)
    if made_with == "a lost key":
        with pytest.raises(InvalidAccessToken):
            await submitter.authenticate("app1", "token")
        return
    assert await submitter.authenticate("app1", "token") == an_application()
    signed_with = newest_token(current)
    assert await database.run(lambda c: signed_with(c, "app1", 2)) == "token"


COMMANDS = [
    PlayCommand(session=SESSION, tag="mine", notify_url=URL),
    HangupCommand(session=SESSION, force=True, tag="mine", notify_url=URL),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.block)
async def test_a_block_whose_end_was_told_was_accepted(
    database: Database, command: PlayCommand | HangupCommand
) -> None:
    """`success_ok` and one notification with `ended`; not a refusal and a notification."""
    quiet = Quiet()
    # Between the commit of the acceptance and the engine's hearing of it, the call ends.
    quiet.on_wake = lambda: database.run_sync(lambda c: note_call_ended(c, ENDED))
    submitter = a_submitter(database, GoneCalls(), quiet)
    assert await submitter.submit(an_application(), command) == {}
    (told,) = await database.run(lambda c: notifications.list_of_session(c, SESSION))
    assert "tag=mine&call_state=ended" in told.parameters


async def test_a_call_that_nobody_has_is_ended(database: Database) -> None:
    """The row says that it lives, no engine knows it: not accepted."""
    submitter = a_submitter(database, GoneCalls(), Quiet())
    with pytest.raises(SessionEnded):
        await submitter.submit(an_application(), COMMANDS[0])


async def test_only_its_own_application_holds_a_calls_clock(database: Database) -> None:
    """And only where something has to be prepared."""
    calls = GoneCalls()
    submitter = a_submitter(database, calls, Quiet())
    spoken: Any = ("a part",)
    with pytest.raises(SessionAccessDenied):
        await submitter.submit(an_application("stranger"), PlayCommand(session=SESSION, msg=spoken))
    assert calls.held == []
    with pytest.raises(SessionEnded):
        await submitter.submit(an_application(), PlayCommand(session=SESSION, msg=spoken))
    assert calls.held == [SESSION]
