"""The story of one call: everything that is known of it, in order, and why it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.calls.why import CallEnd, LastBlock, why_it_ended
from voiceblocks.database import (
    charges,
    further_legs,
    notification_attempts,
    notifications,
    recordings,
    sessions,
    stories,
)
from voiceblocks.errors import StoreError
from voiceblocks.log import get_logger
from voiceblocks.money import format_amount
from voiceblocks.notifications.model import Attempt, Notification
from voiceblocks.notifications.state import NotificationState
from voiceblocks.recordings.model import Recording
from voiceblocks.sessions.model import BlockRun, Direction, FurtherLeg, Session
from voiceblocks.stories.model import AnyEvent
from voiceblocks.stories.packing import unpack
from voiceblocks.workflows.story_moments import Moment, moments_of, moments_of_attempts

__all__ = ["Moment", "Story", "tell_story"]

_log = get_logger("story")

MOST_ATTEMPTS = 500
_SAME_MOMENT_US = 50_000
_NOT_TAKEN = frozenset({NotificationState.SUPERSEDED, NotificationState.GIVEN_UP})


@dataclass(frozen=True, slots=True)
class Story:
    """A call with everything that belongs to it."""

    session: Session
    why: str
    moments: tuple[Moment, ...]
    legs: tuple[FurtherLeg, ...]
    runs: tuple[BlockRun, ...]
    recordings: tuple[Recording, ...]
    notifications: tuple[Notification, ...]
    attempts: tuple[Attempt, ...]
    events: tuple[AnyEvent, ...]
    "What was noted while it happened, in order; nothing of it once the keep time is over."

    @property
    def began_us(self) -> int:
        """When its first moment was: the INVITE comes before the call that it makes."""
        return min(self.session.created_us, self.moments[0].at_us)

    @property
    def last_attempts(self) -> dict[str, Attempt]:
        """Of each notification that was tried the last attempt, by the notification's id."""
        return {attempt.notification_id: attempt for attempt in self.attempts}

    @property
    def leg_names(self) -> dict[str, str]:
        """What legs are called in words, by their ids; that of the first is empty."""
        return _names(self.legs)


def tell_story(
    connection: Connection,
    session_or_txn: str,
    *,
    account_id: str | None = None,
    show_number: Callable[[str], str] = str,
) -> Story | None:
    """
    Return the story of a call; `None` where there is none, or it is another account's.

    Args:
        connection: Of the caller's transaction.
        session_or_txn: Its session id or transaction reference.
        account_id: Whose it must be; anybody's if omitted.
        show_number: How the numbers of other people are shown; our own stand as they are.
    """
    session = sessions.find(connection, session_or_txn) or sessions.find_by_txn_ref(
        connection, session_or_txn
    )
    if session is None or account_id not in {None, session.account_id}:
        return None
    legs = tuple(further_legs.list_of_session(connection, session.id))
    runs = tuple(sessions.list_runs(connection, session.id))
    recorded = tuple(recordings.list_of_session(connection, session.id))
    told = tuple(notifications.list_of_session(connection, session.id))
    attempts = tuple(notification_attempts.list_of_session(connection, session.id, MOST_ATTEMPTS))
    events = tuple(_events_of(connection, session.id))
    tried = {attempt.notification_id for attempt in attempts}
    leg_names = _names(legs)
    moments = [
        *_of_call(session, show_number),
        *moments_of(events, leg_names),
        *moments_of_attempts(attempts, {one.id: one for one in told}),
        *(moment for leg in legs for moment in _of_leg(leg, show_number)),
        *(moment for run in runs for moment in _of_run(run)),
        *(moment for recording in recorded for moment in _of_recording(recording)),
        *(moment for one in told for moment in _of_notification(one, was_kept=one.id in tried)),
        *(
            Moment(
                charge.created_us,
                "charge",
                f"charged {format_amount(charge.amount)} {charge.currency}",
            )
            for charge in charges.list_of_legs(connection, session.id, 1 + len(legs))
        ),
    ]
    why = why_it_ended(_end_of(session, runs, told))
    ordered = tuple(sorted(moments, key=lambda moment: moment.at_us))
    return Story(session, why, ordered, legs, runs, recorded, told, attempts, events)


