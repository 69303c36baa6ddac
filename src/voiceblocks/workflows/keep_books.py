"""Money moves: the ledger's entries and the account's credit beside them, in one transaction.

The ledger is the truth; `accounts.credit` and `accounts.bonus` are its sums, kept so that a
call's start need not add up years of entries. Nothing else changes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.accounts.model import Account
from voiceblocks.billing.ledger import Purse, balances_after, income, payment
from voiceblocks.billing.model import EntryKind, LedgerEntry
from voiceblocks.database import accounts, ledger, sessions
from voiceblocks.errors import ContractViolation
from voiceblocks.money import NOTHING, Thousandths, format_amount


def pay(
    connection: Connection,
    account_id: str,
    amount: Thousandths,
    *,
    transaction_id: str,
    kind: EntryKind,
    note: str,
    at_us: int,
) -> bool:
    """
    Take `amount` (0 or more) from an account, its bonus first.

    Returns:
        False, changing nothing, where this transaction is entered already.
    """
    purse = _purse(_locked(connection, account_id))
    return _enter(
        connection,
        account_id,
        payment(purse, amount, transaction_id=transaction_id, kind=kind, note=note, at_us=at_us),
    )


def adjust(
    connection: Connection,
    account_id: str,
    amount: Thousandths,
    *,
    kind: EntryKind,
    note: str,
    at_us: int,
) -> None:
    """Enter what the operator gives, or takes from the points where `amount` is negative."""
    purse = replace(_purse(_locked(connection, account_id)), bonus=NOTHING)
    is_taken = amount < 0
    enter = payment if is_taken else income
    entries = enter(
        purse,
        Thousandths(abs(amount)),
        transaction_id=ids.new_payment_id(),
        kind=EntryKind.ADJUSTMENT if is_taken else kind,
        note=note,
        at_us=at_us,
    )
    _enter(connection, account_id, entries)


def available(connection: Connection, account: Account) -> Thousandths:
    """What an account (locked) may still spend: its credit without what live calls hold."""
    held = sessions.sum_held(connection, account.id)
    return Thousandths(account.credit + account.overdraft - held)


def check_books(connection: Connection) -> list[str]:
    """Compare every account's row with its books; a sentence for each that differs."""
    sentences = []
    for account in accounts.list_accounts(connection):
        books = ledger.balances(connection, account.id)
        kept = (account.credit - account.bonus, account.bonus)
        if kept != (books.points, books.bonus):
            sentences.append(
                f"{account.id} has {_amounts(*kept)}, and its books say "
                f"{_amounts(books.points, books.bonus)}"
            )
    return sentences


def _amounts(points: int, bonus: int) -> str:
    points_text, bonus_text = (format_amount(Thousandths(part)) for part in (points, bonus))
    return f"{points_text} points and {bonus_text} bonus"


def _locked(connection: Connection, account_id: str) -> Account:
    account = accounts.find_account_for_update(connection, account_id)
    if account is None:
        raise ContractViolation(f"there is no account {account_id}")
    return account


def _purse(account: Account) -> Purse:
    return Purse(account_id=account.id, currency=account.currency, bonus=account.bonus)


def _enter(connection: Connection, account_id: str, entries: Sequence[LedgerEntry]) -> bool:
    if not entries:
        return True
    if not ledger.enter_once(connection, entries):
        return False
    change = balances_after(account_id, entries)
    accounts.change_credit(
        connection,
        account_id,
        Thousandths(change.points + change.bonus),
        bonus_delta=change.bonus,
    )
    return True
