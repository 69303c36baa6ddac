"""Sessions and runs have exactly the columns of their tables."""

from __future__ import annotations

from dataclasses import fields

from voiceblocks.database import schema
from voiceblocks.sessions.model import BlockRun, Direction, FurtherLeg, Session, SessionKind


def test_fields_are_the_columns() -> None:
    """A column that is added to the table is added to the value."""
    assert [field.name for field in fields(Session)] == schema.sessions.c.keys()
    assert [field.name for field in fields(BlockRun)] == schema.block_runs.c.keys()
    assert [field.name for field in fields(FurtherLeg)] == schema.legs.c.keys()


def test_directions_fit_their_column() -> None:
    """The stored values fit eight characters."""
    assert [direction.value for direction in Direction] == ["inbound", "outbound"]


def test_kinds_fit_their_column() -> None:
    """The stored values fit twelve characters."""
    assert [kind.value for kind in SessionKind] == ["ivr", "call", "conference"]
