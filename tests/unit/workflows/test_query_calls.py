"""What applications read about calls: each kind's fields, in the words of real clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import (
    CREATED_US,
    a_leg,
    a_session,
    an_account,
    an_application,
    seed,
)
from voiceblocks.accounts.model import Application
from voiceblocks.billing.model import Tariff
from voiceblocks.blocks.get_history import GetHistoryCommand
from voiceblocks.blocks.get_rate import GetRateCommand
from voiceblocks.blocks.query_status import QueryStatusCommand
from voiceblocks.database import accounts, further_legs, sessions, tariffs
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import TxnRef
from voiceblocks.money import Thousandths
from voiceblocks.sessions.model import Direction, FurtherLeg, SessionKind
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.query_calls import QueryCalls

APP = an_application()
ENDED = {"state": SessionState.ENDED, "debit": 140, "room": None, "last_tag": "t"}
LIVE = {
    "state": SessionState.WAITING,
    "debit": None,
    "duration_min": None,
    "disposition": None,
    "ended_us": None,
    "room": None,
    "last_tag": "",
}
DIALLED = {
    "direction": Direction.OUTBOUND,
    "from_number": "private",
    "to_number": "+6591110000",
}
COMMON = {
    "txn_ref": "AA-S-1-a",
    # CREATED_US in GMT+8.
    "date": "2023-11-15 06:13:20",
    "currency": "SGD",
}
SETTLED = {"tag": "t", "duration": "7", "debit": "0.140"}
SECOND = a_leg("leg_3", number=3, dest="+6592220000")
UNREACHED = a_leg(dest="+6593330000", disposition="failed", answered_us=None)
RINGS = a_leg(dest="+6592220000", disposition=None, answered_us=None, ended_us=None, debit=None)


class StandingClock:
    """It is ten seconds after `CREATED_US`."""

    def monotonic(self) -> float:
        return 0.0

    def utc_us(self) -> int:
        return CREATED_US + 10_000_000


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def queries(database: Database) -> QueryCalls:
    """What is tested."""
    return QueryCalls(database, StandingClock())


def with_statuses(first: str, second: str) -> dict[str, str]:
    """Both spellings, as every answer has them."""
    return {
        "call_status_dest1": first,
        "call_status_dest_1": first,
        "call_status_dest2": second,
        "call_status_dest_2": second,
    }


@pytest.mark.parametrize(
    ("fields", "legs", "expected"),
    [
        pytest.param(
            ENDED,
            (),
            {
                **SETTLED,
                **with_statuses("answered", ""),
                "dest1": "+6591234567",
                "dest2": "",
                "number": "+6531580000",
                "rate": "0.020",
            },
            id="incoming",
        ),
        pytest.param(
            {**ENDED, "debit": 0, "duration_min": 0, "disposition": "cancelled"},
            (),
            {
                "tag": "t",
                "duration": "0",
                "debit": "0.000",
                **with_statuses("unanswered", ""),
                "dest1": "+6591234567",
                "dest2": "",
                "number": "+6531580000",
                "rate": "0.020",
            },
            id="incoming-unanswered",
        ),
        pytest.param(
            {**LIVE, "answered_us": None, "state": SessionState.RINGING},
            (),
            {
                "tag": "",
                **with_statuses("ongoing", ""),
                "dest1": "+6591234567",
                "dest2": "",
                "number": "+6531580000",
                "rate": "0.020",
            },
            id="incoming-rings",
        ),
        pytest.param(
            ENDED,
            (UNREACHED, SECOND),
            {
                **SETTLED,
                **with_statuses("answered", "answered"),
                "dest1": "+6591234567",
                "dest2": "+6592220000",
                "number": "+6531580000",
                "rate": "0.060",
            },
            id="transferred",
        ),
        pytest.param(
            {**LIVE, "room": "my.room"},
            (),
            {
                "tag": "",
                **with_statuses("ongoing", ""),
                "dest1": "+6591234567",
                "dest2": "",
                "number": "+6531580000",
                "rate": "0.020",
                "room": "my.room",
            },
            id="in-a-room",
        ),
        pytest.param(
            {**ENDED, **DIALLED, "disposition": "rejected", "duration_min": 0, "debit": 0},
            (),
            {
                "tag": "t",
                "duration": "0",
                "debit": "0.000",
                **with_statuses("busy", ""),
                "dest1": "+6591110000",
                "dest2": "",
                "rate": "0.020",
            },
            id="dialled",
        ),
        pytest.param(
            {**LIVE, **DIALLED},
            (UNREACHED,),
            {
                "tag": "",
                **with_statuses("ongoing", "failed"),
                "dest1": "+6591110000",
                "dest2": "+6593330000",
                "rate": "0.020",
            },
            id="dialled-transfer-failed",
        ),
        pytest.param(
            {**LIVE, **DIALLED, "kind": SessionKind.CALL, "state": SessionState.ENDING},
            (RINGS,),
            {
                "tag": "",
                **with_statuses("ongoing", "ongoing"),
                "dest1": "+6591110000",
                "dest2": "+6592220000",
                "rate": "0.020",
            },
            id="call-rings",
        ),
        pytest.param(
            {**ENDED, **DIALLED, "kind": SessionKind.CALL},
            (SECOND,),
            {
                **SETTLED,
                **with_statuses("answered", "answered"),
                "dest1": "+6591110000",
                "dest2": "+6592220000",
                "rate": "0.060",
            },
            id="call",
        ),
        pytest.param(
            {**ENDED, **DIALLED, "kind": SessionKind.CONFERENCE, "room": "R1"},
            (),
            {
                **SETTLED,
                **with_statuses("answered", ""),
                "dest1": "+6591110000",
                "dest2": "",
                "rate": "0.020",
                "room": "R1",
            },
            id="participant",
        ),
    ],
)
async def test_status(
    database: Database,
    queries: QueryCalls,
    fields: dict[str, Any],
    legs: tuple[FurtherLeg, ...],
    expected: dict[str, str],
) -> None:
    """Exactly these fields, all of them text; no duration and no debit while it goes on."""

    def store(connection: Connection) -> None:
        seed(connection)
        sessions.insert(connection, a_session(**fields))
        for leg in legs:
            further_legs.insert(connection, leg)

    await database.run(store)
    command = QueryStatusCommand(txn_ref=TxnRef("AA-S-1-a"))
    entry = await queries.query_status(APP, command)
    assert entry == {**COMMON, **expected}
    assert all(isinstance(value, str) for value in entry.values())
    history = await queries.get_history(APP, GetHistoryCommand())
    assert history["entries"] == [entry]


@pytest.mark.parametrize(
    ("app", "txn_ref", "status"),
    [
        (APP, "AA-S-1-none", "error_txn_ref_invalid"),
        (APP, "S-1-a", "error_txn_ref_invalid"),
        (an_application("app2"), "AA-S-1-a", "error_txn_ref_access_denied"),
        (an_application("app3", "acc_2"), "AA-S-1-a", "error_txn_ref_access_denied"),
    ],
)
async def test_status_of_no_call_of_ones_own(
    database: Database, queries: QueryCalls, app: Application, txn_ref: str, status: str
) -> None:
    """Also another application of the same account is told nothing."""
    await database.run(lambda connection: seed(connection, "S-1-a"))
    with pytest.raises(InvalidRequest, match=status):
        await queries.query_status(app, QueryStatusCommand(txn_ref=TxnRef(txn_ref)))


async def test_history_in_pages(database: Database, queries: QueryCalls) -> None:
    """Newest first, 100 a page, and a page behind the last one is empty, not an error."""

    def store(connection: Connection) -> None:
        seed(connection)
        accounts.insert_application(connection, an_application("app2"))
        for number in range(120):
            fields = {**ENDED, "created_us": CREATED_US + number, "txn_ref": f"AA-{number}"}
            sessions.insert(connection, a_session(f"S-1-{number}", **fields))
        sessions.insert(connection, a_session("S-1-x", app_id="app2"))

    await database.run(store)

    async def page(**fields: int) -> tuple[str, str, list[str]]:
        answer = await queries.get_history(APP, GetHistoryCommand(**fields))
        return (
            answer["total_entries_count"],
            answer["entries_count"],
            [entry["txn_ref"] for entry in answer["entries"]],
        )

    newest = [f"AA-{number}" for number in reversed(range(120))]
    assert await page() == ("120", "100", newest[:100])
    assert await page(page=2) == ("120", "20", newest[100:])
    assert await page(page=3) == ("120", "0", [])
    assert await page(page=1_000_000) == ("120", "0", [])
    assert await page(page=2, page_size=1) == ("120", "1", newest[1:2])
    span = {"from_us": CREATED_US + 5, "to_us": CREATED_US + 7}
    assert await page(**span) == ("3", "3", ["AA-7", "AA-6", "AA-5"])


async def test_history_ends_now(database: Database, queries: QueryCalls) -> None:
    """A call that another node's clock has in the future is not listed yet."""

    def store(connection: Connection) -> None:
        seed(connection)
        for name, created_us in (("S-1-now", 10_000_000), ("S-1-later", 10_000_001)):
            sessions.insert(connection, a_session(name, created_us=CREATED_US + created_us))

    await database.run(store)
    answer = await queries.get_history(APP, GetHistoryCommand())
    assert [entry["txn_ref"] for entry in answer["entries"]] == ["AA-S-1-now"]


