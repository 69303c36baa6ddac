"""`voiceblocks export` and `voiceblocks statement`: what bookkeepers take away."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy import Connection

from voiceblocks.billing.statement import Month, Statement, gained, month_of, statement_of
from voiceblocks.cli.bars import Countable, shown
from voiceblocks.cli.output import Json, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import call_history, further_legs, ledger_spans
from voiceblocks.money import Thousandths, format_amount
from voiceblocks.notifications.parameters import format_date
from voiceblocks.sessions.model import Session
from voiceblocks.workflows.manage_accounts import require_account
from voiceblocks.workflows.notify_application import rate_of

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="CSV for bookkeepers, on standard output.")

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT")]
MonthOption = Annotated[str, typer.Option("--month", help="Such as 2026-11, in GMT+8.")]

CALL_COLUMNS = (
    "began", "txn_ref", "session", "direction", "from", "to", "disposition", "minutes",
    "rate", "debit", "currency",
)  # fmt: skip
ENTRY_COLUMNS = ("at", "entry", "kind", "amount", "currency", "from_book", "to_book", "note")

_CALLS_AT_ONCE = 500
"Whose legs are read together: databases take so many parameters, and not any number."


@app.command("calls")
def export_calls(account: AccountId, month: MonthOption, as_json: Json = False) -> None:
    """Write an account's call records of a month, oldest first."""
    span = month_of_option(month)
    with open_store(as_json) as store:
        store.run(lambda c: require_account(c, account))
        found = store.run(lambda c: _calls(c, account, span))
    rows = (
        {
            "began": format_date(call.created_us),
            "txn_ref": call.txn_ref,
            "session": call.id,
            "direction": call.direction.value,
            "from": call.from_number,
            "to": call.to_number,
            "disposition": call.disposition,
            "minutes": call.duration_min,
            "rate": format_amount(rate),
            "debit": None if call.debit is None else format_amount(call.debit),
            "currency": call.currency,
        }
        for call, rate in _gone_through(found, as_json)
    )
    _write(as_json, "calls", CALL_COLUMNS, rows)


@app.command("ledger")
def export_ledger(account: AccountId, month: MonthOption, as_json: Json = False) -> None:
    """Write an account's ledger of a month, oldest first; what it paid is negative."""
    span = month_of_option(month)
    with open_store(as_json) as store:
        store.run(lambda c: require_account(c, account))
        found = store.run(
            lambda c: list(ledger_spans.entries(c, account, span.from_us, span.to_us))
        )
    rows = (
        {
            "at": format_date(entry.created_us),
            "entry": entry.id,
            "kind": entry.kind.value,
            "amount": _signed(gained(account, entry)),
            "currency": entry.currency,
            "from_book": entry.from_book,
            "to_book": entry.to_book,
            "note": entry.note,
        }
        for entry in _gone_through(found, as_json)
    )
    _write(as_json, "entries", ENTRY_COLUMNS, rows)


def statement(account: AccountId, month: MonthOption, as_json: Json = False) -> None:
    """Tell what an account had, gained, paid and kept in a month."""
    span = month_of_option(month)
    with open_store(as_json) as store:
        # In one transaction: a charge that comes meanwhile is in all of it or in nothing.
        owner, made = store.run(lambda c: (require_account(c, account), _made(c, account, span)))
    if as_json:
        tell(as_json, _facts(account, owner.currency, made), "")
        return
    rows: list[dict[str, Any]] = [
        {"what": "at the beginning", "events": None, "amount": _signed(made.opening)}
    ]
    rows += [
        {"what": line.kind.value, "events": line.count, "amount": _signed(line.amount)}
        for line in made.lines
    ]
    rows.append({"what": "at the end", "events": None, "amount": _signed(made.closing)})
    sys.stdout.write(f"{owner.name}, {span.name}, in {owner.currency}\n")
    tell_rows(as_json, "statement", ("what", "events", "amount"), rows)


def _calls(connection: Connection, account: str, span: Month) -> list[tuple[Session, Thousandths]]:
    """Calls, each with its rate as its notification told it: of all legs that were answered."""
    found = call_history.of_account(connection, account, span.from_us, span.to_us)
    rated = []
    for start in range(0, len(found), _CALLS_AT_ONCE):
        some = found[start : start + _CALLS_AT_ONCE]
        legs = further_legs.list_of_sessions(connection, [call.id for call in some])
        rated += [(call, rate_of(call, legs[call.id])) for call in some]
    return rated


def _made(connection: Connection, account: str, span: Month) -> Statement:
    opening = ledger_spans.held_before(connection, account, span.from_us)
    within = ledger_spans.entries(connection, account, span.from_us, span.to_us)
    return statement_of(account, span, opening, within)


def month_of_option(text: str) -> Month:
    """Read `--month`; a wrong one is said in a sentence."""
    try:
        return month_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--month") from error


def _facts(account: str, currency: str, made: Statement) -> dict[str, Any]:
    return {
        "account_id": account,
        "month": made.month.name,
        "currency": currency,
        "opening": _signed(made.opening),
        "lines": [
            {"kind": line.kind.value, "events": line.count, "amount": _signed(line.amount)}
            for line in made.lines
        ],
        "closing": _signed(made.closing),
    }


def _gone_through(found: Countable[T], as_json: bool) -> Iterable[T]:
    """With a bar, unless the rows themselves go to the same terminal."""
    return found if sys.stdout.isatty() else shown(found, "Writing", as_json=as_json)


def _write(
    as_json: bool, name: str, columns: Sequence[str], rows: Iterable[dict[str, Any]]
) -> None:
    if as_json:
        tell_rows(as_json, name, columns, rows)
        return
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({column: _cell(row[column]) for column in columns})


def _cell(value: Any) -> Any:
    """A spreadsheet would run what begins like a formula; a caller chooses what they are called."""
    text = "" if value is None else str(value)
    is_number = text.lstrip("+-").replace(".", "", 1).isdecimal()
    return "'" + text if text[:1] in "=+-@\t\r" and text and not is_number else text


def _signed(amount: int) -> str:
    return format_amount(Thousandths(amount))
