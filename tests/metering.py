"""A meter for tests that are not about it: it follows calls and ends none."""

from __future__ import annotations

from voiceblocks.database.unit_of_work import Database
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows.meter_calls import MeterCalls


def a_meter(database: Database) -> MeterCalls:
    """A meter whose calls live on when their credit is used up."""
    return MeterCalls(database=database, end_call=lambda session_id: None, clock=SystemClock())
