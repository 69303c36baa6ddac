"""What an application asks about calls: one call's status, its history, and a price.

`docs/decisions/0038-meaning-of-query-fields.md` says what the fields mean for each kind of
call. Real clients depend on details: everything is text, `duration` and `debit` are absent
while a call goes on, and the two statuses stand there under both spellings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from voiceblocks.accounts.model import Application
from voiceblocks.blocks.get_history import GetHistoryCommand
from voiceblocks.blocks.get_rate import GetRateCommand
from voiceblocks.blocks.query_status import QueryStatusCommand
from voiceblocks.clock import Clock
from voiceblocks.database import accounts, call_history, further_legs, sessions, tariffs
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import ContractViolation, InvalidRequest
from voiceblocks.money import Thousandths, format_amount
from voiceblocks.notifications.parameters import format_date
from voiceblocks.notifications.words import ONGOING, status_word
from voiceblocks.sessions.model import Direction, FurtherLeg, Session
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.keep_books import available
from voiceblocks.workflows.notify_application import rate_of

_MINUTES_MOST = 2**31 - 1
"What clients read into 32 bits."


class QueryCalls:
    """
    Fulfils what the HTTP front needs to tell about calls.

    Args:
        database: The node's database.
        clock: For the end of a history that names none.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def query_status(self, app: Application, command: QueryStatusCommand) -> dict[str, Any]:
        """
        Tell what became of a call of this application, whatever its kind.

        Raises:
            InvalidRequest: If there is no such call, or it is another application's.
        """
        return await self._database.read(
            lambda connection: _query_status(connection, app, command.txn_ref)
        )

    async def get_history(self, app: Application, command: GetHistoryCommand) -> dict[str, Any]:
        """List a page of this application's calls, newest first."""
        now_us = self._clock.utc_us()
        return await self._database.read(
            lambda connection: _get_history(connection, app, command, now_us)
        )

    async def get_rate(self, app: Application, command: GetRateCommand) -> dict[str, Any]:
        """Tell what a minute between two numbers costs, and how many the credit pays for."""
        return await self._database.read(lambda connection: _get_rate(connection, app, command))


def _query_status(connection: Connection, app: Application, txn_ref: str) -> dict[str, Any]:
    session = sessions.find_by_txn_ref(connection, txn_ref)
    if session is None:
        raise InvalidRequest("error_txn_ref_invalid")
    if session.app_id != app.id:
        raise InvalidRequest("error_txn_ref_access_denied")
    return _entry(session, further_legs.list_of_session(connection, session.id))


def _get_history(
    connection: Connection, app: Application, command: GetHistoryCommand, now_us: int
) -> dict[str, Any]:
    from_us = 0 if command.from_us is None else command.from_us
    to_us = now_us if command.to_us is None else command.to_us
    found = call_history.page(
        connection,
        app.id,
        from_us,
        to_us,
        skip=(command.page - 1) * command.page_size,
        limit=command.page_size,
    )
    legs = further_legs.list_of_sessions(connection, [session.id for session in found])
    return {
        "total_entries_count": str(call_history.count(connection, app.id, from_us, to_us)),
        "entries_count": str(len(found)),
        "entries": [_entry(session, legs[session.id]) for session in found],
    }


def _get_rate(connection: Connection, app: Application, command: GetRateCommand) -> dict[str, Any]:
    account = accounts.find_account(connection, app.account_id)
    if account is None:
        raise ContractViolation(f"application {app.id} has no account")
    prices = [
        tariffs.price_for(connection, Direction.OUTBOUND, dest, account.currency)
        for dest in (command.dest1, command.dest2)
    ]
    rate = Thousandths(sum(price.rate for price in prices))
    return {
        "currency": account.currency,
        "rate": format_amount(rate),
        "talktime": str(_minutes_for(available(connection, account), rate)),
    }


def _entry(session: Session, legs: Sequence[FurtherLeg]) -> dict[str, str]:
    """One call, as its status and as an entry of the history."""
    has_ended = session.state is SessionState.ENDED
    is_incoming = session.direction is Direction.INBOUND
    second = _second_party(legs)
    status1 = status_word(session.disposition) if has_ended else ONGOING
    status2 = "" if second is None else status_word(second.disposition)
    entry = {
        "txn_ref": session.txn_ref,
        "tag": session.last_tag,
        "date": format_date(session.created_us),
        "dest1": session.from_number if is_incoming else session.to_number,
        "dest2": "" if second is None else second.dest,
        "call_status_dest1": status1,
        "call_status_dest2": status2,
        # As the official Java client reads them.
        "call_status_dest_1": status1,
        "call_status_dest_2": status2,
        "currency": session.currency,
        "rate": format_amount(rate_of(session, legs)),
    }
    if is_incoming:
        entry["number"] = session.to_number
    if session.room is not None:
        entry["room"] = session.room
    if has_ended:
        entry["duration"] = str(session.duration_min or 0)
        entry["debit"] = format_amount(session.debit or Thousandths(0))
    return entry


def _second_party(legs: Sequence[FurtherLeg]) -> FurtherLeg | None:
    """Whom the first was connected with last, else who was called last."""
    answered = [leg for leg in legs if leg.answered_us is not None]
    return next(reversed(answered or legs), None)


def _minutes_for(credit: Thousandths, rate: Thousandths) -> int:
    """Whole minutes; none without credit, and a great many where they cost nothing."""
    if credit <= 0:
        return 0
    return _MINUTES_MOST if rate <= 0 else min(credit // rate, _MINUTES_MOST)
