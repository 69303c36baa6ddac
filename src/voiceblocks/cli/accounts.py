"""`voiceblocks account | app | number`."""

from __future__ import annotations

from typing import Annotated

import typer

from voiceblocks.cli.output import Json, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import accounts
from voiceblocks.money import format_amount
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import manage_accounts

account = typer.Typer(no_args_is_help=True, help="Customers: who pays.")
application = typer.Typer(no_args_is_help=True, help="Programs of a customer that drive calls.")
number = typer.Typer(no_args_is_help=True, help="Phone numbers of ours that can be called.")


@account.command("create")
def create_account(
    name: str,
    currency: Annotated[str, typer.Option(help="ISO code, such as SGD.")] = "SGD",
    credit: Annotated[str, typer.Option(help="Amount, such as 100.00.")] = "100.00",
    as_json: Json = False,
) -> None:
    """Make an account."""
    with open_store(as_json) as store:
        made = store.run(
            lambda c: manage_accounts.create_account(
                c, name=name, currency=currency, credit=credit, now_us=SystemClock().utc_us()
            )
        )
    facts = {"account_id": made.id, "currency": made.currency, "credit": format_amount(made.credit)}
    tell(as_json, facts, f"Account {made.id} with {facts['credit']} {made.currency}")


@account.command("list")
def list_accounts(as_json: Json = False) -> None:
    """Show all accounts."""
    with open_store(as_json) as store:
        found = store.run(accounts.list_accounts)
    rows = (
        {"id": a.id, "name": a.name, "currency": a.currency, "credit": format_amount(a.credit)}
        for a in found
    )
    tell_rows(as_json, "accounts", ("id", "name", "currency", "credit"), rows)


@application.command("create")
def create_application(account_id: str, name: str, as_json: Json = False) -> None:
    """Make an application; its access token is shown once."""
    with open_store(as_json) as store:
        key = store.key()
        made, token = store.run(
            lambda c: manage_accounts.create_application(
                c, key, account_id=account_id, name=name, now_us=SystemClock().utc_us()
            )
        )
    tell(
        as_json,
        {"app_id": made.id, "access_token": token},
        f"app_id        {made.id}\naccess_token  {token}   (shown once: keep it)",
    )


@application.command("list")
def list_applications(as_json: Json = False) -> None:
    """Show all applications."""
    with open_store(as_json) as store:
        found = store.run(accounts.list_applications)
    rows = ({"app_id": a.id, "account": a.account_id, "name": a.name} for a in found)
    tell_rows(as_json, "applications", ("app_id", "account", "name"), rows)


@number.command("add")
def add_number(
    phone_number: Annotated[str, typer.Argument(metavar="NUMBER", help="Such as +6531580000.")],
    app: Annotated[str, typer.Option(help="app_id of the application that answers it.")],
    notify_url: Annotated[str | None, typer.Option(help="Told when it is called.")] = None,
    as_json: Json = False,
) -> None:
    """Make a number that can be called."""
    with open_store(as_json) as store:
        made = store.run(
            lambda c: manage_accounts.add_number(
                c,
                number=phone_number,
                app_id=app,
                notify_url=notify_url,
                now_us=SystemClock().utc_us(),
            )
        )
    facts = {"number": made.number, "app_id": made.app_id, "notify_url": made.notify_url}
    tell(as_json, facts, f"{made.number} now rings {made.notify_url or 'nobody: no --notify-url'}")


@number.command("list")
def list_numbers(as_json: Json = False) -> None:
    """Show all numbers."""
    with open_store(as_json) as store:
        found = store.run(accounts.list_numbers)
    rows = ({"number": n.number, "app_id": n.app_id, "notify_url": n.notify_url} for n in found)
    tell_rows(as_json, "numbers", ("number", "app_id", "notify_url"), rows)
