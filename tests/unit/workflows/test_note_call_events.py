"""Every accepted block is told of exactly once, in whatever order a call falls apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import CREATED_US, a_leg, a_recording, a_run, a_session, seed
from voiceblocks.calls.events import BlockFinished, CallEnded, Disposition, EndReason
from voiceblocks.database import charges, further_legs, notifications, recordings, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import BlockRunId
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.note_call_events import note_block_finished, note_call_ended

SESSION = "S-1-a"
LATER_US = CREATED_US + 90_000_000


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


def a_live_call(connection: Connection, **fields: Any) -> None:
    """An answered call; `fields` say where it stands."""
    seed(connection)
    unsettled = {"debit": None, "duration_min": None, "disposition": None, "ended_us": None}
    sessions.insert(connection, a_session(SESSION, **{**unsettled, **fields}))


def told(connection: Connection) -> list[Mapping[str, str]]:
    """The parameters of all notifications, in their order."""
    found = notifications.list_of_session(connection, SESSION)
    return [dict(parse_qsl(one.parameters, keep_blank_values=True)) for one in found]


def the_call_ends(connection: Connection) -> None:
    """The leg is gone."""
    note_call_ended(connection, CallEnded(SESSION, LATER_US, Disposition.ANSWERED))


async def test_a_forced_hangup_that_came_while_the_call_was_closing_is_told(
    database: Database,
) -> None:
    """It was accepted, but the engine had no call left to end: the end of the call tells it."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        a_live_call(connection, state=SessionState.ENDING, run_id=None, last_block="play")
        hangup = a_run("run_h", block="hangup", tag="enough", recording_id=None)
        sessions.insert_run(connection, hangup)
        the_call_ends(connection)
        the_call_ends(connection)
        return told(connection)

    notifications_told = await database.run(happen)
    assert [(n["ivr_block"], n["tag"], n["call_state"]) for n in notifications_told] == [
        ("hangup", "enough", "ended")
    ]
    assert notifications_told[0]["duration"] == "2"


async def test_a_second_forced_hangup_is_told_after_the_session_has_ended(
    database: Database,
) -> None:
    """The first one's end settled the call while the second was being accepted."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        a_live_call(connection, state=SessionState.ENDING, run_id=None)
        for run_id in ("run_1st", "run_2nd"):
            sessions.insert_run(
                connection, a_run(run_id, block="hangup", tag=run_id, recording_id=None)
            )
        note_block_finished(
            connection, BlockFinished(SESSION, "run_1st", EndReason.COMPLETED, LATER_US), None
        )
        the_call_ends(connection)
        return told(connection)

    notifications_told = await database.run(happen)
    assert [n["tag"] for n in notifications_told] == ["run_1st", "run_2nd"]
    assert {n["call_state"] for n in notifications_told} == {"ended"}


async def test_a_record_block_whose_end_was_lost_is_told_before_the_hangup(
    database: Database,
) -> None:
    """Decision 1: first what was cut off, then the hang-up, both with the same charge."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        a_live_call(connection, state=SessionState.ENDING, run_id=BlockRunId("run_z"))
        # Named so that neither age nor alphabet puts the recording first.
        sessions.insert_run(connection, a_run("run_a", block="hangup", recording_id=None))
        sessions.insert_run(connection, a_run("run_z"))
        recordings.insert(connection, a_recording())
        the_call_ends(connection)
        assert len(charges.list_of_session(connection, SESSION)) == 1
        return told(connection)

    notifications_told = await database.run(happen)
    assert [n["ivr_block"] for n in notifications_told] == ["record", "hangup"]
    assert notifications_told[0]["record_status"] == "failed"
    assert len({n["charge_id"] for n in notifications_told}) == 1


