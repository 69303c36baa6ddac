"""`voiceblocks number load|stock|rates|withdraw`: numbers that applications may subscribe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voiceblocks.cli import accounts as account_commands
from voiceblocks.cli.output import Json, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import accounts, number_stock
from voiceblocks.money import format_amount
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import manage_numbers

app = account_commands.number

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]

STOCK = ("number", "country", "state", "status")
RATES = ("country", "months", "currency", "rate")


@app.command("load")
def load(file: File, as_json: Json = False) -> None:
    """Add numbers that may be subscribed: CSV with number and, if you like, state,state_name."""
    with open_store(as_json) as store:
        text = file.read_text(encoding="utf-8")
        added, known = store.run(
            lambda c: manage_numbers.load_numbers(c, text, SystemClock().utc_us())
        )
    facts = {"added": added, "known": known}
    tell(as_json, facts, f"{added} numbers added; {known} were there")


@app.command("stock")
def stock(as_json: Json = False) -> None:
    """Show the numbers that may be subscribed, and who has which."""
    now_us = SystemClock().utc_us()
    with open_store(as_json) as store:
        found, owners = store.run(
            lambda c: (
                number_stock.list_stock(c),
                {one.number: one.app_id for one in accounts.list_numbers(c)},
            )
        )
    rows = (
        {
            "number": one.number,
            "country": one.country,
            "state": one.state,
            "status": owners.get(one.number) or ("rests" if one.free_from_us > now_us else "free"),
        }
        for one in found
    )
    tell_rows(as_json, "stock", STOCK, rows)


@app.command("rates")
def rates(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="CSV with country,months,currency,rate; in place of all that there are.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Load what subscriptions cost, or show it."""
    with open_store(as_json) as store:
        if file is not None:
            text = file.read_text(encoding="utf-8")
            store.run(lambda c: manage_numbers.load_rates(c, text))
        found = store.run(number_stock.list_rates)
    rows = (
        {
            "country": rate.country,
            "months": rate.months,
            "currency": rate.currency,
            "rate": format_amount(rate.rate),
        }
        for rate in found
    )
    tell_rows(as_json, "rates", RATES, rows)


@app.command("withdraw")
def withdraw(phone_number: str, as_json: Json = False) -> None:
    """Offer a number no longer; who has subscribed it keeps it until it expires."""
    with open_store(as_json) as store:
        number = store.run(lambda c: manage_numbers.withdraw_number(c, phone_number))
    tell(as_json, {"number": number}, f"{number} is offered no longer")
