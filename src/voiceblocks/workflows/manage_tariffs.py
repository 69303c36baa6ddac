"""Price lists as files: what an operator loads, and gets out again.

```
direction,prefix,currency,rate,block_s
outbound,+65,SGD,0.020,60
inbound,,SGD,0.010,60
```

`rate` is a minute's, `block_s` (60 where it is left out) how long the blocks are in which it is
billed. An empty prefix means all numbers. A file is loaded as a whole or not at all; calls that
are running keep their price.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.billing.model import BLOCK_S, Price, Tariff
from voiceblocks.database import tariffs
from voiceblocks.money import CURRENCIES, Thousandths, format_amount, thousandths_from

_T = TypeVar("_T")

COLUMNS = ("direction", "prefix", "currency", "rate", "block_s")
_DIRECTIONS = {
    "inbound": "inbound",
    "incoming": "inbound",
    "outbound": "outbound",
    "outgoing": "outbound",
}
_PREFIX = re.compile(r"(\+[0-9]{1,15})?\Z", re.ASCII)
_BLOCK_MOST_S = 3600
_RATE_MOST = 1_000_000_000


def load_tariffs(connection: Connection, text: str, *, replaces_all: bool) -> list[Tariff]:
    """
    Take over the price list in `text`: each line replaces the tariff that it is like.

    Args:
        connection: Of the transaction.
        text: The file.
        replaces_all: Whether tariffs that are not in it are dropped.

    Raises:
        ValueError: With the line that is wrong; nothing is changed then.
    """
    found = read_rows(text, ("direction", "prefix", "currency", "rate"), _tariff)
    require_once(((t.direction, t.prefix, t.currency) for t in found), "tariff")
    if replaces_all:
        tariffs.delete_all(connection)
    for tariff in found:
        tariffs.replace(connection, tariff)
    return found


def set_tariff(
    connection: Connection, direction: str, prefix: str, currency: str, rate: str, block_s: str
) -> Tariff:
    """Make one tariff, or change the one that there is."""
    tariff = _tariff(
        {
            "direction": direction,
            "prefix": prefix,
            "currency": currency,
            "rate": rate,
            "block_s": block_s,
        }
    )
    tariffs.replace(connection, tariff)
    return tariff


def show_price(
    connection: Connection, direction: str, number: str, currency: str
) -> tuple[Price, Tariff | None]:
    """Return what a call costs, and the tariff that says so; none: the default price."""
    way, money = _direction(direction), read_currency(currency)
    to = e164.normalise(number)
    if to is None:
        raise ValueError(f"{number} is not a phone number: write it with country code, +6591234567")
    price = tariffs.price_for(connection, way, to, money)
    return price, tariffs.find_for(connection, way, to, money)


def remove_tariff(connection: Connection, direction: str, prefix: str, currency: str) -> Tariff:
    """Delete a tariff; calls that are running keep their price."""
    way, money = _direction(direction), read_currency(currency)
    tariff = tariffs.delete(connection, way, prefix, money)
    if tariff is None:
        raise ValueError(
            f"There is no {way} tariff for {prefix or 'all numbers'} in {money}: see "
            "`voiceblocks tariff list`"
        )
    return tariff


def export_tariffs(found: Iterable[Tariff]) -> str:
    """Return a price list that `load_tariffs` reads back."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (t.direction, t.prefix, t.currency, format_amount(t.rate), t.block_s) for t in found
    )
    return out.getvalue()


def read_rows(
    text: str, needed: Sequence[str], read: Callable[[Mapping[str, str]], _T]
) -> list[_T]:
    """
    Read a CSV file with a line of names at its top.

    Raises:
        ValueError: If a name is missing, or `read` raises it; the line is named.
    """
    # Strict: a quotation mark that nobody closes is a file that was cut off.
    reader = csv.DictReader(
        io.StringIO(text.removeprefix("\ufeff")), skipinitialspace=True, strict=True
    )
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    missing = [name for name in needed if name not in names]
    if missing:
        raise ValueError(
            f"The first line must name the columns, and {', '.join(missing)} is not among them"
        )
    reader.fieldnames = names
    return list(_read_each(reader, read))


def require_once(keys: Iterable[tuple[str, ...]], what: str) -> None:
    """Refuse a file that says two things of one."""
    known: set[tuple[str, ...]] = set()
    for key in keys:
        if key in known:
            raise ValueError(f"The file has two lines for the {what} {' '.join(key).strip()}")
        known.add(key)


def read_rate(text: str) -> Thousandths:
    """Read an amount that is 0 or more."""
    rate = thousandths_from(text)
    if not 0 <= rate <= _RATE_MOST:
        raise ValueError(f"{text!r} is not a rate: write 0 or more, such as 0.020")
    return rate


def read_currency(text: str) -> str:
    """Read one of our currencies."""
    currency = text.upper()
    if currency not in CURRENCIES:
        raise ValueError(f"{text!r} is not a currency we know: choose {', '.join(CURRENCIES)}")
    return currency


def _read_each(
    reader: csv.DictReader[str], read: Callable[[Mapping[str, str]], _T]
) -> Iterator[_T]:
    try:
        for row in reader:
            # Too long a line has its rest under None, too short a one None for what it lacks.
            if None in row:
                raise ValueError("more columns than the first line names")
            yield read({name: (value or "").strip() for name, value in row.items()})
    except (ValueError, csv.Error) as error:
        raise ValueError(f"Line {reader.line_num}: {error}") from error


def _direction(text: str) -> str:
    direction = _DIRECTIONS.get(text.lower())
    if direction is None:
        raise ValueError(f"{text!r} is neither inbound nor outbound")
    return direction


def _tariff(row: Mapping[str, str]) -> Tariff:
    direction = _direction(row["direction"])
    prefix = row["prefix"]
    if _PREFIX.match(prefix) is None:
        raise ValueError(f"{prefix!r} is not a prefix: write +65, or nothing for all numbers")
    block_s = row.get("block_s") or str(BLOCK_S)
    if not (block_s.isascii() and block_s.isdigit()) or not 1 <= int(block_s) <= _BLOCK_MOST_S:
        raise ValueError(f"{block_s!r} is not the length of a block: 1 to {_BLOCK_MOST_S} seconds")
    return Tariff(
        direction, prefix, read_currency(row["currency"]), read_rate(row["rate"]), int(block_s)
    )
