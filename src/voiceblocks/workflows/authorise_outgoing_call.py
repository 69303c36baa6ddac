"""Whether an account may call a number now, by which trunks, and at what price (decision 9).

One workflow for every way out: dial, transfer, `voice/call`, conference. Toll fraud is the
first attack on a server such as this, so nothing is open by default, and what is open is
capped. It runs inside the transaction that stores the call, with the account's row locked:
whatever is counted here is counted for one request after another, also when many come at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks import e164
from voiceblocks.accounts.destinations import is_well_formed, may_call
from voiceblocks.accounts.model import Account, Application
from voiceblocks.billing.model import Price
from voiceblocks.blocks.numbers import PRIVATE
from voiceblocks.database import (
    accounts,
    allowed_prefixes,
    further_legs,
    sessions,
    tariffs,
    trunks,
)
from voiceblocks.errors import InvalidRequest
from voiceblocks.log import get_logger
from voiceblocks.money import NOTHING, Thousandths
from voiceblocks.trunks.choice import candidates
from voiceblocks.trunks.model import Trunk
from voiceblocks.workflows.hold_credit import affords

_log = get_logger("calls")

DIALS_PER_MINUTE = 60
_MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRules:
    """What the node's settings say about outgoing calls, where an account says nothing."""

    node: str
    max_calls_per_account: int
    dials_per_minute: int = DIALS_PER_MINUTE
    dest1_sees_dest2: bool = True
    "In `voice/call`; else what the account shows where a request has no caller_id."


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRequest:
    """Somebody is to be called."""

    account: Account
    "As `find_account_for_update` gave it in this transaction: locked."
    app: Application
    dest: str
    "`+` and digits."
    caller_id: str | None = None
    "What the far end is to see; `None`: the account's own number."
    caller_number: str | None = None
    "The caller of the call that is transferred, whose number may be shown as well."
    status_name: str = "dest"
    "How the request calls `dest`, for the statuses: `dest`, `dest1` or `dest2`."
    counts_as_call: bool = True
    "False for a further leg of a call that counts already."
    planned_dials: int = 0
    "Numbers that this request dials as well and that are not stored yet."
    planned_hold: Thousandths = NOTHING
    "What those hold."
    now_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorised:
    """Go ahead."""

    dest: str
    caller: str
    "What the far end sees: `+…` or `private`."
    price: Price
    "Fixed now."
    trunks: tuple[Trunk, ...]
    "Best first; at least one."

    @property
    def hold(self) -> Thousandths:
        """What the leg must hold from now on: its first block."""
        return self.price.cost_of(1)


def authorise_outgoing_call(
    connection: Connection, request: OutgoingRequest, rules: OutgoingRules
) -> Authorised:
    """
    Return how a number is to be called.

    Raises:
        InvalidRequest: With the documented status of the first reason why not.
    """
    try:
        return _authorise(connection, request, rules)
    except InvalidRequest as refusal:
        _log.warning(
            "outgoing_call_refused",
            account=request.account.id,
            app=request.app.id,
            dest=e164.masked(request.dest),
            status=refusal.status,
        )
        raise


def _authorise(
    connection: Connection, request: OutgoingRequest, rules: OutgoingRules
) -> Authorised:
    account, dest = request.account, request.dest
    if not is_well_formed(dest):
        raise InvalidRequest(f"error_{request.status_name}_invalid")
    if account.is_trial and dest != account.registered_number:
        raise InvalidRequest("error_not_allowed_for_trial")
    if not may_call(dest, allowed_prefixes.list_of_account(connection, account.id)):
        raise InvalidRequest(f"error_{request.status_name}_not_supported")
    caller = _caller_for(connection, request)
    carriers = candidates(trunks.list_trunks(connection), dest)
    if not carriers:
        raise InvalidRequest("error_call_service_not_available")
    price = tariffs.price_for(connection, "outbound", dest, account.currency)
    _require_money(connection, request, price)
    _require_pace(connection, request, rules)
    if request.counts_as_call:
        limit = account.max_calls or rules.max_calls_per_account
        if sessions.count_live(connection, account.id) >= limit:
            raise InvalidRequest("error_concurrent_call_limit_reached")
    return Authorised(dest=dest, caller=caller, price=price, trunks=carriers)


def _caller_for(connection: Connection, request: OutgoingRequest) -> str:
    """What the far end sees: never a number that is somebody else's."""
    account, asked = request.account, request.caller_id
    if asked is None:
        if account.registered_number is not None:
            return account.registered_number
        numbers = accounts.list_numbers_of_account(connection, account.id)
        return next((n.number for n in numbers if n.app_id == request.app.id), PRIVATE)
    if asked in (PRIVATE, account.registered_number, request.caller_number):
        return asked
    numbers = accounts.list_numbers_of_account(connection, account.id)
    if asked not in {number.number for number in numbers}:
        raise InvalidRequest("error_caller_id_invalid")
    return asked


def _require_money(connection: Connection, request: OutgoingRequest, price: Price) -> None:
    is_paid = affords(
        connection,
        request.account,
        price.cost_of(1),
        request.now_us,
        planned=request.planned_hold,
        n_planned=request.planned_dials,
    )
    if not is_paid:
        raise InvalidRequest("error_insufficient_credit")


def _require_pace(connection: Connection, request: OutgoingRequest, rules: OutgoingRules) -> None:
    account = request.account
    since_us = request.now_us - _MINUTE_US + 1
    dialled = (
        sessions.count_dialled_since(connection, account.id, since_us)
        + further_legs.count_since(connection, account.id, since_us)
        + request.planned_dials
    )
    limit = account.dials_per_minute
    if dialled >= (rules.dials_per_minute if limit is None else limit):
        raise InvalidRequest("error_rate_limit_exceeded")
