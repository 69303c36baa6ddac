"""`voiceblocks number`: what rings where, and numbers that applications may subscribe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voiceblocks.accounts.model import Number
from voiceblocks.cli import accounts as account_commands
from voiceblocks.cli.output import Json, moment, read_table, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import accounts, number_stock
from voiceblocks.money import format_amount
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import manage_numbers
from voiceblocks.workflows.change_number import change_number
from voiceblocks.workflows.disable import disable_number, require_number

app = account_commands.number

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]

STOCK = ("number", "country", "state", "status")
RATES = ("country", "months", "currency", "rate")


NumberArgument = Annotated[str, typer.Argument(metavar="NUMBER", help="Such as +6531580000.")]


@app.command("show")
def show(phone_number: NumberArgument, as_json: Json = False) -> None:
    """Show whose a number is, where it rings and until when."""
    with open_store(as_json) as store:
        found = store.run(lambda c: require_number(c, phone_number))
    _tell_number(as_json, found)


@app.command("set")
def change(
    phone_number: NumberArgument,
    to_app: Annotated[
        str | None, typer.Option("--app", help="app_id of the application that answers it now.")
    ] = None,
    notify_url: Annotated[
        str | None, typer.Option(help="Told when it is called; none: it cannot be reached.")
    ] = None,
    auto_extend: Annotated[
        bool | None, typer.Option(help="Whether a subscribed number is paid for again.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change what a number rings, from the next call on."""
    with open_store(as_json) as store:
        changed = store.run(
            lambda c: change_number(
                c, phone_number, app_id=to_app, notify_url=notify_url, auto_extend=auto_extend
            )
        )
    _tell_number(as_json, changed)


@app.command("disable")
def disable(phone_number: NumberArgument, as_json: Json = False) -> None:
    """Let a number be unreachable (480 for who calls it); calls that are running go on."""
    with open_store(as_json) as store:
        now_us = SystemClock().utc_us()
        changed = store.run(lambda c: disable_number(c, phone_number, now_us))
    _tell_number(as_json, changed)


@app.command("enable")
def enable(phone_number: NumberArgument, as_json: Json = False) -> None:
    """Let a disabled number ring again."""
    with open_store(as_json) as store:
        changed = store.run(lambda c: disable_number(c, phone_number, None))
    _tell_number(as_json, changed)


def _tell_number(as_json: bool, found: Number) -> None:
    state = "enabled" if found.disabled_us is None else "disabled"
    expires = None if found.expires_us is None else moment(found.expires_us)
    facts = {
        "number": found.number,
        "app_id": found.app_id,
        "notify_url": found.notify_url,
        "state": state,
        "expires": expires,
        "auto_extend": found.auto_extend,
    }
    words = facts | {
        "notify_url": found.notify_url or "none: it cannot be reached",
        "expires": expires or "never",
        "auto_extend": "yes" if found.auto_extend else "no",
    }
    tell(as_json, facts, "\n".join(f"{name:14}{value}" for name, value in words.items()))


@app.command("load")
def load(file: File, as_json: Json = False) -> None:
    """Add numbers that may be subscribed: CSV with number and, if you like, state,state_name."""
    with open_store(as_json) as store:
        text = read_table(file)
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
            text = read_table(file)
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
