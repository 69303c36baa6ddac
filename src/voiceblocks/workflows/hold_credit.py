"""A call's hold: credit that is kept back for it while it lives, so that it can always be paid.

A first block of each leg is held before anybody is called or answered. While the call goes on
the hold is renewed before it is used up (`meter_calls`), for about a minute at a time; where
the account has no more, or may spend no more in a day, the call ends when what was held is
used up. A late timer costs the operator, not the customer: nothing after `paid_until_us` is
charged. So an account's credit never falls below its floor, however many calls it has.

Functions of a connection. The session's row is locked before its account's, everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks.accounts.model import Account
from voiceblocks.billing.metering import MeteredLeg, held_by, is_free, paid_until
from voiceblocks.billing.model import Price
from voiceblocks.database import accounts, charges, further_legs, sessions
from voiceblocks.errors import ContractViolation
from voiceblocks.log import get_logger
from voiceblocks.money import NOTHING, Thousandths
from voiceblocks.sessions.model import FurtherLeg, Session
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.keep_books import available

_log = get_logger("billing")

DAY_US = 24 * 3600 * 1_000_000
STEP_US = 60_000_000
"How far ahead is held: the first begin of a block that is not sooner."


@dataclass(frozen=True, slots=True)
class Hold:
    """How far a call is paid."""

    paid_until_us: int | None
    "`None`: nothing of it costs anything."
    is_used_up: bool = False
    "It had to end by now."


def metered_legs(session: Session, legs: Sequence[FurtherLeg]) -> list[MeteredLeg]:
    """The legs of a call as they are billed, its own first."""
    own = MeteredLeg(Price(session.rate, session.block_s), session.answered_us, session.ended_us)
    return [own, *(leg_meter(leg) for leg in legs)]


def leg_meter(leg: FurtherLeg) -> MeteredLeg:
    """A further leg as it is billed."""
    return MeteredLeg(Price(leg.rate, leg.block_s), leg.answered_us, leg.ended_us)


def renew_hold(connection: Connection, session_id: str, now_us: int) -> Hold | None:
    """
    Hold what a live call needs next, as far as there is credit; `None` if it has ended.

    Writes down that the call was alive at `now_us`, too: what a crash leaves is billed by that.
    """
    session = sessions.find_for_update(connection, session_id)
    if session is None or session.state is SessionState.ENDED:
        return None
    account = accounts.find_account_for_update(connection, session.account_id)
    if account is None:
        raise ContractViolation(f"session {session_id} has no account")
    legs = metered_legs(session, further_legs.list_of_session(connection, session_id))
    # What it holds is its own, whatever became of the account's credit meanwhile.
    spare = max(NOTHING, available(connection, account))
    money = Thousandths(session.held + spare)
    left = left_of_day(connection, account, now_us, beside=session_id)
    if left is not None:
        money = max(session.held, min(money, left))
    if held_by(legs, now_us) > money:
        return Hold(session.paid_until_us, is_used_up=True)
    until_us = paid_until(legs, now_us, money, at_most_us=now_us + STEP_US)
    if until_us is None and not is_free(legs):
        return Hold(session.paid_until_us, is_used_up=True)
    sessions.update(
        connection,
        session_id,
        held=held_by(legs, now_us if until_us is None else until_us),
        paid_until_us=until_us,
        metered_us=now_us,
    )
    return Hold(until_us)


def affords(
    connection: Connection,
    account: Account,
    hold: Thousandths,
    now_us: int,
    *,
    planned: Thousandths = NOTHING,
    n_planned: int = 0,
) -> bool:
    """
    Whether a leg that holds `hold` may begin: what is free may, whatever is owed.

    Args:
        connection: With the account's row locked.
        account: Who pays.
        hold: Its first block.
        now_us: The present.
        planned: What legs of the same request hold that are not stored yet.
        n_planned: How many those are; for the day's cap each is taken to cost the same.
    """
    if not hold:
        return True
    if available(connection, account) < planned + hold:
        return False
    left = left_of_day(connection, account, now_us)
    return left is None or hold * (1 + n_planned) <= left


def left_of_day(
    connection: Connection, account: Account, now_us: int, *, beside: str | None = None
) -> Thousandths | None:
    """
    Return what may still be held for a call where the operator caps an account's day.

    What ended calls of the last 24 hours cost counts, and what those that live hold, or cost by
    now. So the cap is kept by however many calls, and a call that reaches it ends.

    Args:
        connection: With the account's row locked.
        account: Whose.
        now_us: The present.
        beside: The call's own session, whose costs are not counted.

    Returns:
        `None` without a cap.
    """
    if account.spend_per_day is None:
        return None
    live = [one for one in sessions.list_live(connection, account.id) if one.id != beside]
    further = further_legs.list_of_sessions(connection, [one.id for one in live])
    running = sum(
        max(one.held, held_by(metered_legs(one, further[one.id]), now_us)) for one in live
    )
    spent = charges.sum_since(connection, account.id, now_us - DAY_US)
    return Thousandths(account.spend_per_day - spent - running)


def renew_or_end(connection: Connection, session_id: str, now_us: int) -> Hold | None:
    """Do as `renew_hold` when the hold is due; one that is used up ends the call, for good."""
    hold = renew_hold(connection, session_id, now_us)
    if hold is not None and hold.is_used_up:
        sessions.update(connection, session_id, credit_ended_us=now_us)
        _log.info("credit_used_up", session=session_id)
    return hold


def billed_until(
    connection: Connection, session: Session, legs: Sequence[FurtherLeg], ended_us: int
) -> int:
    """
    Return until when the legs of a call that ended are billed.

    Where it lasted longer than its hold (the database, or the whole machine, stood still), the
    account pays for that too, if it can; where its credit was used up, nobody does.
    """
    ends = [ended_us, *(leg.ended_us for leg in legs if leg.ended_us is not None)]
    paid_us, last_us = session.paid_until_us, max(ends)
    if paid_us is None or last_us <= paid_us:
        return last_us
    account = accounts.find_account_for_update(connection, session.account_id)
    if account is None or session.credit_ended_us is not None:
        return paid_us
    cost = sum(leg.cost_by(last_us) for leg in metered_legs(session, legs))
    spare = max(NOTHING, available(connection, account))
    return last_us if cost <= session.held + spare else paid_us
