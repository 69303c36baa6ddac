"""Whose turn it is, where many wait for one child."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters.render.turns import Turns


def drained(turns: Turns[str]) -> list[str]:
    """All, in the order in which they are taken."""
    taken = []
    while turns:
        taken.append(turns.pop())
    return taken


def test_many_of_one_do_not_keep_another_waiting() -> None:
    """Who comes last with one thing is served second, who has many goes on in turn."""
    turns: Turns[str] = Turns()
    for number in range(5):
        turns.append("a", f"a{number}")
    turns.append("b", "b0")
    turns.append("c", "c0")
    turns.append("c", "c1")
    assert drained(turns) == ["a0", "b0", "c0", "a1", "c1", "a2", "a3", "a4"]


def test_what_had_its_turn_before_comes_first() -> None:
    """Jobs of a child that died are repeated before all others, in their order."""
    turns: Turns[str] = Turns()
    turns.append("a", "a0")
    turns.put_back(["x", "y"])
    turns.put_back(["w"])
    assert list(turns)[:3] == ["w", "x", "y"]
    assert drained(turns) == ["w", "x", "y", "a0"]


def test_taking_out() -> None:
    """Wherever a thing waits it can be taken out; who has nothing left has no turn."""
    turns: Turns[str] = Turns()
    turns.append("a", "a0")
    turns.append("b", "b0")
    turns.put_back(["x"])
    for thing in ("x", "a0", "nobody's"):
        turns.remove(thing)
    assert drained(turns) == ["b0"]
    turns.append("a", "a1")
    turns.clear()
    assert not turns
    with pytest.raises(KeyError):
        turns.pop()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_any_order_of_coming_and_going(moves: list[tuple[str, bool]]) -> None:
    """Nothing is lost or doubled, each one's things keep their order, and nobody is passed twice.

    Between two things of one, whoever else waits all the time is served.
    """
    turns: Turns[tuple[str, int]] = Turns()
    waiting: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    passed = {"a": 0, "b": 0, "c": 0}
    for number, (name, comes) in enumerate(moves):
        if comes:
            turns.append(name, (name, number))
            waiting[name].append(number)
        elif turns:
            who, taken = turns.pop()
            assert waiting[who].pop(0) == taken
            passed[who] = 0
            for other in set(waiting) - {who}:
                passed[other] = passed[other] + 1 if waiting[other] else 0
                assert passed[other] <= 2
    assert sorted(turns) == sorted((name, each) for name in waiting for each in waiting[name])
