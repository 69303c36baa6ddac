"""Phone numbers as applications send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.blocks.fields import Fields
from voiceblocks.blocks.numbers import CALLER_ID, DESTS, parse_number
from voiceblocks.e164 import is_e164

from . import status_of

NINE = [f"+6591234{n}" for n in range(561, 570)]


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        ("+6591234567", "+6591234567"),
        (" 6591234567", "+6591234567"),
        ("6591234567", "+6591234567"),
        (" +6591234567 ", "+6591234567"),
        ("006591234567", "+6591234567"),
        ("+65 9123-4567", "+6591234567"),
        ("+1 (415) 555.0100", "+14155550100"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+390612345678", "+390612345678"),
    ],
)
def test_numbers_that_are_read(raw: str, number: str) -> None:
    """A lost plus comes back, ornament goes; leading zeros follow the country's number plan."""
    assert parse_number(raw) == number


@pytest.mark.parametrize(
    "raw",
    [
        *("", " ", "+", "nobody", "private", "room:R1", "sip:1@a.example", "+65abc91234567"),
        *("999", "112", "+999", "+65999", "+0123456789", "+6591234567;ext=1", "++6591234567"),
        *("+659123456", "+65912345678", "+9999123456789", "+1234567890123456", "9" * 5000),
        *(
            "\u0661\u0662\u0663\u0664\u0665\u0666\u0667",
            "+\uff16\uff1591234567",
            "+65912345\u0666\u0667",
        ),
    ],
)
def test_numbers_that_are_refused(raw: str) -> None:
    """Short codes, lengths that the country has not, and what is no number at all."""
    assert parse_number(raw) is None


@given(st.text(max_size=30) | st.from_regex(r"[ +0-9().-]{1,24}", fullmatch=True))
def test_any_text_is_a_number_or_none(raw: str) -> None:
    """What comes out is `+` and digits, and reads as itself."""
    number = parse_number(raw)
    assert number is None or (is_e164(number) and parse_number(number) == number)


@pytest.mark.parametrize(
    ("sent", "numbers"),
    [
        ("+6591234567", ("+6591234567",)),
        ("+6591234567,+6598765432", ("+6591234567", "+6598765432")),
        (" 6591234567, 6598765432", ("+6591234567", "+6598765432")),
        ("6598765432 , ,6591234567,", ("+6598765432", "+6591234567")),
        ("+6591234567,6591234567,+65 9123 4567", ("+6591234567",)),
        (",".join(NINE[:8]), tuple(NINE[:8])),
        (",".join([*NINE[:8], *NINE[:8]]), tuple(NINE[:8])),
    ],
)
def test_lists(sent: str, numbers: tuple[str, ...]) -> None:
    """Blanks and empty pieces do no harm, the order is kept, and nobody is called twice."""
    assert DESTS.read(Fields([("dest", sent)])) == numbers


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("", "error_dest_param_missing"),
        (",", "error_dest_invalid"),
        (" ", "error_dest_invalid"),
        ("+6591234567,x", "error_dest_invalid"),
        ("+6591234567;+6598765432", "error_dest_invalid"),
        (",".join(NINE), "error_dest_too_many"),
        ("1," * 500_000, "error_dest_invalid"),
    ],
)
def test_lists_that_are_refused(sent: str, status: str) -> None:
    """One bad number spoils the list, the ninth number is too much."""
    assert status_of(lambda: DESTS.read(Fields([("dest", sent)]))) == status


@pytest.mark.parametrize(
    ("sent", "caller_id"),
    [
        *(
            ("", None),
            (" ", None),
            ("private", "private"),
            ("p", "private"),
            ("Private ", "private"),
        ),
        *(("+6531580000", "+6531580000"), (" 6531580000", "+6531580000"), ("1017", "+1017")),
    ],
)
def test_caller_ids(sent: str, caller_id: str | None) -> None:
    """A number is written as all numbers are; whether it may be shown is asked later."""
    assert CALLER_ID.read(Fields([("caller_id", sent)])) == caller_id


@pytest.mark.parametrize("sent", ["anonymous", "+", "12", "+65x", "P\u00a0"])
def test_caller_ids_that_are_refused(sent: str) -> None:
    """Neither a number nor the word that hides it."""
    fields = Fields([("caller_id", sent)])
    assert status_of(lambda: CALLER_ID.read(fields)) == "error_caller_id_invalid"
