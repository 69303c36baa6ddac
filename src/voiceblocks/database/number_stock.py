"""Numbers to let, and what they cost.

Functions of a connection inside somebody's transaction; nothing here commits.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, func, select, tuple_

from voiceblocks.accounts.model import NumberRate, StockNumber
from voiceblocks.database import schema
from voiceblocks.database.prepared import Prepared
from voiceblocks.database.rows import insert_row, insert_unless_there
from voiceblocks.money import Thousandths

_stock, _rates, _numbers = schema.number_stock, schema.number_rates, schema.numbers

_IS_TAKEN = select(_numbers.c.number).where(_numbers.c.number == _stock.c.number).exists()
_IS_FREE = (~_IS_TAKEN, _stock.c.free_from_us <= bindparam("now_us"))
_PLACE = (_stock.c.country, _stock.c.state)
_NEXT_PLACE = (
    select(*_PLACE)
    .where(tuple_(*_PLACE) > tuple_(bindparam("country"), bindparam("state")))
    .order_by(*_PLACE)
    .limit(1)
)
_NAMES = (
    select(_stock.c.country_name, _stock.c.state_name)
    .where(_stock.c.country == bindparam("country"), _stock.c.state == bindparam("state"))
    .where(*_IS_FREE)
    .limit(1)
)
_FIND = Prepared(select(_stock).where(_stock.c.number == bindparam("number")))
_FIND_FREE = Prepared(select(_stock).where(_stock.c.number == bindparam("number"), *_IS_FREE))
_ALL = Prepared(select(_stock).order_by(_stock.c.number))
_REST = Prepared(
    _stock.update()
    .where(_stock.c.number == bindparam("its_number"))
    .values(free_from_us=bindparam("until_us"))
)
_DELETE = Prepared(_stock.delete().where(_stock.c.number == bindparam("its_number")))
_RATES = Prepared(select(_rates).order_by(_rates.c.country, _rates.c.currency, _rates.c.months))
_DELETE_RATES = Prepared(_rates.delete())


def insert(connection: Connection, number: StockNumber) -> bool:
    """Insert a number; False, changing nothing, where it is there."""
    return insert_unless_there(connection, _stock, number)


def delete(connection: Connection, number: str) -> bool:
    """Take a number out; who has subscribed it keeps it until it expires."""
    return _DELETE.change(connection, {"its_number": number}) == 1


def find(connection: Connection, number: str) -> StockNumber | None:
    """Return a number of the stock, free or not; `None` where it is none."""
    row = _FIND.first_by_name(connection, {"number": number})
    return None if row is None else StockNumber(**row)


def find_free(connection: Connection, number: str, now_us: int) -> StockNumber | None:
    """Return a number that can be subscribed at `now_us`; `None` where it cannot."""
    row = _FIND_FREE.first_by_name(connection, {"number": number, "now_us": now_us})
    return None if row is None else StockNumber(**row)


def rest(connection: Connection, number: str, until_us: int) -> None:
    """Let a number be subscribed again from then on."""
    _REST.change(connection, {"its_number": number, "until_us": until_us})


def list_stock(connection: Connection) -> list[StockNumber]:
    """Return the whole stock, in order."""
    return [StockNumber(**row) for row in _ALL.all_by_name(connection)]


def places(connection: Connection, now_us: int) -> list[tuple[str, str, str, str]]:
    """Return where there are free numbers: country, state, and their names."""
    found = []
    # From place to place in the index: there are few, and very many numbers of each.
    at = {"country": "", "state": ""}
    while (place := connection.execute(_NEXT_PLACE, at).first()) is not None:
        at = {"country": place.country, "state": place.state}
        names = connection.execute(_NAMES, {**at, "now_us": now_us}).first()
        if names is not None:
            found.append((place.country, place.state, names.country_name, names.state_name))
    return found


def page(
    connection: Connection,
    country: str,
    state: str | None,
    now_us: int,
    *,
    skip: int,
    limit: int,
) -> tuple[int, list[StockNumber]]:
    """Return how many free numbers a country (and state) has, and a page of them."""
    where: list[Any] = [_stock.c.country == country, *_IS_FREE]
    if state is not None:
        where.append(_stock.c.state == state)
    values = {"now_us": now_us}
    count = select(func.count()).select_from(_stock).where(*where)
    rows = select(_stock).where(*where).order_by(_stock.c.number).offset(skip).limit(limit)
    total = int(connection.execute(count, values).scalar_one())
    return total, [StockNumber(**row) for row in connection.execute(rows, values).mappings()]


def replace_rates(connection: Connection, rates: list[NumberRate]) -> None:
    """Put these in place of all rates that there are."""
    _DELETE_RATES.change(connection)
    for rate in rates:
        insert_row(connection, _rates, rate)


def list_rates(connection: Connection) -> list[NumberRate]:
    """Return all rates."""
    return [NumberRate(**row) for row in _RATES.all_by_name(connection)]


def rates_of(connection: Connection, country: str, currency: str) -> dict[int, Thousandths]:
    """Return what a country's numbers cost, by months."""
    return {
        rate.months: rate.rate
        for rate in list_rates(connection)
        if (rate.country, rate.currency) == (country, currency)
    }