def _names(legs: tuple[FurtherLeg, ...]) -> dict[str, str]:
    return {"": "first leg"} | {leg.id: f"leg {leg.number}" for leg in legs}


def _events_of(connection: Connection, session_id: str) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    for batch in stories.list_of_session(connection, session_id):
        try:
            events += unpack(batch)
        except StoreError:
            _log.warning("story_batch_unreadable", session=session_id)
    return sorted(events, key=lambda event: event.at_us)


def _end_of(
    session: Session, runs: tuple[BlockRun, ...], told: tuple[Notification, ...]
) -> CallEnd | None:
    if session.disposition is None:
        return None
    return CallEnd(
        Disposition(session.disposition),
        incoming=session.direction is Direction.INBOUND,
        cause=None if session.end_cause is None else CallEndCause(session.end_cause),
        sip_status=session.end_status,
        last=_last_block(session, runs, told),
    )


def _last_block(
    session: Session, runs: tuple[BlockRun, ...], told: tuple[Notification, ...]
) -> LastBlock | None:
    if not runs:
        return None
    run = runs[-1]
    reason = None if run.end_reason is None else EndReason(run.end_reason)
    ended_us, finished_us = session.ended_us or 0, run.finished_us or 0
    last_told = next((one for one in reversed(told) if one.block == run.block), None)
    return LastBlock(
        block=run.block,
        reason=reason,
        ended_with_it=abs(ended_us - finished_us) < _SAME_MOMENT_US,
        was_told=last_told is None or last_told.state not in _NOT_TAKEN,
        is_last=run.notify_url is None,
    )


def _of_call(session: Session, show: Callable[[str], str]) -> Iterator[Moment]:
    incoming = session.direction is Direction.INBOUND
    caller = show(session.from_number) if incoming else session.from_number
    called = session.to_number if incoming else show(session.to_number)
    yield Moment(session.created_us, "call", f"call from {caller} to {called}")
    if session.answered_us is not None:
        yield Moment(session.answered_us, "call", "answered")
    if session.ended_us is not None:
        yield Moment(session.ended_us, "call", f"ended: {session.disposition}")


def _of_leg(leg: FurtherLeg, show: Callable[[str], str]) -> Iterator[Moment]:
    name = f"leg {leg.number} to {show(leg.dest)}"
    yield Moment(leg.created_us, "leg", f"{name} dialled")
    if leg.answered_us is not None:
        yield Moment(leg.answered_us, "leg", f"{name} answered")
    if leg.ended_us is not None:
        yield Moment(leg.ended_us, "leg", f"{name} ended: {leg.disposition}")


def _of_run(run: BlockRun) -> Iterator[Moment]:
    yield Moment(run.created_us, "block", f"{run.block} accepted")
    if run.finished_us is not None:
        yield Moment(run.finished_us, "block", f"{run.block} ended: {run.end_reason}")


def _of_recording(recording: Recording) -> Iterator[Moment]:
    if recording.ready_us is not None:
        seconds = (recording.duration_ms or 0) / 1000
        what = f"recording {recording.id} ready: {seconds:.3f} s"
        yield Moment(recording.ready_us, "recording", what, recording.id)


def _of_notification(one: Notification, *, was_kept: bool) -> Iterator[Moment]:
    """What is known of it; with its attempts, which are forgotten at some time, only its end."""
    said = f"notification {one.sequence} ({one.block})"
    if one.first_attempt_us is not None and not was_kept:
        yield Moment(one.first_attempt_us, "notification", f"{said} sent", one.id)
    if one.settled_us is not None:
        what = f"{said}: {one.state.value}"
        yield Moment(one.settled_us, "notification", what, one.id)
