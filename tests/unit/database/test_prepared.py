"""A prepared statement gives the driver what SQLAlchemy would, and returns the same."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Insert,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    event,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.types import TypeEngine

import voiceblocks.database
from tests.unit.database.nouns import a_session, seed
from voiceblocks.database import schema, sessions
from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.database.prepared import Prepared
from voiceblocks.errors import ContractViolation

SOME = {bool: True, bytes: b"\x01\xff", float: 1.5, int: 7, str: "some"}


def all_prepared() -> dict[str, Prepared]:
    """Every statement that a module of the database holds, by where it stands."""
    found = {}
    for module in pkgutil.iter_modules(voiceblocks.database.__path__):
        if not module.ispkg:
            names = vars(importlib.import_module(f"voiceblocks.database.{module.name}"))
            found |= {
                f"{module.name}.{name}": value
                for name, value in names.items()
                if isinstance(value, Prepared)
            }
    return found


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine of a database with tables."""
    opened = open_engine(parse_url(database_url))
    yield opened
    opened.dispose()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is undone."""
    with engine.connect() as opened:
        opened.begin()
        yield opened


def some_of(kind: TypeEngine[Any]) -> Any:
    """A value of a column's type."""
    if isinstance(kind, (String, LargeBinary, Boolean, Integer, Float)):
        return SOME[kind.python_type]
    return 7


def values_for(prepared: Prepared, connection: Connection) -> dict[str, Any]:
    """A value for each parameter that has none of its own, and for each column of an insert."""
    if isinstance(prepared.statement, Insert):
        return {column.name: some_of(column.type) for column in prepared.statement.table.c}
    compiled = prepared.statement.compile(dialect=connection.dialect, column_keys=[])
    return {
        bind.key: some_of(bind.type)
        for bind in compiled.bind_names  # type: ignore[attr-defined]
        if bind.required
    }


def asked_by_sqlalchemy(
    prepared: Prepared, connection: Connection, values: dict[str, Any]
) -> tuple[str, Any]:
    """Statement and parameters as they come to the driver; the answer does not matter."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    with contextlib.suppress(DBAPIError), connection.begin_nested():
        connection.execute(prepared.statement, values)  # type: ignore[call-overload]
    event.remove(connection, "before_cursor_execute", note)
    return next(one for one in asked if "SAVEPOINT" not in one[0])


def plain(parameters: Any) -> Any:
    """Parameters that can be compared: psycopg's `Binary` is equal to nothing but itself."""
    if isinstance(parameters, dict):
        return {name: getattr(value, "obj", value) for name, value in parameters.items()}
    return tuple(parameters)


def test_each_statement_is_what_sqlalchemy_asks(connection: Connection) -> None:
    """Every prepared statement of the tables' modules: the same text, the same parameters."""
    found = all_prepared()
    assert len(found) > 80
    for name, prepared in found.items():
        values = values_for(prepared, connection)
        statement, parameters = asked_by_sqlalchemy(prepared, connection, values)
        plan = prepared.plan(connection.dialect, values)
        assert plan.text == statement, name
        assert plain(plan.bind(values)) == plain(parameters), name


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=str)
def test_rows_of_each_table_are_written_as_sqlalchemy_does(
    connection: Connection, table: Table
) -> None:
    """An insert of all columns, and an update of some: the same text, the same parameters."""
    row = {column.name: some_of(column.type) for column in table.c}
    insert = Prepared(table.insert())
    key = next(iter(table.primary_key))
    changes = {name: value for name, value in row.items() if name != key.name}
    update = Prepared(table.update().where(key == bindparam("row_id")))
    for prepared, values in ((insert, row), (update, {**changes, "row_id": row[key.name]})):
        statement, parameters = asked_by_sqlalchemy(prepared, connection, values)
        plan = prepared.plan(connection.dialect, values)
        assert plan.text == statement
        assert plain(plan.bind(values)) == plain(parameters)


_things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(8)),
    Column("is_good", Boolean),
    Column("data", LargeBinary),
    Column("weight", Float),
)
ROWS = [
    {"id": 1, "name": "a", "is_good": True, "data": b"\0\xff", "weight": 0.25},
    {"id": 2, "name": None, "is_good": None, "data": None, "weight": None},
    {"id": 3, "name": "%s :x ?", "is_good": False, "data": b"", "weight": -1.0},
]
INSERT = Prepared(_things.insert())
ALL = Prepared(select(_things).order_by(_things.c.id))
BY_NAMES = Prepared(
    select(_things.c.id, func.count().label("n"))
    .where(_things.c.name.in_(["a", "b"]), _things.c.id < bindparam("below"))
    .group_by(_things.c.id)
)
RENAME = Prepared(
    _things.update().where(_things.c.id == bindparam("of")).returning(_things.c.is_good)
)


