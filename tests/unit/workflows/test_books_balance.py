"""Whatever happens to calls, in whatever order: the books balance, and each leg is paid once."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection

from tests.unit.workflows.billed_calls import FREE_NUMBER, OUR_NUMBER, SECOND_US, BilledCalls
from voiceblocks.billing.model import EntryKind
from voiceblocks.calls.events import Disposition, Refusal
from voiceblocks.database import accounts, charges, sessions
from voiceblocks.database.migrate import upgrade
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest, VoiceblocksError
from voiceblocks.ids import SessionId
from voiceblocks.sessions.model import FurtherLeg, Session
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.keep_books import available, check_books

T = TypeVar("T")

DESTS = ["+6561234567", "+6567654321", "+6591234567", "+6598765432", "+6580000000"]
OVERDRAFT = 15
NOT_ANSWERED = [Disposition.BUSY, Disposition.NO_ANSWER, Disposition.FAILED]


class _Died(Exception):
    """The process dies inside a transaction."""


def cost(rate: int, block_s: int, answered_us: int | None, until_us: int) -> int:
    """What a leg costs, counted block by block and not by a formula."""
    if answered_us is None:
        return 0
    blocks = 0
    while answered_us + blocks * block_s * SECOND_US < until_us:
        blocks += 1
    thousandths, rest = divmod(rate * blocks * block_s, 60)
    return thousandths + (1 if rest else 0)


def owed(session: Session, legs: list[FurtherLeg], paid_us: int | None = None) -> dict[str, int]:
    """The charges that an ended call must have if it was paid so far; free legs have none."""
    end_us = session.ended_us
    assert end_us is not None

    def until(us: int) -> int:
        return us if paid_us is None else min(us, paid_us)

    rows = [(1, session.rate, session.block_s, session.answered_us, until(end_us))]
    rows += [(g.number, g.rate, g.block_s, g.answered_us, until(g.ended_us or 0)) for g in legs]
    amounts = {f"chg_{session.id}_{n}": cost(*rest) for n, *rest in rows}
    return {name: amount for name, amount in amounts.items() if amount}


class Books(RuleBasedStateMachine):
    """Calls, their retries, crashes and payments, one after another in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="vb-books-")
        url = f"sqlite:///{Path(self._folder.name)}/books.db"
        upgrade(url)
        self.database = Database(url)
        self.calls = BilledCalls()
        self.known: list[SessionId] = []

    def teardown(self) -> None:
        self.database.close()
        self._folder.cleanup()

    def run(self, fn: Callable[[Connection], T]) -> T | None:
        """In one transaction; a refusal is an answer, too."""
        try:
            return self.database.run_sync(fn)
        except (InvalidRequest, VoiceblocksError):
            return None

    def twice(self, fn: Callable[[Connection], Any]) -> None:
        """The first time the process dies before the commit; then the event is told again."""

        def die(connection: Connection) -> None:
            fn(connection)
            raise _Died

        with pytest.raises((_Died, VoiceblocksError)):
            self.database.run_sync(die)
        self.run(fn)

    def pick(self, data: Any, state: Callable[[Session], bool]) -> SessionId | None:
        found = [s for s in self.known if state(self.look(s))]
        return data.draw(st.sampled_from(found)) if found else None

    def look(self, session_id: SessionId) -> Session:
        return self.database.run_sync(lambda c: self.calls.session(c, session_id))

    @initialize(credit=st.integers(0, 600), bonus=st.integers(0, 100))
    def open(self, credit: int, bonus: int) -> None:
        self.run(lambda c: self.calls.prepare(c, credit, bonus=bonus, overdraft=OVERDRAFT))

    @rule(seconds=st.sampled_from([0.5, 1, 5, 6, 30, 58, 59.999, 60, 61, 119, 200]))
    def time_passes(self, seconds: float) -> None:
        self.calls.clock.now_us += round(seconds * SECOND_US)

    @rule(number=st.sampled_from([OUR_NUMBER, FREE_NUMBER]))
    def somebody_calls(self, number: str) -> None:
        decision = self.run(lambda c: self.calls.comes_in(c, number))
        if decision is not None and not isinstance(decision, Refusal):
            self.known.append(decision)

    @rule(dest=st.sampled_from(DESTS))
    def dial(self, dest: str) -> None:
        self._add(self.run(lambda c: [self.calls.dial(c, dest)]))

    @rule(dests=st.lists(st.sampled_from(DESTS), min_size=2, max_size=2, unique=True))
    def connect_two(self, dests: list[str]) -> None:
        self._add(self.run(lambda c: [self.calls.call(c, *dests)]))

    @rule(dests=st.lists(st.sampled_from(DESTS), min_size=1, max_size=3, unique=True))
    def conference(self, dests: list[str]) -> None:
        self._add(self.run(lambda c: self.calls.conference(c, *dests)))

    def _add(self, made: list[SessionId] | None) -> None:
        self.known += made or []

    @rule(data=st.data())
    def first_leg_is_answered(self, data: Any) -> None:
        chosen = self.pick(
            data, lambda s: s.answered_us is None and s.state is not SessionState.ENDED
        )
        if chosen is not None:
            self.twice(lambda c: self.calls.answered(c, chosen))

    @rule(data=st.data(), dests=st.lists(st.sampled_from(DESTS), min_size=1, max_size=3))
    def transfer(self, data: Any, dests: list[str]) -> None:
        chosen = self.pick(
            data, lambda s: s.state in (SessionState.RINGING, SessionState.EXECUTING)
        )
        if chosen is not None:
            self.run(lambda c: self.calls.transfer(c, chosen, *dict.fromkeys(dests)))

    @rule(data=st.data(), answers=st.booleans())
    def something_about_a_further_leg(self, data: Any, answers: bool) -> None:
        chosen = self.pick(data, lambda s: s.answered_us is not None and s.ended_us is None)
        if chosen is None:
            return
        legs = self.database.run_sync(lambda c: self.calls.legs(c, chosen))
        if not legs:
            return
        leg = data.draw(st.sampled_from(list(legs)))
        if answers and leg.answered_us is None:
            self.twice(lambda c: self.calls.leg_answered(c, leg))
        else:
            how = Disposition.BUSY if leg.answered_us is None else Disposition.ANSWERED
            self.twice(lambda c: self.calls.leg_ended(c, leg, how))

    @rule()
    def the_meter_strikes(self) -> None:
        """For all calls; one whose credit is used up is ended, as the node does."""
        for session_id in self.known:
            hold = self.run(lambda c, s=session_id: self.calls.meter(c, s))
            if hold is not None and hold.is_used_up:
                self.twice(lambda c, s=session_id: self.calls.ended(c, s))
                told = self.database.run_sync(lambda c, s=session_id: self.calls.told(c, s))
                assert told[-1]["call_end"] == "credit_used_up"

    @rule(data=st.data(), how=st.sampled_from(NOT_ANSWERED))
    def a_call_ends(self, data: Any, how: Disposition) -> None:
        """Also one that has ended already: late events are normal."""
        chosen = self.pick(data, lambda _: True)
        if chosen is not None:
            was_up = self.look(chosen).answered_us is not None
            reached = Disposition.ANSWERED if was_up else how
            self.twice(lambda c: self.calls.ended(c, chosen, reached))

    @precondition(lambda self: self.known)
    @rule()
    def the_server_dies(self) -> None:
        self.twice(self.calls.crash)

    @rule(amount=st.integers(1, 200), kind=st.sampled_from([EntryKind.TOP_UP, EntryKind.BONUS]))
    def pay_in(self, amount: int, kind: EntryKind) -> None:
        self.twice(lambda c: self.calls.receive(c, amount, kind))

    @invariant()
    def books_balance(self) -> None:
        self.database.run_sync(self._check)

    def _check(self, connection: Connection) -> None:
        if not accounts.list_accounts(connection):
            return
        assert check_books(connection) == []
        account = self.calls.account(connection)
        assert account.bonus >= 0
        assert account.credit >= -OVERDRAFT
        assert available(connection, account) >= 0
        for session_id in self.known:
            session = self.calls.session(connection, session_id)
            paid = {c.id: c.amount for c in charges.list_of_session(connection, session_id)}
            if session.state is not SessionState.ENDED:
                assert paid == {}
                continue
            legs = list(self.calls.legs(connection, session_id))
            assert session.held == 0
            in_full, as_held = owed(session, legs), owed(session, legs, session.paid_until_us)
            # Nothing is charged beyond the hold where the credit was used up.
            assert paid == as_held or (session.credit_ended_us is None and paid == in_full)
            assert session.debit == sum(paid.values())
            # What was seen alive is paid for: a crash loses less than a minute of it.
            if session.answered_us is not None and session.rate and session.metered_us:
                seen = cost(session.rate, session.block_s, session.answered_us, session.metered_us)
                assert paid.get(f"chg_{session_id}_1", 0) >= seen


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


