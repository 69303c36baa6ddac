"""Randomness is the operating system's, but for simulations."""

from __future__ import annotations

from pathlib import Path
from random import Random, SystemRandom

import voiceblocks
from voiceblocks import ids, randomness

SOURCE = Path(voiceblocks.__file__).parent


def test_it_is_the_operating_systems() -> None:
    """Outside of a simulation nobody can predict an identifier."""
    assert isinstance(randomness.source(), SystemRandom)
    assert ids.new_recording_id() != ids.new_recording_id()
    assert len(ids.new_recording_id()) == len("rec-") + 32


def test_nobody_but_a_simulation_puts_another_in_its_place() -> None:
    """The one way to a seeded source is taken by one module."""
    takers = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "SOURCE" in (text := path.read_text()) and "randomness.SOURCE" in text
    ]
    assert takers == ["testing/simulation/voice.py"]


def test_a_seeded_source_gives_the_same_identifiers() -> None:
    """What a simulation sets is what identifiers are made from, for as long as it is set."""
    made = []
    for _ in range(2):
        token = randomness.SOURCE.set(Random(5))
        made.append((ids.new_session_id("1"), ids.new_recording_id(), randomness.hex_text(7)))
        randomness.SOURCE.reset(token)
    assert made[0] == made[1]
    assert len(made[0][2]) == 7
