"""Toll fraud at the workflow: nothing gets out that was not allowed, and not more than that."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.database.nouns import (
    CREATED_US,
    a_leg,
    a_number,
    a_session,
    an_account,
    an_application,
)
from voiceblocks import ids
from voiceblocks.billing.model import Charge, Price, Tariff
from voiceblocks.database import (
    accounts,
    allowed_prefixes,
    charges,
    further_legs,
    sessions,
    tariffs,
    trunks,
)
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.ids import TrunkId
from voiceblocks.money import Thousandths
from voiceblocks.sessions.model import Direction, SessionKind
from voiceblocks.sessions.state import SessionState
from voiceblocks.trunks.model import Trunk
from voiceblocks.workflows.authorise_outgoing_call import (
    Authorised,
    OutgoingRequest,
    OutgoingRules,
    authorise_outgoing_call,
)
from voiceblocks.workflows.change_account import AccountChanges, change_account

NOW_US = CREATED_US + 1_000_000_000
RULES = OutgoingRules(node="1", max_calls_per_account=8, dials_per_minute=60)
DEST = "+6591234567"
OURS, REGISTERED = "+6531580000", "+6598765432"
CARRIER = Trunk(
    id=TrunkId("trk_1"), name="carrier", address="sip:carrier.example", created_us=CREATED_US
)
NOT_SETTLED = {
    "debit": None,
    "duration_min": None,
    "disposition": None,
    "answered_us": None,
    "ended_us": None,
}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


def prepare(
    connection: Connection,
    *,
    allowed: tuple[str, ...] = ("+65", "+1", "+44", "+49", "+8", "+9"),
    carriers: tuple[Trunk, ...] = (CARRIER,),
    **account: Any,
) -> None:
    """An account that may call some countries, its two numbers, and a stranger's number."""
    accounts.insert_account(connection, an_account(**account))
    accounts.insert_application(connection, an_application())
    accounts.insert_application(connection, an_application("app2"))
    accounts.insert_number(connection, a_number("+6531580009", created_us=CREATED_US + 9))
    accounts.insert_number(connection, a_number(OURS))
    accounts.insert_number(connection, a_number("+6531580002", "app2", created_us=1))
    accounts.insert_account(connection, an_account("acc_x", registered_number="+6590000000"))
    accounts.insert_application(connection, an_application("app_x", "acc_x"))
    accounts.insert_number(connection, a_number("+6531589999", "app_x"))
    for prefix in allowed:
        allowed_prefixes.insert(connection, "acc_1", prefix)
    for carrier in carriers:
        trunks.insert(connection, carrier)


def ask(
    connection: Connection, dest: str = DEST, rules: OutgoingRules = RULES, **fields: Any
) -> Authorised:
    """As dial, transfer and all the others ask."""
    account = accounts.find_account_for_update(connection, "acc_1")
    assert account is not None
    request = OutgoingRequest(
        account=account, app=an_application(), dest=dest, now_us=NOW_US, **fields
    )
    return authorise_outgoing_call(connection, request, rules)


def dialled(connection: Connection, n: int = 1, **fields: Any) -> None:
    """Store outgoing calls, as those that were authorised are."""
    for _ in range(n):
        values = {"direction": Direction.OUTBOUND, "created_us": NOW_US, **NOT_SETTLED, **fields}
        session = a_session(ids.new_session_id("1"), **values)
        sessions.insert(connection, session)


def refused(connection: Connection, *arguments: Any, **fields: Any) -> str:
    """The status with which a request is refused."""
    with pytest.raises(InvalidRequest) as caught:
        ask(connection, *arguments, **fields)
    return caught.value.status


async def test_what_is_allowed_goes_out(database: Database) -> None:
    """With a rate, a caller and a trunk, all fixed now."""

    def happen(connection: Connection) -> Authorised:
        prepare(connection)
        tariffs.insert(connection, Tariff("outbound", "+659", "SGD", Thousandths(35)))
        return ask(connection)

    assert await database.run(happen) == Authorised(
        dest=DEST, caller=REGISTERED, price=Price(Thousandths(35)), trunks=(CARRIER,)
    )


