"""What a new notification looks like."""

from __future__ import annotations

import dataclasses

import pytest

from voiceblocks.database import schema
from voiceblocks.notifications.model import Attempt, Notification, is_lasting, new_notification
from voiceblocks.notifications.state import NotificationState


@pytest.mark.parametrize(
    ("block", "call_ended", "lasting"),
    [
        ("answer", False, False),
        ("play", False, False),
        ("gather", False, False),
        ("record", False, True),
        ("monitor", False, True),
        ("answer", True, True),
        ("play", True, True),
        ("hangup", True, True),
    ],
)
def test_what_lasts(block: str, call_ended: bool, lasting: bool) -> None:
    """Recordings and ended calls are told for days, the rest only while the call lives."""
    assert is_lasting(block, call_ended=call_ended) is lasting


def test_new_notification_may_leave_at_once() -> None:
    """A new notification is pending, unsent and due at the time of its fact."""
    made = new_notification(
        notification_id="evt_1",
        session_id="S-1-a",
        sequence=3,
        app_id="app",
        block="play",
        url="http://a/",
        parameters="tag=",
        call_ended=False,
        now_us=7,
    )
    assert made.state is NotificationState.PENDING
    assert (made.attempt_count, made.first_attempt_us, made.next_attempt_us) == (0, None, 7)
    assert not made.lasting


@pytest.mark.parametrize(
    ("kind", "table"),
    [(Notification, schema.notifications), (Attempt, schema.notification_attempts)],
)
def test_fields_are_the_columns(kind: type, table: object) -> None:
    """The values and their tables have the same names, so that rows map by name."""
    columns = [column.name for column in table.columns]  # type: ignore[attr-defined]
    assert [field.name for field in dataclasses.fields(kind)] == columns
