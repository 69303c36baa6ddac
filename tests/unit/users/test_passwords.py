"""Passwords: which will do, which is right, and what happens to who guesses."""

from __future__ import annotations

import pytest

from voiceblocks.users import passwords


def test_only_the_password_is_right() -> None:
    """A hash takes its own password alone; without a hash none is right."""
    hashed = passwords.hash_password("correct horse battery")
    assert passwords.is_right(hashed, "correct horse battery")
    assert not passwords.is_right(hashed, "correct horse batterz")
    assert not passwords.is_right(None, "correct horse battery")
    assert not passwords.is_right("no hash", "correct horse battery")
    assert "correct" not in hashed


@pytest.mark.parametrize(
    ("password", "is_weak"),
    [
        ("short", True),
        ("a" * 20, True),
        ("olivia-olivia", True),
        ("OLIVIA 1234 5678", True),
        ("x1y2z3" * 40, True),
        ("correct horse battery", False),
    ],
)
def test_what_is_easy_to_guess_is_refused(password: str, is_weak: bool) -> None:
    """Too short, too long, of few characters, or made of the name."""
    assert (passwords.weakness_of(password, "olivia") is not None) is is_weak


def test_who_guesses_waits_longer_each_time() -> None:
    """Five mistakes are free; then the wait doubles up to an hour and stays there."""
    waits = [passwords.locked_for_s(count) for count in range(40)]
    assert waits[:5] == [0] * 5
    assert waits[5:8] == [30, 60, 120]
    assert waits == sorted(waits)
    assert waits[-1] == 3600
