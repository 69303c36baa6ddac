"""Which trunks carry a call."""

from __future__ import annotations

from tests.unit.trunks.nouns import a_trunk
from voiceblocks.trunks.choice import candidates
from voiceblocks.trunks.model import Trunk

DEST = "+6591234567"


def names(*trunks: Trunk, dest: str = DEST) -> list[str]:
    """Names of the trunks that carry `dest`, best first."""
    return [trunk.name for trunk in candidates(trunks, dest)]


def test_the_longest_prefix_comes_first() -> None:
    """A trunk for a narrower range is preferred; the one for everything is the last resort."""
    anything = a_trunk(name="anything", created_us=1)
    country = a_trunk(name="country", prefixes=("+60", "+65"), created_us=2)
    mobile = a_trunk(name="mobile", prefixes=("+659",), created_us=3)
    assert names(anything, country, mobile) == ["mobile", "country", "anything"]


def test_the_oldest_of_equals_comes_first() -> None:
    """A new trunk with the same prefixes changes no route."""
    new = a_trunk(name="a", prefixes=("+65",), created_us=2)
    old = a_trunk(name="b", prefixes=("+65",), created_us=1)
    assert names(new, old) == ["b", "a"]


def test_what_does_not_fit_is_left_out() -> None:
    """Neither another country's trunk nor a disabled one carries the call."""
    other = a_trunk(name="other", prefixes=("+1",))
    disabled = a_trunk(name="disabled", disabled_us=5)
    assert names(other, disabled) == []
    assert names(other, disabled, dest="+12025550100") == ["other"]
