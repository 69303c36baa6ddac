"""Toll fraud, as a table: which numbers a set of allowed prefixes opens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.accounts.destinations import (
    DestinationKind,
    is_well_formed,
    kind_of,
    may_call,
)

ORDINARY, DEAR, GLOBAL, EMERGENCY = DestinationKind


@pytest.mark.parametrize(
    ("dest", "kind"),
    [
        ("+6591234567", ORDINARY),
        ("+6531580000", ORDINARY),
        ("+12125550123", ORDINARY),
        ("+18005551234", ORDINARY),
        ("+442079460000", ORDINARY),
        ("+80012345678", ORDINARY),
        ("+19005551234", DEAR),
        ("+6519005551234", DEAR),
        ("+449098790879", DEAR),
        ("+448712345678", DEAR),
        ("+447012345678", DEAR),
        ("+33899123456", DEAR),
        ("+3290012345", DEAR),
        # Two digits too many: networks ignore them and connect.
        ("+4990012345678", DEAR),
        ("+881612345678", GLOBAL),
        ("+88216123456", GLOBAL),
        ("+870772001234", GLOBAL),
        ("+8835100123456", GLOBAL),
        ("+979123456789", GLOBAL),
        ("+65999", EMERGENCY),
        ("+65995", EMERGENCY),
        ("+44999", EMERGENCY),
        ("+44112", EMERGENCY),
        ("+1911", EMERGENCY),
        ("+1911555", EMERGENCY),
    ],
)
def test_kinds(dest: str, kind: DestinationKind) -> None:
    """Each number is what its country's plan says, and well formed."""
    assert kind_of(dest) is kind
    assert is_well_formed(dest)


@pytest.mark.parametrize(
    "dest",
    [
        "",
        "+",
        "999",
        "112",
        "911",
        "+999",
        "+112",
        "+911",
        "6591234567",
        "+65 91234567",
        "+659123",
        "+65930",
        "+15551234",
        "+1900555123",
        "+65190012345678",
        "+440207946000",
        "+6591234567;ext=1",
        "+6591234567@carrier.example",
        "+٦٥٩١٢٣٤٥٦٧",
        "sip:+6591234567",
        "room:R1",
        "private",
        "+" + "9" * 30,
    ],
)
def test_what_is_no_number(dest: str) -> None:
    """Short codes, local numbers, second spellings and addresses are not well formed."""
    assert not is_well_formed(dest)


@pytest.mark.parametrize(
    ("dest", "closed", "opened"),
    [
        ("+6591234567", (), ("+65",)),
        ("+6591234567", ("+66", "+6592", "+659123456789", "+44"), ("+6",)),
        ("+6591234567", ("+1", "+65912345678"), ("+1", "+6591234567")),
        ("+19005551234", ("+1", "+19", "+190", "+1901"), ("+1900",)),
        ("+6519005551234", ("+65", "+6", "+6519"), ("+651900",)),
        ("+448712345678", ("+44", "+448", "+4487"), ("+44871",)),
        ("+881612345678", ("+8", "+88", "+65"), ("+881",)),
        ("+979123456789", ("+9", "+97"), ("+979",)),
        ("+65999", ("+65", "+659", "+6599"), ("+65999",)),
        ("+1911", ("+1", "+19", "+191"), ("+1", "+1911")),
        ("+44112", ("+44", "+441", "+4411"), ("+44112",)),
    ],
)
def test_what_opens_a_number(dest: str, closed: tuple[str, ...], opened: tuple[str, ...]) -> None:
    """A short prefix opens a country, and neither its premium numbers nor its police."""
    assert not may_call(dest, ())
    assert not may_call(dest, closed)
    assert may_call(dest, (*closed, *opened))


@given(st.text("0123456789", min_size=3, max_size=14), st.lists(st.text("0123456789", max_size=5)))
def test_nothing_opens_without_a_fitting_prefix(digits: str, prefixes: list[str]) -> None:
    """Whatever the number is, only a prefix of it opens it, and the number itself always does."""
    dest = "+" + digits
    if not is_well_formed(dest):
        return
    allowed = [f"+{prefix}" for prefix in prefixes if prefix]
    if may_call(dest, allowed):
        assert any(dest.startswith(prefix) for prefix in allowed)
    assert may_call(dest, [dest])