@pytest.mark.parametrize(
    ("dest", "status"),
    [
        ("999", "invalid"),
        ("112", "invalid"),
        ("911", "invalid"),
        ("+999", "invalid"),
        ("+911", "invalid"),
        ("+65999", "not_supported"),
        ("+65995", "not_supported"),
        ("+44999", "not_supported"),
        ("+44112", "not_supported"),
        ("+1911", "not_supported"),
        ("+19005551234", "not_supported"),
        ("+1900555123", "invalid"),
        ("+6519005551234", "not_supported"),
        ("+449098790879", "not_supported"),
        ("+447012345678", "not_supported"),
        ("+4990012345678", "not_supported"),
        ("+881612345678", "not_supported"),
        ("+870772001234", "not_supported"),
        ("+88216123456", "not_supported"),
        ("+979123456789", "not_supported"),
        ("+33123456789", "not_supported"),
        ("+37410123456", "not_supported"),
        ("sip:thief@example.com", "invalid"),
        ("+6591234567@example.com", "invalid"),
        ("", "invalid"),
    ],
)
@pytest.mark.parametrize("name", ["dest", "dest1"])
async def test_closed_numbers(database: Database, dest: str, status: str, name: str) -> None:
    """Whole countries are open, and nothing dear or dangerous in them is."""

    def happen(connection: Connection) -> str:
        prepare(connection)
        return refused(connection, dest, status_name=name)

    assert await database.run(happen) == f"error_{name}_{status}"


async def test_nothing_is_open_at_first(database: Database) -> None:
    """An account that was just made calls nobody."""

    def happen(connection: Connection) -> str:
        prepare(connection, allowed=())
        return refused(connection)

    assert await database.run(happen) == "error_dest_not_supported"


@pytest.mark.parametrize(
    ("allowed", "dest"),
    [("+1900", "+19005551234"), ("+65999", "+65999"), ("+881", "+881612345678")],
)
async def test_named_numbers_are_open(database: Database, allowed: str, dest: str) -> None:
    """An operator who names a premium range or an emergency number means it."""

    def happen(connection: Connection) -> str:
        prepare(connection, allowed=(allowed,))
        return ask(connection, dest).dest

    assert await database.run(happen) == dest


@pytest.mark.parametrize(
    ("fields", "account", "caller"),
    [
        ({}, {}, REGISTERED),
        # The oldest number of this application, not of the account.
        ({}, {"registered_number": None}, OURS),
        ({"caller_id": "private"}, {}, "private"),
        ({"caller_id": REGISTERED}, {}, REGISTERED),
        ({"caller_id": "+6531580009"}, {}, "+6531580009"),
        ({"caller_id": "+6531580002"}, {}, "+6531580002"),
        ({"caller_id": "+6581111111", "caller_number": "+6581111111"}, {}, "+6581111111"),
        ({"caller_number": "+6581111111"}, {}, REGISTERED),
        ({"caller_id": "+6581111111"}, {}, None),
        ({"caller_id": "+6581111111", "caller_number": "+6582222222"}, {}, None),
        ({"caller_id": "+6581111111", "caller_number": "private"}, {}, None),
        ({"caller_id": "+6531589999"}, {}, None),
        ({"caller_id": "+6590000000"}, {}, None),
        ({"caller_id": REGISTERED}, {"registered_number": None}, None),
    ],
)
async def test_caller_ids(
    database: Database, fields: dict[str, Any], account: dict[str, Any], caller: str | None
) -> None:
    """Shown are one's own numbers and, on a transfer, the caller's; never a stranger's."""

    def happen(connection: Connection) -> str | None:
        prepare(connection, **account)
        if caller is None:
            assert refused(connection, **fields) == "error_caller_id_invalid"
            return None
        return ask(connection, **fields).caller

    assert await database.run(happen) == caller


async def test_without_any_number_the_caller_is_private(database: Database) -> None:
    """There is nothing to show."""

    def happen(connection: Connection) -> str:
        accounts.insert_account(connection, an_account(registered_number=None))
        accounts.insert_application(connection, an_application())
        allowed_prefixes.insert(connection, "acc_1", "+65")
        trunks.insert(connection, CARRIER)
        return ask(connection).caller

    assert await database.run(happen) == "private"


@pytest.mark.parametrize(
    "carriers",
    [
        (),
        (replace(CARRIER, prefixes=("+44", "+6592")),),
        (replace(CARRIER, disabled_us=CREATED_US),),
    ],
)
async def test_no_trunk(database: Database, carriers: tuple[Trunk, ...]) -> None:
    """None at all, none for this number, or a disabled one: the service is not available."""

    def happen(connection: Connection) -> str:
        prepare(connection, carriers=carriers)
        return refused(connection)

    assert await database.run(happen) == "error_call_service_not_available"


@pytest.mark.parametrize(
    ("credit", "overdraft", "held", "planned", "is_allowed"),
    [
        (0, 0, 0, 0, False),
        (-100_000, 0, 0, 0, False),
        (39, 0, 0, 0, False),
        (40, 0, 0, 0, True),
        (79, 0, 40, 0, False),
        (80, 0, 40, 0, True),
        (80, 0, 40, 1, False),
        (-10, 50, 0, 0, True),
        (-11, 50, 0, 0, False),
    ],
)
async def test_credit_pays_the_first_block(
    database: Database, credit: int, overdraft: int, held: int, planned: int, is_allowed: bool
) -> None:
    """What live calls hold, and what this request holds already, is not there for this one."""

    def happen(connection: Connection) -> str:
        prepare(connection, credit=Thousandths(credit), overdraft=Thousandths(overdraft))
        dialled(connection, held=Thousandths(held))
        dialled(connection, held=Thousandths(9999), state=SessionState.ENDED)
        fields = {"planned_hold": Thousandths(planned)}
        return ask(connection, **fields).dest if is_allowed else refused(connection, **fields)

    assert await database.run(happen) == (DEST if is_allowed else "error_insufficient_credit")


