"""The table of call shapes: what each kind of call costs, worked out by hand.

Prices a minute: incoming 0.020, the free number 0.000, outgoing 0.040; mobiles (+659) 0.036 in
blocks of 6 s, of which each costs 0.0036, so that n of them cost 0.0036 n rounded up to a
thousandth; free destinations (+6580) 0.000. The same table stands in `docs/billing.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.unit.workflows.billed_calls import FREE_NUMBER, OUR_NUMBER, SECOND_US, BilledCalls
from voiceblocks.calls.events import Disposition, Refusal
from voiceblocks.database import charges, sessions
from voiceblocks.database.unit_of_work import Database
from voiceblocks.ids import SessionId
from voiceblocks.workflows.keep_books import check_books

LANDLINE, OTHER, MOBILE, FREE = "+6561234567", "+6567654321", "+6591234567", "+6580000000"
CREDIT = 100_000
DOCS = Path(__file__).parents[3] / "docs" / "billing.md"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with tables and nothing in them."""
    opened = Database(database_url)
    yield opened
    opened.close()


class Call:
    """A call of the table, second by second."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.calls = BilledCalls()
        self.calls.prepare(connection, CREDIT)
        self.sessions: list[SessionId] = []

    def wait(self, seconds: float) -> None:
        """Time passes, and the meter strikes as it does in a node: before each minute is over."""
        end_us = self.calls.clock.now_us + round(seconds * SECOND_US)
        while (left_us := end_us - self.calls.clock.now_us) > 0:
            self.calls.clock.now_us += min(left_us, 58 * SECOND_US)
            for session_id in self.sessions:
                self.calls.meter(self.connection, session_id)

    def comes_in(self, number: str = OUR_NUMBER) -> SessionId:
        """It rings for 5 s."""
        session_id = self.calls.comes_in(self.connection, number)
        assert not isinstance(session_id, Refusal)
        return self._begins(SessionId(session_id))

    def dial(self, dest: str) -> SessionId:
        """It rings for 5 s."""
        return self._begins(self.calls.dial(self.connection, dest))

    def _begins(self, session_id: SessionId) -> SessionId:
        self.sessions.append(session_id)
        self.wait(5)
        return session_id

    def answered(self, session_id: SessionId) -> None:
        """The first leg is up."""
        self.calls.answered(self.connection, session_id)

    def ended(self, session_id: SessionId, how: Disposition = Disposition.ANSWERED) -> None:
        """It is over."""
        self.calls.ended(self.connection, session_id, how)

    def connected(self, session_id: SessionId, seconds: float) -> None:
        """The one further leg is answered, they talk, and both leave."""
        (leg,) = self.calls.legs(self.connection, session_id)
        self.calls.leg_answered(self.connection, leg)
        self.wait(seconds)
        self.calls.leg_ended(self.connection, leg, Disposition.ANSWERED)
        self.ended(session_id)


def talk(call: Call, session_id: SessionId, seconds: float) -> None:
    """Answered, and over."""
    call.answered(session_id)
    call.wait(seconds)
    call.ended(session_id)


def incoming(seconds: float, number: str = OUR_NUMBER) -> Callable[[Call], None]:
    """An incoming call of this length."""
    return lambda call: talk(call, call.comes_in(number), seconds)


def dialled(seconds: float, dest: str = LANDLINE) -> Callable[[Call], None]:
    """A dialled call of this length."""
    return lambda call: talk(call, call.dial(dest), seconds)


def not_reached(how: Disposition) -> Callable[[Call], None]:
    """A dialled call that nobody answers."""
    return lambda call: call.ended(call.dial(LANDLINE), how)


def recorded(call: Call) -> None:
    """30 s of an incoming call, 20 of which are recorded."""
    session_id = call.comes_in()
    call.calls.record(call.connection, session_id)
    talk(call, session_id, 30)


def transferred(call: Call) -> None:
    """After 50 s to a number that rings for 20 s and is talked with for 30 s: 100 s in all."""
    session_id = call.comes_in()
    call.answered(session_id)
    call.wait(50)
    call.calls.transfer(call.connection, session_id, LANDLINE)
    call.wait(20)
    call.connected(session_id, 30)


def transferred_in_vain(call: Call) -> None:
    """To a number that is busy: 40 s of the first leg remain."""
    session_id = call.comes_in()
    call.answered(session_id)
    call.wait(30)
    call.calls.transfer(call.connection, session_id, LANDLINE)
    call.wait(10)
    (leg,) = call.calls.legs(call.connection, session_id)
    call.calls.leg_ended(call.connection, leg, Disposition.BUSY)
    call.ended(session_id)


def two_connected(call: Call) -> None:
    """`voice/call`: the second answers 15 s after the first, and they talk for 50 s."""
    session_id = call.calls.call(call.connection, LANDLINE, OTHER)
    call.sessions.append(session_id)
    call.wait(5)
    call.answered(session_id)
    call.wait(15)
    call.connected(session_id, 50)


def conference_of_3(call: Call) -> None:
    """Together for 61, 60 and 10 s."""
    call.sessions += call.calls.conference(call.connection, LANDLINE, OTHER, "+6565550000")
    call.wait(5)
    for session_id in call.sessions:
        call.answered(session_id)
    for session_id, seconds in zip(reversed(call.sessions), (10, 50, 1), strict=True):
        call.wait(seconds)
        call.ended(session_id)


@dataclass(frozen=True)
class Shape:
    """A line of the table; one call each, but for the conference."""

    what: str
    happens: Callable[[Call], None]
    duration: tuple[str, ...]
    rate: tuple[str, ...]
    debit: tuple[str, ...]


SHAPES = [
    Shape("answered, 7 s", incoming(7), ("1",), ("0.020",), ("0.020",)),
    Shape("59 s", incoming(59), ("1",), ("0.020",), ("0.020",)),
    Shape("60 s", incoming(60), ("1",), ("0.020",), ("0.020",)),
    Shape("61 s", incoming(61), ("2",), ("0.020",), ("0.040",)),
    Shape("7 minutes", incoming(420), ("7",), ("0.020",), ("0.140",)),
    Shape("free number, 61 s", incoming(61, FREE_NUMBER), ("2",), ("0.000",), ("0.000",)),
    Shape("dialled, 59 s", dialled(59), ("1",), ("0.040",), ("0.040",)),
    Shape("dialled, 61 s", dialled(61), ("2",), ("0.040",), ("0.080",)),
    # 11 blocks of 6 s: 39.6 thousandths.
    Shape("dialled mobile, 61 s", dialled(61, MOBILE), ("2",), ("0.036",), ("0.040",)),
    Shape("dialled free, 61 s", dialled(61, FREE), ("2",), ("0.000",), ("0.000",)),
    Shape("busy", not_reached(Disposition.BUSY), ("0",), ("0.040",), ("0.000",)),
    Shape("no answer", not_reached(Disposition.NO_ANSWER), ("0",), ("0.040",), ("0.000",)),
    Shape("recorded, 30 s", recorded, ("1",), ("0.020",), ("0.020",)),
    # 2 minutes at 0.020, and the second leg's 30 s: one at 0.040.
    Shape("transferred, 70 s + 30 s", transferred, ("2",), ("0.060",), ("0.080",)),
    Shape("transferred, busy", transferred_in_vain, ("1",), ("0.020",), ("0.020",)),
    # 65 s of the first leg, 50 s of the second.
    Shape("voice/call, 15 s + 50 s", two_connected, ("2",), ("0.080",), ("0.120",)),
    Shape(
        "conference of 3",
        conference_of_3,
        ("2", "1", "1"),
        ("0.040", "0.040", "0.040"),
        ("0.080", "0.040", "0.040"),
    ),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.what)
def test_shape(database: Database, shape: Shape) -> None:
    """The last notification and the account say what was worked out by hand."""

    def happen(connection: Connection) -> None:
        call = Call(connection)
        shape.happens(call)
        last = [call.calls.told(connection, session_id)[-1] for session_id in call.sessions]
        assert tuple(told["duration"] for told in last) == shape.duration
        assert tuple(told["rate"] for told in last) == shape.rate
        assert tuple(told["debit"] for told in last) == shape.debit
        assert not any("call_end" in told for told in last)
        by_hand = sum(round(float(debit) * 1000) for debit in shape.debit)
        assert call.calls.account(connection).credit == CREDIT - by_hand
        paid = [c.amount for s in call.sessions for c in charges.list_of_session(connection, s)]
        assert sum(paid) == by_hand
        assert sessions.sum_held(connection, "acc_1") == 0
        assert check_books(connection) == []

    database.run_sync(happen)


def test_the_page_has_the_same_table() -> None:
    """What users read is what is tested."""
    rows = re.findall(
        r"^\| ([^|]+) \| (\d[\d, ]*) \| (\d[\d., ]*) \| (\d[\d., ]*) \|$",
        DOCS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    told = [(s.what, ", ".join(s.duration), ", ".join(s.rate), ", ".join(s.debit)) for s in SHAPES]
    assert [tuple(cell.strip() for cell in row) for row in rows] == told
