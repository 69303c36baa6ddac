"""A call is over: how long it was and what it costs, in the caller's transaction.

Called by whichever comes first, the end of the running block or the end of the leg;
who comes second finds the session ended.

Every leg is charged for itself: the session's own, and each further one that was answered.
A further leg whose end nobody has told yet (a crash, or it comes a moment later) ends with
the session: it cannot last longer.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from voiceblocks.billing.model import Charge, EntryKind
from voiceblocks.billing.rating import charge_id
from voiceblocks.calls.duration import billed_minutes
from voiceblocks.calls.events import Disposition
from voiceblocks.database import charges, further_legs, notifications, sessions
from voiceblocks.log import get_logger
from voiceblocks.money import NOTHING, Thousandths
from voiceblocks.sessions.model import FurtherLeg, Session
from voiceblocks.sessions.state import SessionEvent, advance
from voiceblocks.workflows.hold_credit import billed_until, leg_meter, metered_legs
from voiceblocks.workflows.keep_books import pay

_log = get_logger("calls")


def end_session(
    connection: Connection, session: Session, *, ended_us: int, disposition: str
) -> Session:
    """
    Settle a session that has not ended yet, charge its account, and return it as stored.

    A charge has one id a leg, so it is written once whatever is repeated.
    """
    legs = further_legs.list_of_session(connection, session.id)
    billed_us = billed_until(connection, session, legs, ended_us)
    own_us = min(ended_us, billed_us)
    minutes = billed_minutes(session.answered_us, own_us)
    debits = {1: metered_legs(session, ())[0].cost_by(own_us)} | {
        leg.number: _settle_leg(connection, leg, ended_us, billed_us) for leg in legs
    }
    debit = Thousandths(sum(debits.values()))
    ended = replace(
        session,
        state=advance(session.state, SessionEvent.CALL_ENDED),
        ended_us=ended_us,
        duration_min=minutes,
        debit=debit,
        held=NOTHING,
        disposition=disposition,
        run_id=None,
        dialog=None,
    )
    sessions.update(
        connection,
        session.id,
        state=ended.state,
        ended_us=ended_us,
        duration_min=minutes,
        debit=debit,
        held=ended.held,
        disposition=disposition,
        run_id=None,
        dialog=None,
    )
    # Nobody waits for a next block any more, so what only asked for one is dropped.
    notifications.supersede(connection, session.id, ended_us)
    _charge(connection, ended, debits)
    _log.info(
        "call_ended",
        session=session.id,
        disposition=disposition,
        minutes=minutes,
        legs=len(debits),
        talk_s=round((ended_us - session.answered_us) / 1e6, 3) if session.answered_us else 0,
    )
    return ended


def _settle_leg(
    connection: Connection, leg: FurtherLeg, ended_us: int, billed_us: int
) -> Thousandths:
    """Write down how a further leg ended, where nobody did, and what it cost."""
    leg_ended_us = ended_us if leg.ended_us is None else leg.ended_us
    debit = leg_meter(leg).cost_by(min(leg_ended_us, billed_us))
    answered = leg.answered_us is not None
    how = Disposition.ANSWERED if answered else Disposition.CANCELLED
    further_legs.update(
        connection,
        leg.id,
        ended_us=leg_ended_us,
        disposition=leg.disposition or how.value,
        debit=debit,
        dialog=None,
    )
    return debit


def _charge(connection: Connection, ended: Session, debits: dict[int, Thousandths]) -> None:
    """Take what the legs cost from the account, each exactly once."""
    for number, amount in debits.items():
        charge = Charge(
            id=charge_id(ended.id, number),
            session_id=ended.id,
            account_id=ended.account_id,
            amount=amount,
            currency=ended.currency,
            created_us=ended.ended_us or 0,
        )
        if amount and charges.insert_once(connection, charge):
            pay(
                connection,
                ended.account_id,
                amount,
                transaction_id=charge.id,
                kind=EntryKind.CALL,
                note=ended.txn_ref,
                at_us=charge.created_us,
            )