async def test_what_is_free_needs_no_credit(database: Database) -> None:
    """Neither what is owed nor a day that is spent keeps an account from a free number."""

    def happen(connection: Connection) -> str:
        prepare(connection, credit=Thousandths(-5), spend_per_day=0)
        dialled(connection, held=Thousandths(20))
        free = Tariff("outbound", DEST, "SGD", Thousandths(0))
        tariffs.replace(connection, free)
        return ask(connection).dest

    assert await database.run(happen) == DEST


async def test_a_trial_account_calls_its_registered_number_only(database: Database) -> None:
    """Also where more is allowed to it; then with its first payment all of that opens."""

    def happen(connection: Connection) -> None:
        prepare(connection, is_trial=True)
        assert ask(connection, REGISTERED).dest == REGISTERED
        assert refused(connection) == "error_not_allowed_for_trial"
        changes = AccountChanges(bonus_add="1")
        change_account(connection, account_id="acc_1", changes=changes, now_us=NOW_US)
        assert refused(connection) == "error_not_allowed_for_trial"
        changes = AccountChanges(credit_add="1")
        change_account(connection, account_id="acc_1", changes=changes, now_us=NOW_US)
        assert ask(connection).dest == DEST

    await database.run(happen)


@pytest.mark.parametrize(
    ("spend_per_day", "is_allowed"),
    [(None, True), (0, False), (559, False), (560, True), (100_000, True)],
)
async def test_spend_per_day(
    database: Database, spend_per_day: int | None, is_allowed: bool
) -> None:
    """
    What was charged in 24 hours, what runs with a minute at least, and this call's first.

    Charged 320; a call of 3 minutes at 20 and its leg of 2 at 40, a call that rings at 20, its
    leg that rings at 40, and one that was never answered at nothing: 200; this one: 40.
    """

    def happen(connection: Connection) -> str:
        prepare(connection, spend_per_day=spend_per_day)
        minute_us = 60_000_000
        dialled(connection, id="S-1-old", txn_ref="AA-S-1-old", state=SessionState.ENDED)
        for number, (age_us, amount) in enumerate(
            [(86_400_000_001, 500), (86_400_000_000, 120), (0, 200)]
        ):
            charges.insert_once(
                connection,
                Charge(
                    id=f"chg_{number}",
                    session_id=ids.SessionId("S-1-old"),
                    account_id=ids.AccountId("acc_1"),
                    amount=Thousandths(amount),
                    currency="SGD",
                    created_us=NOW_US - age_us,
                ),
            )
        up_us = NOW_US - 3 * minute_us + 1
        dialled(connection, id="S-1-up", txn_ref="AA-S-1-up", answered_us=up_us)
        dialled(connection, id="S-1-rings", txn_ref="AA-S-1-rings")
        for number, leg in enumerate(
            [
                {"session_id": "S-1-up", "answered_us": NOW_US - minute_us - 1, "ended_us": None},
                {"session_id": "S-1-rings", "answered_us": None, "ended_us": None},
                {"session_id": "S-1-rings", "answered_us": None, "ended_us": NOW_US},
            ],
            start=2,
        ):
            further_legs.insert(connection, a_leg(f"leg_{number}", number=number, **leg))
        # One number more than the cap allows.
        if spend_per_day == 560:
            assert refused(connection, planned_dials=1) == "error_insufficient_credit"
        return ask(connection).dest if is_allowed else refused(connection)

    outcome = DEST if is_allowed else "error_insufficient_credit"
    assert await database.run(happen) == outcome


