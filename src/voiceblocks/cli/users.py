"""`voiceblocks user`: who may sign in to the console."""

from __future__ import annotations

from typing import Annotated

import typer

from voiceblocks.cli.output import Json, fail, tell, tell_rows
from voiceblocks.cli.store import Store, open_store
from voiceblocks.database import users
from voiceblocks.system_clock import SystemClock
from voiceblocks.users.model import LINK_S
from voiceblocks.workflows import manage_users
from voiceblocks.workflows.manage_users import NewLink

app = typer.Typer(no_args_is_help=True, help="Who may sign in to the console.")

COLUMNS = ("name", "role", "account", "state")


@app.command("add")
def add(
    name: str,
    operator: Annotated[bool, typer.Option("--operator", help="Sees everything.")] = False,
    account: Annotated[str | None, typer.Option(help="Sees this account alone.")] = None,
    as_json: Json = False,
) -> None:
    """Make a user and print a link with which they choose their password."""
    if operator == (account is not None):
        fail(as_json, "Say either --operator or --account ID")
    with open_store(as_json) as store:
        made = store.run(
            lambda c: manage_users.add_user(
                c, name=name, account_id=account, now_us=SystemClock().utc_us()
            )
        )
        _tell_link(as_json, store, made)


@app.command("link")
def link(name: str, as_json: Json = False) -> None:
    """Print a new sign-in link; it also lets somebody in who forgot the password or is locked."""
    with open_store(as_json) as store:
        made = store.run(
            lambda c: manage_users.renew_link(c, name=name, now_us=SystemClock().utc_us())
        )
        _tell_link(as_json, store, made)


@app.command("disable")
def disable(name: str, as_json: Json = False) -> None:
    """Sign a user out everywhere; `user link` lets them in again."""
    with open_store(as_json) as store:
        store.run(lambda c: manage_users.disable_user(c, name=name, now_us=SystemClock().utc_us()))
    tell(as_json, {"disabled": name}, f"{name} is signed out and cannot sign in")


@app.command("list")
def list_users(as_json: Json = False) -> None:
    """Show all users."""
    with open_store(as_json) as store:
        found = store.run(users.list_users)
    rows = (
        {
            "name": user.name,
            "role": user.role.value,
            "account": user.account_id,
            "state": "disabled"
            if user.disabled_us
            else ("active" if user.password_hash else "invited"),
        }
        for user in found
    )
    tell_rows(as_json, "users", COLUMNS, rows)


def _tell_link(as_json: bool, store: Store, made: NewLink) -> None:
    url = f"http://{store.settings.admin_listen}/console/welcome?link={made.secret}"
    facts = {"user": made.user.name, "role": made.user.role.value, "url": url}
    days = LINK_S // 86400
    tell(as_json, facts, f"{made.user.name} signs in, once and within {days} days, at\n{url}")
