"""A call is over: how long it was and what it costs, in the caller's transaction.

Called by whichever comes first, the end of the running block or the end of the leg;
who comes second finds the session ended.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from voiceblocks.billing.model import Charge
from voiceblocks.billing.rating import debit_for
from voiceblocks.calls.duration import billed_minutes
from voiceblocks.database import accounts, charges, notifications, sessions
from voiceblocks.log import get_logger
from voiceblocks.money import Thousandths
from voiceblocks.sessions.model import Session
from voiceblocks.sessions.state import SessionEvent, advance
from voiceblocks.workflows.notify_application import charge_id

_log = get_logger("calls")


def end_session(
    connection: Connection, session: Session, *, ended_us: int, disposition: str
) -> Session:
    """
    Settle a session that has not ended yet, charge its account, and return it as stored.

    The charge has one id a leg, so it is written once whatever is repeated.
    """
    minutes = billed_minutes(session.answered_us, ended_us)
    debit = debit_for(session.rate, minutes)
    ended = replace(
        session,
        state=advance(session.state, SessionEvent.CALL_ENDED),
        ended_us=ended_us,
        duration_min=minutes,
        debit=debit,
        disposition=disposition,
        run_id=None,
    )
    sessions.update(
        connection,
        session.id,
        state=ended.state,
        ended_us=ended_us,
        duration_min=minutes,
        debit=debit,
        disposition=disposition,
        run_id=None,
    )
    # Nobody waits for a next block any more, so what only asked for one is dropped.
    notifications.supersede(connection, session.id, ended_us)
    if debit:
        charge = Charge(
            id=charge_id(session),
            session_id=session.id,
            account_id=session.account_id,
            amount=debit,
            currency=session.currency,
            created_us=ended_us,
        )
        if charges.insert_once(connection, charge):
            accounts.change_credit(connection, session.account_id, Thousandths(-debit))
    _log.info(
        "call_ended",
        session=session.id,
        disposition=disposition,
        minutes=minutes,
        talk_s=round((ended_us - session.answered_us) / 1e6, 3) if session.answered_us else 0,
    )
    return ended
