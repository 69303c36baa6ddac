"""Write a notification about a session, in the caller's transaction (decision 1)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.billing.rating import charge_id
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.database import further_legs, notifications, sessions
from voiceblocks.money import Thousandths
from voiceblocks.notifications.model import new_notification
from voiceblocks.notifications.parameters import (
    CallFacts,
    EndedCall,
    block_parameters,
    call_parameters,
    encode,
    participant_parameters,
)
from voiceblocks.notifications.words import status_word
from voiceblocks.sessions.model import Direction, FurtherLeg, Session, SessionKind
from voiceblocks.sessions.state import SessionState

_OURS = frozenset({CallEndCause.SERVER_DIED, CallEndCause.SERVER_STOPPED, CallEndCause.MEDIA_LOST})
"Causes for which the blocks of a call end with `server_restart`."


def notify(
    connection: Connection,
    session: Session,
    *,
    block: str,
    url: str,
    tag: str,
    at_us: int,
    specific: Sequence[tuple[str, str]] = (),
) -> None:
    """
    Insert one notification that tells how `session` stands now.

    Args:
        connection: Of the transaction that changed the session.
        session: As it is after the change.
        block: Name of the block that it is about.
        url: The application's notify_url, pass-on parameters included.
        tag: The application's own reference; empty if none.
        at_us: When the fact happened.
        specific: Parameters of this kind of block, in documented order.
    """
    has_ended = session.state is SessionState.ENDED
    pairs = block_parameters(
        block,
        CallFacts(
            session=session.id,
            txn_ref=session.txn_ref,
            from_number=session.from_number,
            to_number=session.to_number,
            dialled=session.direction is Direction.OUTBOUND,
        ),
        tag=tag,
        call_state="ongoing" if session.answered_us is not None else "ringing",
        specific=specific,
        ended=_bill(connection, session) if has_ended else None,
    )
    _insert(connection, session, block=block, url=url, pairs=pairs, at_us=at_us)


def notify_ended(
    connection: Connection,
    session: Session,
    *,
    at_us: int,
    specific: Sequence[tuple[str, str]] = (),
) -> None:
    """
    Tell the end of `session` to whom it heard of last; nobody where there is no such URL.

    What that says depends on what the application had asked for: a call that it drives is
    told as its last block's, a `voice/call` and a conference's participant as themselves.

    Args:
        connection: Of the transaction that ended the session.
        session: As it is after its end.
        at_us: When it ended.
        specific: Parameters of the last block, where the application drove the call.
    """
    url, block = session.last_notify_url, session.last_block
    if url is None:
        return
    if session.kind is SessionKind.IVR:
        tag = session.last_tag
        notify(connection, session, block=block, url=url, tag=tag, at_us=at_us, specific=specific)
        return
    bill = _bill(connection, session)
    reached = status_word(session.disposition)
    if session.kind is SessionKind.CALL:
        dests = [(session.to_number, reached)]
        dests += [
            (leg.dest, status_word(leg.disposition))
            for leg in further_legs.list_of_session(connection, session.id)
        ]
        pairs = call_parameters(
            txn_ref=session.txn_ref, tag=session.last_tag, dests=dests, ended=bill
        )
    else:
        pairs = participant_parameters(
            txn_ref=session.txn_ref,
            tag=session.last_tag,
            room=session.room or "",
            dest=session.to_number,
            status=reached,
            ended=bill,
        )
    _insert(connection, session, block=block, url=url, pairs=pairs, at_us=at_us)


def rate_of(session: Session, legs: Sequence[FurtherLeg]) -> Thousandths:
    """What a minute of a call costs: the sum of its first leg and all that were answered."""
    return Thousandths(session.rate + sum(leg.rate for leg in legs if leg.answered_us is not None))


def _insert(
    connection: Connection,
    session: Session,
    *,
    block: str,
    url: str,
    pairs: Sequence[tuple[str, str]],
    at_us: int,
) -> None:
    notifications.insert(
        connection,
        new_notification(
            notification_id=ids.new_notification_id(),
            session_id=session.id,
            sequence=sessions.next_notification_sequence(connection, session.id),
            app_id=session.app_id,
            block=block,
            url=url,
            parameters=encode(pairs),
            call_ended=session.state is SessionState.ENDED,
            now_us=at_us,
        ),
    )


def _bill(connection: Connection, session: Session) -> EndedCall:
    legs = further_legs.list_of_session(connection, session.id)
    return EndedCall(
        ended_us=session.ended_us or 0,
        duration_min=session.duration_min or 0,
        currency=session.currency,
        rate=rate_of(session, legs),
        debit=session.debit or Thousandths(0),
        # Two notifications may tell of one charge (decision 1); this says that it is one.
        charge_id=charge_id(session.id, 1),
        call_end=_call_end(session),
    )


def _call_end(session: Session) -> str | None:
    """What the application could not know otherwise: neither it nor a side of the call ended it."""
    if session.credit_ended_us is not None:
        return "credit_used_up"
    return "server_restart" if session.end_cause in _OURS else None
