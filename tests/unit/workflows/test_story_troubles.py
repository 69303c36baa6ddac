"""What an application did not take, in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from voiceblocks.notifications.model import Attempt
from voiceblocks.workflows.story_troubles import troubles_of


def told(*outcomes: tuple[int | None, str | None]) -> tuple[str, ...]:
    """What is said of a call whose notifications had these last attempts."""
    attempts = {
        f"evt_{number}": Attempt(f"evt_{number}", 3, 0, 5, status, error, None)
        for number, (status, error) in enumerate(outcomes, start=1)
        if (status, error) != (None, None)
    }
    notifications = [
        SimpleNamespace(id=f"evt_{number}", sequence=number, block="record", host="app.test:80")
        for number in range(1, len(outcomes) + 1)
    ]
    story = SimpleNamespace(notifications=notifications, last_attempts=attempts)
    return tuple(trouble.what for trouble in troubles_of(cast("Any", story)))


def test_what_was_taken_or_never_tried_is_no_trouble() -> None:
    """Nothing is said where every last answer was a success, or nothing was sent yet."""
    assert told((200, None), (204, None), (None, None)) == ()


def test_a_refusal_and_silence_are_told_with_where_to_look() -> None:
    """An answer names its status; none names its cause and the host."""
    refused, silent = told((200, None), (500, None), (None, "connect_failed: refused"))
    assert refused == (
        "The application answered notification 2 (record) with HTTP 500: its own log says why."
    )
    assert silent.startswith(
        "The application was not reached with notification 3 (record): connect_failed: refused."
    )
    assert "app.test:80" in silent


@pytest.mark.parametrize("count", [4, 50])
def test_more_than_three_are_not_listed(count: int) -> None:
    """The first three say what is wrong; a page is not filled with the rest."""
    assert len(told(*[(500, None)] * count)) == 3
