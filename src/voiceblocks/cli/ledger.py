"""`voiceblocks ledger`: how money moved, and whether the books are right."""

from __future__ import annotations

from typing import Annotated

import typer

from voiceblocks.cli.output import Json, Most, fail, moment, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import ledger
from voiceblocks.money import format_amount
from voiceblocks.workflows import keep_books, manage_accounts

app = typer.Typer(no_args_is_help=True, help="How money moved between the books.")

COLUMNS = ("at", "transaction", "kind", "from", "to", "amount", "currency", "note")


@app.command("list")
def list_entries(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """Show an account's newest entries."""
    with open_store(as_json) as store:
        store.run(lambda c: manage_accounts.require_account(c, account_id))
        found = store.run(lambda c: ledger.list_of_account(c, account_id, most))
    rows = (
        {
            "at": moment(entry.created_us),
            "transaction": entry.transaction_id,
            "kind": entry.kind.value,
            "from": entry.from_book,
            "to": entry.to_book,
            "amount": format_amount(entry.amount),
            "currency": entry.currency,
            "note": entry.note,
        }
        for entry in found
    )
    tell_rows(as_json, "entries", COLUMNS, rows)


@app.command("check")
def check(as_json: Json = False) -> None:
    """Add up every account's entries and compare; exits with 1 where something differs."""
    with open_store(as_json) as store:
        wrong = store.run(keep_books.check_books)
        if wrong:
            fail(as_json, "; ".join(wrong))
    tell(as_json, {"books": "balanced"}, "The books balance")