@pytest.fixture
def things(connection: Connection) -> Connection:
    """A table of all types that we use, with a row of values, one of nothing, one of oddities."""
    _things.create(connection)
    INSERT.change_each(connection, ROWS)
    return connection


def test_what_went_in_comes_out_as_sqlalchemy_returns_it(things: Connection) -> None:
    """Values and their types, of every kind of column; by name, and in order."""
    by_sqlalchemy = [tuple(row) for row in things.execute(ALL.statement)]  # type: ignore[call-overload]
    assert ALL.all(things) == by_sqlalchemy == [tuple(row.values()) for row in ROWS]
    assert [[type(one) for one in row] for row in ALL.all(things)] == [
        [type(one) for one in row] for row in by_sqlalchemy
    ]
    assert ALL.all_by_name(things) == ROWS
    assert ALL.first(things) == by_sqlalchemy[0]
    assert ALL.first_by_name(things) == ROWS[0]
    assert ALL.value(things) == 1


def test_no_row_is_none_or_nothing(things: Connection) -> None:
    """Where nothing fits; a list that the statement itself holds may be as long as it is."""
    assert BY_NAMES.all(things, {"below": 9}) == [(1, 1)]
    assert BY_NAMES.all(things, {"below": 1}) == []
    assert BY_NAMES.first(things, {"below": 1}) is None
    assert BY_NAMES.first_by_name(things, {"below": 1}) is None
    assert BY_NAMES.value(things, {"below": 1}) is None


def test_an_update_sets_what_is_named_and_says_how_many(things: Connection) -> None:
    """The same statement with other columns each time; RETURNING gives a converted value."""
    update = Prepared(_things.update().where(_things.c.id == bindparam("of")))
    assert update.change(things, {"of": 1, "name": "new"}) == 1
    assert update.change(things, {"of": 1, "is_good": False, "weight": 2.0}) == 1
    assert update.change(things, {"of": 99, "name": "new"}) == 0
    assert ALL.first_by_name(things) == {**ROWS[0], "name": "new", "is_good": False, "weight": 2.0}
    assert RENAME.value(things, {"of": 3, "name": "c"}) is False
    update.change_each(things, [{"of": 1, "name": "x"}, {"of": 2, "name": "y"}])
    update.change_each(things, [])
    assert [row[1] for row in ALL.all(things)] == ["x", "y", "c"]


def test_errors_are_sqlalchemys_and_tell_no_values(engine: Engine) -> None:
    """A key that is there, a table that is not, a row that nobody refers to rightly."""
    secret = "S-1-secret"
    with engine.connect() as connection:
        seed(connection)
        sessions.insert(connection, a_session(secret))
        with pytest.raises(IntegrityError) as caught, connection.begin_nested():
            sessions.insert(connection, a_session(secret))
        assert caught.value.hide_parameters
        assert caught.value.params is None
        with (
            pytest.raises((OperationalError, ProgrammingError)),
            connection.begin_nested(),
        ):
            Prepared(text("SELECT 1 FROM nowhere")).all(connection)
        assert sessions.find(connection, secret) is not None


def test_a_lost_connection_is_thrown_away(engine: Engine) -> None:
    """As SQLAlchemy does it: the error says so, and the pool gives out another one."""
    if engine.dialect.name == "sqlite":
        pytest.skip("a file is not lost")
    one = Prepared(text("SELECT 1"))
    with engine.connect() as connection:
        connection.begin()
        connection.connection.dbapi_connection.close()  # type: ignore[union-attr]
        with pytest.raises(DBAPIError) as caught:
            one.value(connection)
        assert caught.value.connection_invalidated
        assert connection.invalidated
    with engine.begin() as connection:
        assert one.value(connection) == 1


def test_nothing_is_written_outside_a_transaction(engine: Engine) -> None:
    """Where none was begun one is, as by SQLAlchemy; nobody else sees what it does."""
    with engine.connect() as connection:
        seed(connection)
        sessions.insert(connection, a_session("S-1-a"))
        assert connection.in_transaction()
        connection.rollback()
    with engine.begin() as connection:
        assert sessions.find(connection, "S-1-a") is None


def test_what_cannot_be_prepared_is_refused(connection: Connection) -> None:
    """A list of unknown length, and a default that Python makes."""
    of_list = Prepared(select(_things).where(_things.c.id.in_(bindparam("ids", expanding=True))))
    with pytest.raises(ContractViolation, match="ids"):
        of_list.all(connection, {"ids": [1]})
    made = Table("made", MetaData(), Column("id", Integer, primary_key=True, default=lambda: 1))
    with pytest.raises(ContractViolation, match="defaults"):
        Prepared(made.insert()).change(connection, {})


def test_a_value_that_is_missing_is_an_error(things: Connection) -> None:
    """It is named, and nothing is asked."""
    with pytest.raises((KeyError, ProgrammingError), match="below"):
        BY_NAMES.all(things, {})
