"""Tariffs in SQL find the same rate as the pure function, on both databases."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voiceblocks.billing.model import Tariff
from voiceblocks.billing.rating import longest_prefix, price_from
from voiceblocks.database import tariffs
from voiceblocks.database.unit_of_work import Database
from voiceblocks.money import Thousandths

TARIFFS = [
    Tariff("outbound", "", "SGD", Thousandths(90)),
    Tariff("outbound", "+65", "SGD", Thousandths(20)),
    Tariff("outbound", "+659", "SGD", Thousandths(35)),
    Tariff("outbound", "+6591", "USD", Thousandths(25)),
    Tariff("inbound", "+6531", "SGD", Thousandths(10)),
]


@pytest.fixture
def priced(database: Database) -> Database:
    """A database with the price list above."""
    for tariff in TARIFFS:
        database.run_sync(lambda c, tariff=tariff: tariffs.insert(c, tariff))
    return database


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["inbound", "outbound"]),
    st.sampled_from(["SGD", "USD"]),
    st.one_of(
        st.text("+65913%_", max_size=8), st.sampled_from(["+65", "+6591234567", "+6531580000"])
    ),
)
def test_rate_equals_the_pure_function(
    priced: Database, direction: str, currency: str, number: str
) -> None:
    """SQL and `billing.rating` agree for every number, wildcards of LIKE included."""
    tariff = longest_prefix(TARIFFS, direction, number, currency)
    found = priced.run_sync(lambda c: tariffs.price_for(c, direction, number, currency))
    assert found == price_from(tariff, direction, currency)
