"""Rates are found by the longest prefix, and a debit is rate times minutes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.billing.model import Tariff
from voiceblocks.billing.rating import DEFAULT_RATES, debit_for, longest_prefix, rate_from
from voiceblocks.money import CURRENCIES, Thousandths, format_amount

ANYWHERE = Tariff("outbound", "", "SGD", Thousandths(90))
SINGAPORE = Tariff("outbound", "+65", "SGD", Thousandths(20))
MOBILE = Tariff("outbound", "+659", "SGD", Thousandths(35))
MOBILE_USD = Tariff("outbound", "+6591", "USD", Thousandths(25))
INBOUND = Tariff("inbound", "+6531", "SGD", Thousandths(10))
TARIFFS = [MOBILE, ANYWHERE, INBOUND, MOBILE_USD, SINGAPORE]


@pytest.mark.parametrize(
    ("direction", "number", "currency", "tariff"),
    [
        ("outbound", "+6591234567", "SGD", MOBILE),
        ("outbound", "+6561234567", "SGD", SINGAPORE),
        ("outbound", "+65", "SGD", SINGAPORE),
        ("outbound", "+6", "SGD", ANYWHERE),
        ("outbound", "+12025550123", "SGD", ANYWHERE),
        ("outbound", "private", "SGD", ANYWHERE),
        ("outbound", "+6591234567", "USD", MOBILE_USD),
        ("outbound", "+6561234567", "USD", None),
        ("inbound", "+6531580000", "SGD", INBOUND),
        ("inbound", "+6591234567", "SGD", None),
        ("inbound", "", "SGD", None),
    ],
)
def test_longest_prefix(direction: str, number: str, currency: str, tariff: Tariff | None) -> None:
    """Direction and currency must be the same; then the longest prefix wins."""
    assert longest_prefix(TARIFFS, direction, number, currency) is tariff


@given(st.permutations(TARIFFS), st.text("+6591", max_size=8))
def test_order_of_tariffs_does_not_matter(tariffs: list[Tariff], number: str) -> None:
    """The price list has no order."""
    found = longest_prefix(tariffs, "outbound", number, "SGD")
    assert found == longest_prefix(TARIFFS, "outbound", number, "SGD")


def test_rate_of_a_tariff_or_the_default() -> None:
    """Where no tariff matches, every direction and currency has a flat rate."""
    assert rate_from(SINGAPORE, "outbound", "SGD") == 20
    for direction in ("inbound", "outbound"):
        for currency in CURRENCIES:
            assert rate_from(None, direction, currency) == DEFAULT_RATES[direction, currency] > 0
    with pytest.raises(KeyError):
        rate_from(None, "inbound", "XXX")


@pytest.mark.parametrize(
    ("rate", "minutes", "debit"),
    [(20, 0, "0.000"), (20, 1, "0.020"), (20, 7, "0.140"), (0, 9, "0.000"), (1, 1440, "1.440")],
)
def test_debit(rate: int, minutes: int, debit: str) -> None:
    """The API's own sample is among them: 7 minutes at 0.020 are 0.140."""
    assert format_amount(debit_for(Thousandths(rate), minutes)) == debit