@pytest.mark.parametrize(
    ("credit", "talktime"),
    [(100_000, "1333"), (75, "1"), (74, "0"), (0, "0"), (-5, "0"), (2**62, str(2**31 - 1))],
)
async def test_rate(database: Database, queries: QueryCalls, credit: int, talktime: str) -> None:
    """Both numbers' outgoing rates together, and the whole minutes that the credit pays for."""

    def store(connection: Connection) -> None:
        accounts.insert_account(connection, an_account(credit=Thousandths(credit)))
        tariffs.insert(connection, Tariff("outbound", "+659", "SGD", Thousandths(35)))
        tariffs.insert(connection, Tariff("inbound", "+656", "SGD", Thousandths(1)))

    await database.run(store)
    command = GetRateCommand(dest1="+6591234567", dest2="+6561234567")
    assert await queries.get_rate(APP, command) == {
        "currency": "SGD",
        "rate": "0.075",
        "talktime": talktime,
    }


async def test_rate_of_nothing(database: Database, queries: QueryCalls) -> None:
    """Where calls are free there is more talk time than anybody needs, and no division by zero."""

    def store(connection: Connection) -> None:
        accounts.insert_account(connection, an_account())
        tariffs.insert(connection, Tariff("outbound", "", "SGD", Thousandths(0)))

    await database.run(store)
    command = GetRateCommand(dest1="+6591234567", dest2="+6561234567")
    answer = await queries.get_rate(APP, command)
    assert (answer["rate"], answer["talktime"]) == ("0.000", str(2**31 - 1))