@pytest.mark.parametrize(
    ("reason", "digits", "call_state"),
    [
        (EndReason.FINISH_KEY, "12*A", "ongoing"),
        (EndReason.TIMEOUT, "", "ongoing"),
        (EndReason.HANGUP, "12", "ended"),
        (EndReason.SERVER_RESTART, "", "ended"),
    ],
)
async def test_a_gather_is_told_with_its_digits(
    database: Database, reason: EndReason, digits: str, call_state: str
) -> None:
    """Also where nothing was typed: receivers read their length unasked."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        a_live_call(connection, state=SessionState.EXECUTING, run_id=BlockRunId("run_g"))
        sessions.insert_run(connection, a_run("run_g", block="gather", recording_id=None))
        note_block_finished(
            connection, BlockFinished(SESSION, "run_g", reason, LATER_US, digits=digits), None
        )
        return told(connection)

    (notification,) = await database.run(happen)
    assert (notification["ivr_block"], notification["digits"]) == ("gather", digits)
    assert notification["call_state"] == call_state


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_call_that_ends_in_or_after_a_gather_has_empty_digits(
    database: Database, is_open: bool
) -> None:
    """Whether the block's end was lost or told before: the parameter is there."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        state = SessionState.EXECUTING if is_open else SessionState.WAITING
        run_id = BlockRunId("run_g") if is_open else None
        a_live_call(
            connection,
            state=state,
            run_id=run_id,
            last_block="gather",
            last_notify_url="https://a.example/h",
        )
        if is_open:
            sessions.insert_run(connection, a_run("run_g", block="gather", recording_id=None))
        the_call_ends(connection)
        return told(connection)

    (notification,) = await database.run(happen)
    assert (notification["ivr_block"], notification["digits"]) == ("gather", "")
    assert notification["call_state"] == "ended"


Step = Callable[[Connection], None]


def _block_ends(run_id: str, reason: EndReason) -> Step:
    return lambda connection: note_block_finished(
        connection, BlockFinished(SESSION, run_id, reason, LATER_US), None
    )


STEPS: dict[str, Step] = {
    "play ends": _block_ends("run_p", EndReason.FORCED),
    "hangup ends": _block_ends("run_h", EndReason.COMPLETED),
    "call ends": the_call_ends,
}


async def test_a_transfer_that_is_cut_off_before_it_calls_tells_its_status(
    database: Database,
) -> None:
    """The caller left during its message: receivers read `transfer_status` unasked."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        a_live_call(
            connection,
            state=SessionState.ENDING,
            run_id=BlockRunId("run_t"),
            last_block="transfer",
        )
        sessions.insert_run(connection, a_run("run_t", block="transfer", recording_id=None))
        note_block_finished(
            connection, BlockFinished(SESSION, "run_t", EndReason.HANGUP, LATER_US), None
        )
        return told(connection)

    (notification,) = await database.run(happen)
    assert notification["transfer_status"] == "unanswered"
    assert notification["transfer_cause"] == "cancelled"


@pytest.mark.parametrize("earlier", [(), ("busy",)])
@pytest.mark.parametrize(
    ("disposition", "status"), [("busy", "busy"), ("no_answer", "unanswered"), (None, "failed")]
)
async def test_a_call_that_ends_after_a_failed_transfer_tells_how_that_had_failed(
    database: Database, disposition: str | None, status: str, earlier: tuple[str, ...]
) -> None:
    """As it was told then, whatever came of an earlier one; one to a room had no legs."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        a_live_call(connection, state=SessionState.WAITING, run_id=None, last_block="transfer")
        ends = (*earlier, disposition)
        for number, end in enumerate(ends, 2):
            began = {"created_us": CREATED_US + number}
            finished = {"finished_us": CREATED_US + number, "end_reason": "completed"}
            run = a_run(f"run_{number}", block="transfer", recording_id=None, **began, **finished)
            sessions.insert_run(connection, run)
            if end is not None:
                leg = a_leg(
                    f"leg_{number}", number=number, disposition=end, answered_us=None,
                    debit=None, **began,
                )  # fmt: skip
                further_legs.insert(connection, leg)
        the_call_ends(connection)
        return told(connection)

    (notification,) = await database.run(happen)
    assert notification["call_state"] == "ended"
    assert notification["transfer_status"] == status


@pytest.mark.parametrize(
    "order", [o for n in (1, 2, 3) for o in itertools.permutations(STEPS, n) if "call ends" in o]
)
async def test_any_order_of_ends_tells_each_block_once(
    database: Database, order: tuple[str, ...]
) -> None:
    """A play block, cut off by a forced hang-up: whatever is lost or late, two notifications."""

    def happen(connection: Connection) -> list[Mapping[str, str]]:
        a_live_call(connection, state=SessionState.ENDING, run_id=BlockRunId("run_p"))
        sessions.insert_run(connection, a_run("run_p", block="play", recording_id=None))
        sessions.insert_run(connection, a_run("run_h", block="hangup", recording_id=None))
        for step in order:
            STEPS[step](connection)
        ended = sessions.find(connection, SESSION)
        assert ended is not None
        assert ended.state is SessionState.ENDED
        return told(connection)

    notifications_told = await database.run(happen)
    assert sorted(n["ivr_block"] for n in notifications_told) == ["hangup", "play"]
    assert {n["call_state"] for n in notifications_told} == {"ended"}
