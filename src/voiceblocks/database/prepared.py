"""Statements of SQLAlchemy Core that are compiled once, and then given to the driver as text.

`connection.execute` looks a statement up, makes a context, a compiled set of parameters and a
result for it each time: 50 to 100 us where the driver and SQLite together take 10, and a request
for a block has a dozen statements. What is prepared here differs from that in nothing else:
SQLAlchemy writes the text and the order of the parameters, and its types convert what goes in and
comes out, on SQLite and PostgreSQL (decision 61).

What it cannot do it refuses when it is first used: lists of a length that is known only then
(`in_` of a parameter), and values that SQLAlchemy would make itself (defaults in Python).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter, itemgetter, methodcaller
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import ClauseElement, ColumnElement, Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import ExpandedState, SQLCompiler

from voiceblocks.errors import ContractViolation

Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = Mapping[str, Any]
_Convert: TypeAlias = Callable[[Any], Any]

_NONE: Final[Values] = {}
_ONE: Final = methodcaller("fetchone")
_ALL: Final = methodcaller("fetchall")
_COUNT: Final = attrgetter("rowcount")


class Plan:
    """
    A statement as one dialect's driver takes it, for one set of named values.

    Args:
        text: What the driver is given.
        bind: Makes the driver's parameters of the values, by name.
        columns: That it returns.
        dialect: Whose driver.
    """

    def __init__(
        self,
        text: str,
        bind: Callable[[Values], Any],
        columns: Sequence[ColumnElement[Any]],
        dialect: Dialect,
    ) -> None:
        self.text, self.bind = text, bind
        self.names = tuple(column.name for column in columns)
        self._types = [column.type.dialect_impl(dialect) for column in columns]
        self._dialect = dialect
        self._conversions: list[tuple[int, _Convert]] | None = None

    def converted(self, rows: list[Row], cursor: Any) -> list[Row]:
        """Rows as SQLAlchemy would return them."""
        if self._conversions is None:
            self._conversions = self._look(cursor.description)
        if not self._conversions:
            return rows
        found = []
        for row in rows:
            columns = list(row)
            for at, convert in self._conversions:
                columns[at] = convert(columns[at])
            found.append(tuple(columns))
        return found

    def _look(self, description: Sequence[Any]) -> list[tuple[int, _Convert]]:
        """Which columns the driver returns otherwise than they are meant, and what to do."""
        made = (
            (at, kind.result_processor(self._dialect, described[1]))
            for at, (kind, described) in enumerate(zip(self._types, description, strict=False))
        )
        return [(at, convert) for at, convert in made if convert is not None]


class Prepared:
    """
    A statement that is asked again and again with other values.

    Its functions take a connection as all repositories do, in a transaction of which it is a part,
    and raise what SQLAlchemy would: the kinds of `sqlalchemy.exc.DBAPIError`.

    Args:
        statement: With named parameters. For an insert or update the names of the values also say
            which columns are set, as in `connection.execute`.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self.statement = statement
        self._plans: dict[tuple[str, ...], Plan] = {}

    def first(self, connection: Connection, values: Values = _NONE) -> Row | None:
        """Return the first row, `None` where there is none."""
        plan, cursor, row = self._ask(connection, values, _ONE)
        return None if row is None else plan.converted([row], cursor)[0]

    def all(self, connection: Connection, values: Values = _NONE) -> list[Row]:
        """Return all rows."""
        plan, cursor, rows = self._ask(connection, values, _ALL)
        return plan.converted(rows, cursor)

    def value(self, connection: Connection, values: Values = _NONE) -> Any:
        """Return the first column of the first row, `None` where there is no row."""
        row = self.first(connection, values)
        return None if row is None else row[0]

    def first_by_name(
        self, connection: Connection, values: Values = _NONE
    ) -> dict[str, Any] | None:
        """Return the first row by the names of its columns, `None` where there is none."""
        row = self.first(connection, values)
        if row is None:
            return None
        return dict(zip(self.plan(connection.dialect, values).names, row, strict=True))

    def all_by_name(self, connection: Connection, values: Values = _NONE) -> list[dict[str, Any]]:
        """Return all rows by the names of their columns."""
        names = self.plan(connection.dialect, values).names
        return [dict(zip(names, row, strict=True)) for row in self.all(connection, values)]

    def change(self, connection: Connection, values: Values = _NONE) -> int:
        """Run an insert, update or delete without RETURNING; returns how many rows it met."""
        return int(self._ask(connection, values, _COUNT)[2])

    def _ask(
        self, connection: Connection, values: Values, take: Callable[[Any], Any]
    ) -> tuple[Plan, Any, Any]:
        """Run it; returns how, the driver's cursor, and what `take` takes of that."""
        plan = self.plan(connection.dialect, values)
        driver = _driver_of(connection)
        try:
            cursor = driver.execute(plan.text, plan.bind(values))
            return plan, cursor, take(cursor)
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_sqlalchemy_does(connection, plan, error) from error

    def change_each(self, connection: Connection, values: Sequence[Values]) -> None:
        """Run it with one set of values after another; all have the same names."""
        if not values:
            return
        plan = self.plan(connection.dialect, values[0])
        driver = _driver_of(connection)
        try:
            driver.cursor().executemany(plan.text, [plan.bind(one) for one in values])
        except connection.dialect.loaded_dbapi.Error as error:
            raise _as_sqlalchemy_does(connection, plan, error) from error

    def plan(self, dialect: Dialect, values: Iterable[str]) -> Plan:
        """
        Return how the driver is asked, made at the first time.

        Args:
            dialect: Of the connection.
            values: The names of the values.

        Raises:
            ContractViolation: If it is a statement that cannot be prepared.
        """
        key = (dialect.name, *values)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _plan(self.statement, dialect, key[1:])
        return plan


