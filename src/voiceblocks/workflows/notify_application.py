"""Write a notification about a session, in the caller's transaction (decision 1)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.database import notifications, sessions
from voiceblocks.money import Thousandths
from voiceblocks.notifications.model import new_notification
from voiceblocks.notifications.parameters import (
    CallFacts,
    EndedCall,
    block_parameters,
    encode,
)
from voiceblocks.sessions.model import Direction, Session
from voiceblocks.sessions.state import SessionState


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
        ended=_bill(session) if has_ended else None,
    )
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
            call_ended=has_ended,
            now_us=at_us,
        ),
    )


def charge_id(session: Session) -> str:
    """The id of the one charge for this session's first leg."""
    return f"chg_{session.id}_1"


def _bill(session: Session) -> EndedCall:
    return EndedCall(
        ended_us=session.ended_us or 0,
        duration_min=session.duration_min or 0,
        currency=session.currency,
        rate=session.rate,
        debit=session.debit or Thousandths(0),
        # Two notifications may tell of one charge (decision 1); this says that it is one.
        charge_id=charge_id(session),
    )
