"""What gets into a log line, and what does not."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import structlog
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from voiceblocks import e164, log
from voiceblocks.database.engines import open_engine, parse_url


@pytest.mark.parametrize("json", [True, False])
def test_a_peers_text_stays_on_its_line(*, json: bool) -> None:
    """Neither a line of its own nor the colours of a terminal."""
    before = structlog.get_config()
    stream = io.StringIO()
    try:
        log.configure(json=json, stream=stream)
        log.get_logger("sip").info("refused", reason="x\n2026 [info] all is well\x1b[2J\u2028")
    finally:
        structlog.configure(**before)
    said = stream.getvalue()
    assert said.count("\n") == 1
    assert "\x1b[2J" not in said
    assert "\u2028" not in said


def test_an_error_of_the_database_quotes_no_values(tmp_path: Path) -> None:
    """Values are tokens, numbers and links; its text is logged."""
    engine = open_engine(parse_url(f"sqlite:///{tmp_path / 'x.db'}"))
    with pytest.raises(OperationalError) as failed, engine.begin() as connection:
        connection.execute(text("INSERT INTO nowhere VALUES (:token)"), {"token": "s3cr3t"})
    assert "s3cr3t" not in str(failed.value)
    engine.dispose()


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+6591234567", "+6591****67"),
        ("+442071838750", "+4420******50"),
        ("+651234", "+****34"),
        ("+65123456", "+65****56"),
        ("995", "***"),
        ("private", "p****te"),
        ("", ""),
    ],
)
def test_numbers_are_masked(number: str, masked: str) -> None:
    """Also short ones: four characters are hidden at least."""
    assert e164.masked(number) == masked