def _driver_of(connection: Connection) -> Any:
    """The driver's own connection, in a transaction of SQLAlchemy's."""
    if not connection.in_transaction():
        # As its own `execute` does.
        connection.begin()
    return connection.connection.dbapi_connection


def _as_sqlalchemy_does(connection: Connection, plan: Plan, error: Exception) -> BaseException:
    """What SQLAlchemy would raise; a connection that is lost is never used again."""
    dialect = connection.dialect
    is_lost = dialect.is_disconnect(cast("Any", error), connection.connection, None)
    if is_lost:
        connection.invalidate(error)
    # Without the parameters: tokens, numbers and links.
    return DBAPIError.instance(
        plan.text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    )


def _plan(statement: ClauseElement, dialect: Dialect, names: Sequence[str]) -> Plan:
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    assert isinstance(compiled, SQLCompiler)
    _require_plain(compiled)
    # Lists that the statement itself holds are written out; that wants some value for the rest.
    asked_for = {bind.key: None for bind in compiled.bind_names if bind.required}
    state = compiled.construct_expanded_state(asked_for)
    converts = dict(state.processors)
    for bind, name in compiled.bind_names.items():
        if convert := bind.type.dialect_impl(dialect).bind_processor(dialect):
            converts[name] = convert
    columns = list(getattr(statement, "exported_columns", ()))
    return Plan(
        state.statement, _binder(state, converts, asked_for.keys() | set(names)), columns, dialect
    )


def _require_plain(compiled: SQLCompiler) -> None:
    """Refuse what SQLAlchemy can do only when it has the values."""
    if compiled.prefetch:
        raise ContractViolation("a statement with defaults in Python cannot be prepared")
    for bind in compiled.bind_names:
        if bind.required and (bind.expanding or bind.literal_execute):
            raise ContractViolation(f"the list {bind.key}, of unknown length, cannot be prepared")


def _binder(
    state: ExpandedState, converts: Mapping[str, _Convert], names: AbstractSet[str]
) -> Callable[[Values], Any]:
    """What turns values by name into what the driver takes."""
    constants = {
        name: converts[name](value) if name in converts else value
        for name, value in state.parameters.items()
        if name not in names
    }
    own = [(name, convert) for name, convert in converts.items() if name in names]
    pick = _picker(state.positiontup)

    def bind(values: Values) -> Any:
        filled = {**constants, **values}
        for name, convert in own:
            filled[name] = convert(filled[name])
        return pick(filled)

    return bind if constants or own else pick


def _picker(order: Sequence[str] | None) -> Callable[[Values], Any]:
    """What puts values by name into the order of the text, where the driver counts them."""
    match order:
        case None:
            return dict
        case []:
            return lambda _values: ()
        case [only]:
            return lambda values: (values[only],)
        case _:
            return itemgetter(*order)
