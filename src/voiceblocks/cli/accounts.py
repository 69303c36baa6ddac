"""`voiceblocks account`, and the numbers that an operator gives out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from voiceblocks.accounts.model import Account
from voiceblocks.cli.output import Json, fail, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import accounts, allowed_prefixes, sessions
from voiceblocks.money import Thousandths, format_amount
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import change_account, disable, manage_accounts

account = typer.Typer(no_args_is_help=True, help="Customers: who pays.")
number = typer.Typer(no_args_is_help=True, help="Phone numbers of ours that can be called.")

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT")]
Prefixes = Annotated[
    list[str], typer.Option(help="Beginning of numbers, such as +65; may be given several times.")
]


@account.command("create")
def create_account(
    name: str,
    currency: Annotated[str, typer.Option(help="ISO code, such as SGD.")] = "SGD",
    credit: Annotated[str, typer.Option(help="Amount, such as 100.00.")] = "100.00",
    trial: Annotated[
        bool, typer.Option("--trial", help="It calls its registered number only, until it pays.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make an account."""
    with open_store(as_json) as store:
        made = store.run(
            lambda c: manage_accounts.create_account(
                c,
                name=name,
                currency=currency,
                credit=credit,
                now_us=SystemClock().utc_us(),
                is_trial=trial,
            )
        )
    facts = {"account_id": made.id, "currency": made.currency, "credit": format_amount(made.credit)}
    tell(as_json, facts, f"Account {made.id} with {facts['credit']} {made.currency}")


@account.command("list")
def list_accounts(as_json: Json = False) -> None:
    """Show all accounts and whom they may call."""
    with open_store(as_json) as store:
        found, allowed = store.run(
            lambda c: (accounts.list_accounts(c), allowed_prefixes.by_account(c))
        )
    rows = (_row(a, allowed.get(a.id, ())) for a in found)
    if not as_json:
        rows = ({**row, "may_call": " ".join(row["may_call"]) or "nobody"} for row in rows)
    tell_rows(as_json, "accounts", ("id", "name", "currency", "credit", "may_call"), rows)


@account.command("show")
def show_account(account_id: AccountId, as_json: Json = False) -> None:
    """Show an account with its limits."""
    with open_store(as_json) as store:
        found, allowed, held = store.run(
            lambda c: (
                accounts.find_account(c, account_id),
                allowed_prefixes.list_of_account(c, account_id),
                sessions.sum_held(c, account_id),
            )
        )
        if found is None:
            fail(as_json, f"There is no account {account_id}: see `voiceblocks account list`")
    _tell_account(as_json, found, allowed, held)


@account.command("allow")
def allow(account_id: AccountId, prefix: Prefixes, as_json: Json = False) -> None:
    """Let an account call numbers that begin with a prefix; none at first."""
    with open_store(as_json) as store:
        allowed = store.run(
            lambda c: change_account.allow_prefixes(c, account_id=account_id, prefixes=prefix)
        )
    _tell_allowed(as_json, account_id, allowed)


@account.command("disallow")
def disallow(account_id: AccountId, prefix: Prefixes, as_json: Json = False) -> None:
    """Take allowed prefixes away; calls that are running go on."""
    with open_store(as_json) as store:
        allowed = store.run(
            lambda c: change_account.disallow_prefixes(c, account_id=account_id, prefixes=prefix)
        )
    _tell_allowed(as_json, account_id, allowed)


@account.command("disable")
def disable_account(account_id: AccountId, as_json: Json = False) -> None:
    """Refuse everything that an account asks for, and calls to its numbers.

    What runs ends with its block: no next one is accepted.
    """
    _disable_account(as_json, account_id, SystemClock().utc_us())


@account.command("enable")
def enable_account(account_id: AccountId, as_json: Json = False) -> None:
    """Let a disabled account work again."""
    _disable_account(as_json, account_id, None)


def _disable_account(as_json: bool, account_id: str, at_us: int | None) -> None:
    with open_store(as_json) as store:
        store.run(lambda c: disable.disable_account(c, account_id, at_us))
    state = "enabled" if at_us is None else "disabled"
    facts = {"account_id": account_id, "state": state}
    tell(as_json, facts, f"Account {account_id} is {state}")


