"""Rates are found by the longest prefix, and a debit is rate times minutes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.billing.model import Price, Tariff
from voiceblocks.billing.rating import DEFAULT_RATES, longest_prefix, price_from
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
    assert price_from(SINGAPORE, "outbound", "SGD") == Price(Thousandths(20), 60)
    for direction in ("inbound", "outbound"):
        for currency in CURRENCIES:
            price = price_from(None, direction, currency)
            assert price.rate == DEFAULT_RATES[direction, currency] > 0
    with pytest.raises(KeyError):
        price_from(None, "inbound", "XXX")


@pytest.mark.parametrize(
    ("rate", "block_s", "blocks", "debit"),
    [
        (20, 60, 0, "0.000"),
        (20, 60, 1, "0.020"),
        (20, 60, 7, "0.140"),
        (0, 60, 9, "0.000"),
        (1, 60, 1440, "1.440"),
        (20, 6, 1, "0.002"),
        (36, 6, 1, "0.004"),
        (36, 6, 10, "0.036"),
        (36, 1, 61, "0.037"),
        (20, 30, 3, "0.030"),
        (20, 3600, 1, "1.200"),
    ],
)
def test_price_of_blocks(rate: int, block_s: int, blocks: int, debit: str) -> None:
    """The rate is a minute's in any block; the API's own sample is among them: 7 at 0.020."""
    assert format_amount(Price(Thousandths(rate), block_s).cost_of(blocks)) == debit