async def test_two_hundred_calls_at_once_never_pass_the_floor(database: Database) -> None:
    """
    200 calls live at the same time on credit for 130 blocks of them, and all go on until it ends.

    Each transaction that reads the account finds it at its floor or above; when all are over,
    exactly what was there is spent or left, and the books balance.
    """
    calls = BilledCalls()
    credit, block = 130 * 20 + 7, 20
    await database.run(lambda c: calls.prepare(c, credit, bonus=500, overdraft=93))
    total = credit + 500 + 93
    lowest: list[int] = []

    def watched(fn: Callable[[Connection], T]) -> Callable[[Connection], T]:
        def happen(connection: Connection) -> T:
            result = fn(connection)
            account = calls.account(connection)
            lowest.append(account.credit)
            assert available(connection, account) >= 0
            return result

        return happen

    async def one(seed: int) -> str:
        decision = await database.run(watched(calls.comes_in))
        if isinstance(decision, Refusal):
            return "refused"
        await database.run(watched(lambda c: calls.answered(c, decision)))
        for _ in range(random.Random(seed).randrange(6)):
            hold = await database.run(watched(lambda c: calls.meter(c, decision)))
            if hold is None or hold.is_used_up:
                break
            # The clock is everybody's: for each call some more time passes than its own.
            calls.clock.now_us += SECOND_US
        await database.run(watched(lambda c: calls.ended(c, decision)))
        return "ended"

    outcomes = await asyncio.gather(*(one(seed) for seed in range(200)))
    assert outcomes.count("ended") >= total // block // 6
    assert min(lowest) >= -93

    def at_last(connection: Connection) -> None:
        account = calls.account(connection)
        assert check_books(connection) == []
        assert sessions.sum_held(connection, "acc_1") == 0
        spent = sum(
            charge.amount
            for session in sessions.recent(connection, 1000)
            for charge in charges.list_of_session(connection, session.id)
        )
        assert account.credit == credit + 500 - spent

    await database.run(at_last)