@account.command("set")
def set_account(
    account_id: AccountId,
    registered_number: Annotated[
        str | None, typer.Option(help="The customer's own phone, shown when it calls; or none.")
    ] = None,
    dials_per_minute: Annotated[
        str | None, typer.Option(help="Numbers it may call in a minute; none: as the settings say.")
    ] = None,
    spend_per_day: Annotated[
        str | None, typer.Option(help="Amount that all its calls of 24 hours may cost; or none.")
    ] = None,
    max_calls: Annotated[
        str | None, typer.Option(help="Simultaneous calls; none: as the settings say.")
    ] = None,
    recordings_quota_mb: Annotated[
        str | None,
        typer.Option(help="What its recordings may take up, MB; none: as the settings say."),
    ] = None,
    max_numbers: Annotated[
        str | None, typer.Option(help="Numbers it may subscribe; none: as the settings say.")
    ] = None,
    rate_limit_ivr: Annotated[
        str | None,
        typer.Option(help="Blocks and calls per minute, application and API; or none."),
    ] = None,
    rate_limit_query: Annotated[
        str | None, typer.Option(help="Queries per minute, application and API; or none.")
    ] = None,
    overdraft: Annotated[
        str | None, typer.Option(help="How far below zero calls may bring its credit; or none.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="Address that you checked; or none.")] = None,
    country: Annotated[
        str | None, typer.Option(help="Two letters, such as SG; none: its number's.")
    ] = None,
    trial: Annotated[
        bool | None, typer.Option(help="Whether it only tries; a payment ends that, too.")
    ] = None,
    credit_add: Annotated[
        str | None, typer.Option(help="Amount such as 50.00, negative to take some away.")
    ] = None,
    bonus_add: Annotated[
        str | None, typer.Option(help="Amount that is given, and used up before what was paid.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Change an account's number, limits or credit."""
    changes = change_account.AccountChanges(
        registered_number=registered_number,
        dials_per_minute=dials_per_minute,
        spend_per_day=spend_per_day,
        max_calls=max_calls,
        recordings_quota_mb=recordings_quota_mb,
        max_numbers=max_numbers,
        rate_limit_ivr=rate_limit_ivr,
        rate_limit_query=rate_limit_query,
        overdraft=overdraft,
        email=email,
        country=country,
        trial=trial,
        credit_add=credit_add,
        bonus_add=bonus_add,
    )
    with open_store(as_json) as store:
        changed, allowed, held = store.run(
            lambda c: (
                change_account.change_account(
                    c, account_id=account_id, changes=changes, now_us=SystemClock().utc_us()
                ),
                allowed_prefixes.list_of_account(c, account_id),
                sessions.sum_held(c, account_id),
            )
        )
    _tell_account(as_json, changed, allowed, held)


def _status(found: Account) -> str:
    if found.disabled_us is not None:
        return "disabled"
    return "trial" if found.is_trial else "active"


def _row(found: Account, allowed: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": found.id,
        "name": found.name,
        "currency": found.currency,
        "credit": format_amount(found.credit),
        "may_call": list(allowed),
    }


def _tell_account(
    as_json: bool, found: Account, allowed: tuple[str, ...], held: Thousandths
) -> None:
    spend = found.spend_per_day
    quota_bytes = found.recordings_quota_bytes
    facts = {
        **_row(found, allowed),
        "points": format_amount(Thousandths(found.credit - found.bonus)),
        "bonus": format_amount(found.bonus),
        "held": format_amount(held),
        "overdraft": format_amount(found.overdraft),
        "status": _status(found),
        "registered_number": found.registered_number,
        "email": found.email,
        "country": found.country,
        "max_calls": found.max_calls,
        "max_numbers": found.max_numbers,
        "rate_limit_ivr": found.rate_limit_ivr,
        "rate_limit_query": found.rate_limit_query,
        "dials_per_minute": found.dials_per_minute,
        "spend_per_day": None if spend is None else format_amount(spend),
        "recordings_quota_mb": None if quota_bytes is None else quota_bytes // 1_000_000,
    }
    words = {
        "may_call": " ".join(allowed) or "nobody: see `voiceblocks account allow`",
        "registered_number": found.registered_number or "none",
        "email": found.email or "none",
        "country": found.country or "as its number or currency",
        **{name: _or_default(facts[name], "as the settings say") for name in _LIMITS},
        "spend_per_day": _or_default(facts["spend_per_day"], "no limit but the credit"),
    }
    lines = (f"{name:20}{value}" for name, value in (facts | words).items())
    tell(as_json, facts, "\n".join(lines))


_LIMITS = (
    *("max_calls", "max_numbers", "rate_limit_ivr", "rate_limit_query", "dials_per_minute"),
    "recordings_quota_mb",
)


def _or_default(value: Any, default: str) -> Any:
    return default if value is None else value


def _tell_allowed(as_json: bool, account_id: str, allowed: tuple[str, ...]) -> None:
    whom = " ".join(allowed) or "nobody"
    facts = {"account_id": account_id, "may_call": list(allowed)}
    tell(as_json, facts, f"{account_id} may call {whom}")


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
