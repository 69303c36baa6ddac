"""Dates as the API shows them: GMT+8, whatever the machine's zone is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

_GMT8 = timezone(timedelta(hours=8))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_date(at_us: int) -> str:
    """Return UTC microseconds as `YYYY-MM-DD HH:MM:SS` in GMT+8; fractions are cut off."""
    local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(_GMT8)
    return local.strftime("%Y-%m-%d %H:%M:%S")
