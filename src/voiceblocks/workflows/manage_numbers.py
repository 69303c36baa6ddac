"""Numbers to let, as files: what an operator loads.

```
number,state,state_name            country,months,currency,rate
+6531580001,,                      SG,1,SGD,4.000
+12135550123,CA,California         US,12,SGD,40.000
```

A number's country is that of its plan. A file is loaded as a whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.model import NumberRate, StockNumber
from voiceblocks.blocks.subscribe import TERMS
from voiceblocks.database import number_stock
from voiceblocks.workflows.change_account import read_country
from voiceblocks.workflows.manage_tariffs import (
    read_currency,
    read_rate,
    read_rows,
    require_once,
)

_STATE = re.compile(r"[A-Z0-9]{0,8}\Z")


def load_numbers(connection: Connection, text: str, now_us: int) -> tuple[int, int]:
    """
    Add the numbers of `text` to the stock.

    Returns:
        How many were added, and how many were there already.

    Raises:
        ValueError: With the line that is wrong; nothing is changed then.
    """
    found = read_rows(text, ("number",), lambda row: _stock_number(row, now_us))
    require_once(((one.number,) for one in found), "number")
    added = sum(number_stock.insert(connection, one) for one in found)
    return added, len(found) - added


def load_rates(connection: Connection, text: str) -> list[NumberRate]:
    """
    Put the rates of `text` in place of those that there are.

    Raises:
        ValueError: With the line that is wrong; nothing is changed then.
    """
    found = read_rows(text, ("country", "months", "currency", "rate"), _number_rate)
    require_once(((r.country, str(r.months), r.currency) for r in found), "rate")
    number_stock.replace_rates(connection, found)
    return found


def withdraw_number(connection: Connection, text: str) -> str:
    """Take a number out of the stock; who has it keeps it until it expires."""
    number = e164.normalise(text)
    if number is None or not number_stock.delete(connection, number):
        raise ValueError(f"{text} is not in the stock: see `voiceblocks number stock`")
    return number


def _stock_number(row: Mapping[str, str], now_us: int) -> StockNumber:
    number = e164.normalise(row["number"])
    country = None if number is None else e164.country_of(number)
    if number is None or country is None:
        raise ValueError(f"{row['number']!r} is not a phone number: write it as +6531580000")
    state = row.get("state", "").upper()
    if _STATE.match(state) is None:
        raise ValueError(f"{state!r} is not a state: write its short form, such as CA, or nothing")
    return StockNumber(
        number=number,
        country=country,
        country_name=_country_name(country),
        state=state,
        state_name=row.get("state_name") or state,
        free_from_us=now_us,
        created_us=now_us,
    )


def _number_rate(row: Mapping[str, str]) -> NumberRate:
    if row["months"] not in map(str, TERMS):
        terms = ", ".join(map(str, TERMS))
        raise ValueError(f"{row['months']!r} is no term: choose {terms} months")
    return NumberRate(
        read_country(row["country"]),
        int(row["months"]),
        read_currency(row["currency"]),
        read_rate(row["rate"]),
    )


def _country_name(country: str) -> str:
    """In English; the table is large, so only the command that loads numbers reads it."""
    from phonenumbers.geodata.locale import LOCALE_DATA

    names = LOCALE_DATA.get(country, {})
    # A star leads to the language that writes it the same.
    name = names.get("en", country)
    return names.get(name[1:], country) if name.startswith("*") else name
