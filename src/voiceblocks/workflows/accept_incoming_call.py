"""A call comes in: whose number is it, may it ring, and the `answer` notification.

Everything in one transaction, so that a call rings only if its application will hear
of it, and an account never has more calls than it may, also when many arrive at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks import e164, ids
from voiceblocks.calls.events import AcceptedCall, IncomingCall, Refusal
from voiceblocks.database import accounts, sessions, tariffs
from voiceblocks.log import get_logger
from voiceblocks.sessions.model import Direction, Session
from voiceblocks.sessions.state import SessionState
from voiceblocks.workflows.hold_credit import affords
from voiceblocks.workflows.notify_application import notify

_log = get_logger("calls")


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """What the node's settings say about new calls."""

    node: str
    max_calls_per_account: int


def accept_incoming_call(
    connection: Connection, call: IncomingCall, rules: AdmissionRules
) -> AcceptedCall | Refusal:
    """Store a ringing session and its notification, or say why not (decision 10)."""
    route = accounts.find_number(connection, call.to_number)
    if route is None:
        return Refusal.UNKNOWN_NUMBER
    expires_us = route.number.expires_us
    if expires_us is not None and expires_us <= call.received_at_us:
        return Refusal.UNKNOWN_NUMBER
    application, notify_url = route.application, route.number.notify_url
    is_disabled = route.number.disabled_us is not None or route.account.disabled_us is not None
    if is_disabled or application.revoked_us is not None or notify_url is None:
        return Refusal.NO_APPLICATION
    # Locked, so that calls that arrive together are counted one after another.
    account = accounts.find_account_for_update(connection, route.account.id) or route.account
    if account.is_trial and call.from_number != account.registered_number:
        return Refusal.NOT_FOR_TRIAL
    price = tariffs.price_for(connection, "inbound", call.to_number, account.currency)
    hold = price.cost_of(1)
    if not affords(connection, account, hold, call.received_at_us):
        return Refusal.NO_CREDIT
    limit = account.max_calls or rules.max_calls_per_account
    if sessions.count_live(connection, account.id) >= limit:
        return Refusal.ACCOUNT_BUSY
    session = Session(
        id=ids.new_session_id(rules.node),
        txn_ref=ids.new_txn_ref(rules.node),
        node=rules.node,
        account_id=account.id,
        app_id=application.id,
        direction=Direction.INBOUND,
        from_number=call.from_number,
        to_number=call.to_number,
        state=SessionState.RINGING,
        last_block="answer",
        last_notify_url=notify_url,
        last_tag="",
        run_id=None,
        notification_count=0,
        currency=account.currency,
        rate=price.rate,
        block_s=price.block_s,
        held=hold,
        debit=None,
        duration_min=None,
        disposition=None,
        # With the session: nobody hears ringing whom the next process could not answer.
        dialog=call.dialog or None,
        created_us=call.received_at_us,
        answered_us=None,
        ended_us=None,
    )
    sessions.insert(connection, session)
    notify(
        connection,
        session,
        block="answer",
        url=notify_url,
        tag="",
        at_us=call.received_at_us,
    )
    _log.info(
        "call_rings",
        session=session.id,
        caller=e164.masked(call.from_number),
        called=e164.masked(call.to_number),
    )
    return AcceptedCall(session.id)
