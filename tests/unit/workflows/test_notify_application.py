"""The end of each kind of call, as its application is told: names, order, values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import CREATED_US, a_leg, a_session, seed
from voiceblocks.database import further_legs, notifications, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.notifications.model import Notification
from voiceblocks.notifications.words import reached_parameters
from voiceblocks.sessions.model import Direction, FurtherLeg, SessionKind
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.notify_application import notify, notify_ended

ENDED = {
    "state": SessionState.ENDED,
    "direction": Direction.OUTBOUND,
    "from_number": "private",
    "to_number": "+6591110000",
    "debit": 420,
    "duration_min": 7,
    "rate": 20,
    "room": None,
    "run_id": None,
    "ended_us": 1_321_286_400_999_999,
}
BILL = [("date", "2011-11-15 00:00:00"), ("duration", "7"), ("currency", "SGD")]
BILL_OF_BOTH = [*BILL, ("rate", "0.060"), ("debit", "0.420"), ("charge_id", "chg_S-1-a_1")]
BILL_OF_ONE = [*BILL, ("rate", "0.020"), ("debit", "0.420"), ("charge_id", "chg_S-1-a_1")]
SECOND = a_leg(dest="+6592220000")
UNREACHED = a_leg(dest="+6592220000", disposition="no_answer", answered_us=None)
COMMON = [("ivr_block", "dial"), ("session", "S-1-a"), ("txn_ref", "AA-S-1-a")]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


def store(connection: Connection, legs: tuple[FurtherLeg, ...], **fields: Any) -> None:
    """A session as it is after its end, with its further legs."""
    seed(connection)
    sessions.insert(connection, a_session(**{**ENDED, **fields}))
    for leg in legs:
        further_legs.insert(connection, leg)


def told(connection: Connection) -> list[Notification]:
    """All notifications of the session."""
    return notifications.list_of_session(connection, "S-1-a")


def pairs_of(notification: Notification) -> list[tuple[str, str]]:
    """Its parameters in their order."""
    return parse_qsl(notification.parameters, keep_blank_values=True)


@pytest.mark.parametrize(
    ("fields", "legs", "block", "expected"),
    [
        pytest.param(
            {"last_block": "dial", "last_tag": "t"},
            (),
            "dial",
            [
                *COMMON,
                *[("dest", "+6591110000"), ("tag", "t"), ("call_state", "ended")],
                *[("dial_status", "answered"), ("dial_cause", "answered")],
                *BILL_OF_ONE,
            ],
            id="dialled",
        ),
        pytest.param(
            {
                "last_block": "dial",
                "direction": Direction.INBOUND,
                "from_number": "+6591110000",
                "to_number": "+6531580000",
            },
            (SECOND,),
            "dial",
            [
                *COMMON,
                *[("from", "+6591110000"), ("to", "+6531580000"), ("tag", "order 7")],
                *[("call_state", "ended"), ("dial_status", "answered")],
                ("dial_cause", "answered"),
                *BILL_OF_BOTH,
            ],
            id="incoming",
        ),
        pytest.param(
            {"last_block": "call", "kind": SessionKind.CALL, "last_tag": ""},
            (SECOND,),
            "call",
            [
                *[("txn_ref", "AA-S-1-a"), ("tag", "")],
                *[("call_status_dest1", "answered"), ("call_status_dest2", "answered")],
                *[("dest1", "+6591110000"), ("dest2", "+6592220000")],
                *BILL_OF_BOTH,
            ],
            id="call",
        ),
        pytest.param(
            {"last_block": "call", "kind": SessionKind.CALL, "disposition": "rejected"},
            (UNREACHED,),
            "call",
            [
                *[("txn_ref", "AA-S-1-a"), ("tag", "order 7")],
                *[("call_status_dest1", "busy"), ("call_status_dest2", "unanswered")],
                *[("dest1", "+6591110000"), ("dest2", "+6592220000")],
                *BILL_OF_ONE,
            ],
            id="call-not-reached",
        ),
        pytest.param(
            {"last_block": "conference", "kind": SessionKind.CONFERENCE, "room": "my.room"},
            (),
            "conference",
            [
                *[("txn_ref", "AA-S-1-a"), ("tag", "order 7"), ("room", "my.room")],
                *[("dest", "+6591110000"), ("call_status_dest1", "answered")],
                ("dest1", "+6591110000"),
                *BILL_OF_ONE,
            ],
            id="participant",
        ),
    ],
)
def test_end_of_a_call(
    database: Database,
    fields: dict[str, Any],
    legs: tuple[FurtherLeg, ...],
    block: str,
    expected: list[tuple[str, str]],
) -> None:
    """Which parameters there are is decided by what the application had asked for."""

    def happen(connection: Connection) -> list[Notification]:
        store(connection, legs, **fields)
        session = sessions.find(connection, "S-1-a")
        assert session is not None
        specific = reached_parameters("dial", "answered")
        notify_ended(connection, session, at_us=CREATED_US, specific=specific)
        return told(connection)

    (notification,) = database.run_sync(happen)
    assert pairs_of(notification) == expected
    assert (notification.block, notification.lasting) == (block, True)


@pytest.mark.parametrize("kind", SessionKind)
def test_without_a_url_nobody_is_told(database: Database, kind: SessionKind) -> None:
    """An application that gave none hears nothing, and no number is used up."""

    def happen(connection: Connection) -> list[Notification]:
        store(connection, (SECOND,), kind=kind, last_notify_url=None)
        session = sessions.find(connection, "S-1-a")
        assert session is not None
        notify_ended(connection, session, at_us=CREATED_US)
        return told(connection)

    assert database.run_sync(happen) == []


@pytest.mark.parametrize(
    ("block", "disposition", "state", "expected"),
    [
        ("dial", "answered", SessionState.WAITING, {"dial_status": "answered"}),
        ("dial", "rejected", SessionState.ENDED, {"dial_status": "busy", "dial_cause": "rejected"}),
        ("transfer", "no_answer", SessionState.WAITING, {"transfer_status": "unanswered"}),
        ("transfer", "failed", SessionState.ENDED, {"transfer_status": "failed"}),
    ],
)
def test_blocks_that_reach_somebody(
    database: Database,
    block: str,
    disposition: str,
    state: SessionState,
    expected: dict[str, str],
) -> None:
    """With the bill where the call ended with them, without it where it goes on."""

    def happen(connection: Connection) -> list[Notification]:
        store(connection, (), state=state)
        session = sessions.find(connection, "S-1-a")
        assert session is not None
        notify(
            connection,
            session,
            block=block,
            url="http://127.0.0.1:9/notify",
            tag="",
            at_us=CREATED_US,
            specific=reached_parameters(block, disposition),
        )
        return told(connection)

    (notification,) = database.run_sync(happen)
    pairs = dict(pairs_of(notification))
    ended = state is SessionState.ENDED
    assert pairs["call_state"] == ("ended" if ended else "ongoing")
    assert ("debit" in pairs) == ended == notification.lasting
    assert pairs["dest"] == "+6591110000"
    assert not {"from", "to"} & pairs.keys()
    assert pairs.items() >= expected.items()