@pytest.mark.parametrize(
    ("account", "already", "planned", "is_allowed"),
    [
        ({}, 59, 0, True),
        ({}, 60, 0, False),
        ({}, 59, 1, False),
        ({"dials_per_minute": 3}, 2, 0, True),
        ({"dials_per_minute": 3}, 3, 0, False),
        ({"dials_per_minute": 0}, 0, 0, False),
        ({"dials_per_minute": 100}, 99, 0, True),
    ],
)
async def test_dials_per_minute(
    database: Database, account: dict[str, Any], already: int, planned: int, is_allowed: bool
) -> None:
    """Calls and further legs count together; incoming and older calls do not."""

    def happen(connection: Connection) -> str:
        prepare(connection, **account)
        done = {"state": SessionState.ENDED}
        dialled(connection, 70, created_us=NOW_US - 60_000_000, **done)
        dialled(connection, 70, direction=Direction.INBOUND, **done)
        dialled(connection, already // 2, created_us=NOW_US - 59_999_999, **done)
        dialled(connection, id="S-1-a", txn_ref="AA-S-1-a", **{**done, "created_us": 1})
        for number in range(2, 2 + already - already // 2):
            leg = a_leg(f"leg_{number}", number=number, created_us=NOW_US)
            further_legs.insert(connection, leg)
        if is_allowed:
            return ask(connection, planned_dials=planned).dest
        return refused(connection, planned_dials=planned)

    outcome = DEST if is_allowed else "error_rate_limit_exceeded"
    assert await database.run(happen) == outcome


async def test_calls_at_once(database: Database) -> None:
    """Incoming calls count, ended ones do not, and a further leg needs no place of its own."""

    def happen(connection: Connection) -> None:
        prepare(connection, max_calls=2)
        dialled(connection, state=SessionState.ENDED)
        dialled(connection, direction=Direction.INBOUND, state=SessionState.RINGING)
        assert ask(connection).dest == DEST
        dialled(connection, kind=SessionKind.CONFERENCE, state=SessionState.ENDING)
        assert refused(connection) == "error_concurrent_call_limit_reached"
        assert ask(connection, counts_as_call=False).dest == DEST

    await database.run(happen)


ORDER: list[tuple[dict[str, Any], str]] = [
    ({"dest": "+65"}, "error_dest_invalid"),
    ({"dest": "+33123456789"}, "error_dest_not_supported"),
    ({"caller_id": "+6581111111"}, "error_caller_id_invalid"),
    ({"dest": "+442079460000"}, "error_call_service_not_available"),
]


async def test_order_of_checks(database: Database) -> None:
    """With everything wrong, what the request shows comes first and the limits last."""

    def happen(connection: Connection) -> list[str]:
        carrier = replace(CARRIER, prefixes=("+65",))
        prepare(
            connection,
            carriers=(carrier,),
            credit=Thousandths(0),
            dials_per_minute=0,
            spend_per_day=0,
            max_calls=1,
        )
        dialled(connection)
        statuses = [refused(connection, **fields) for fields, _ in ORDER]
        for cured in ({"credit": 1000}, {"spend_per_day": None}, {"dials_per_minute": None}):
            statuses.append(refused(connection))
            accounts.update_account(connection, "acc_1", **cured)
        return [*statuses, refused(connection)]

    assert await database.run(happen) == [
        *(status for _, status in ORDER),
        "error_insufficient_credit",
        "error_insufficient_credit",
        "error_rate_limit_exceeded",
        "error_concurrent_call_limit_reached",
    ]


async def attempt(database: Database, rules: OutgoingRules = RULES) -> str:
    """Authorise and store one call, as `place_call` does; the status where it was refused."""

    def happen(connection: Connection) -> str:
        allowed = ask(connection, rules=rules)
        dialled(connection, state=SessionState.EXECUTING)
        return allowed.dest

    try:
        return await database.run(happen)
    except InvalidRequest as refusal:
        return refusal.status


async def test_exactly_as_many_calls_when_100_come_at_once(database: Database) -> None:
    """A hundred requests in the same moment, eight places: eight calls."""
    await database.run(lambda connection: prepare(connection, dials_per_minute=1000))
    outcomes = await asyncio.gather(*(attempt(database) for _ in range(100)))
    assert Counter(outcomes) == {DEST: 8, "error_concurrent_call_limit_reached": 92}
    count = await database.run(lambda connection: sessions.count_live(connection, "acc_1"))
    assert count == 8


async def test_two_hundred_dials_in_a_second(database: Database) -> None:
    """A stolen token dials as fast as it can: sixty numbers a minute hear from it, no more."""
    await database.run(lambda connection: prepare(connection, max_calls=1000))
    outcomes = await asyncio.gather(*(attempt(database) for _ in range(200)))
    assert Counter(outcomes) == {DEST: 60, "error_rate_limit_exceeded": 140}


async def test_spending_is_capped_when_all_come_at_once(database: Database) -> None:
    """Calls that ring are counted with their first minute: no burst gets past the cap."""
    cap = Thousandths(5 * 40)
    await database.run(lambda connection: prepare(connection, max_calls=1000, spend_per_day=cap))

    async def one() -> str:
        def happen(connection: Connection) -> str:
            allowed = ask(connection)
            dialled(connection, state=SessionState.EXECUTING, rate=allowed.price.rate)
            return allowed.dest

        try:
            return await database.run(happen)
        except InvalidRequest as refusal:
            return refusal.status

    outcomes = await asyncio.gather(*(one() for _ in range(50)))
    assert Counter(outcomes) == {DEST: 5, "error_insufficient_credit": 45}
