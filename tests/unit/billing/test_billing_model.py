"""Tariffs and charges have exactly the columns of their tables."""

from __future__ import annotations

from dataclasses import fields

from voiceblocks.billing.model import Charge, Tariff
from voiceblocks.database import schema


def test_fields_are_the_columns() -> None:
    """A column that is added to the table is added to the value."""
    assert [field.name for field in fields(Tariff)] == schema.tariffs.c.keys()
    assert [field.name for field in fields(Charge)] == schema.charges.c.keys()
