"""A recording has exactly the columns of its table."""

from __future__ import annotations

from dataclasses import fields

from voiceblocks.database import schema
from voiceblocks.recordings.model import Recording


def test_fields_are_the_columns() -> None:
    """A column that is added to the table is added to the value."""
    assert [field.name for field in fields(Recording)] == schema.recordings.c.keys()
