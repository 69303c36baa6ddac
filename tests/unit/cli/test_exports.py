"""CSV and statements: what bookkeepers take away agrees with the ledger."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.unit.cli.test_cli import database_of, run
from tests.unit.database.nouns import a_leg, a_session, seed
from voiceblocks.cli.app import app
from voiceblocks.database import further_legs, sessions
from voiceblocks.money import Thousandths, format_amount

MONTH = (datetime.now(UTC) + timedelta(hours=8)).strftime("%Y-%m")


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all commands of a test work."""
    folder = tmp_path / "var"
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(folder))
    return folder


def test_a_statement_begins_with_what_the_last_ended_with(data_dir: Path) -> None:
    """The credit of this month is gained in it, and is what the next one opens with."""
    account = run("account", "create", "Demo", "--credit", "12.34")["account_id"]
    now = run("statement", account, "--month", MONTH)
    assert (now["opening"], now["closing"]) == ("0.000", "12.340")
    assert [line["amount"] for line in now["lines"]] == ["12.340"]
    later = run("statement", account, "--month", "2099-01")
    assert (later["opening"], later["closing"], later["lines"]) == ("12.340", "12.340", [])


def test_the_ledger_as_csv(data_dir: Path) -> None:
    """One row an entry, with its sign."""
    account = run("account", "create", "Demo", "--credit", "5")["account_id"]
    said = CliRunner().invoke(app, ["export", "ledger", account, "--month", MONTH]).stdout
    (row,) = csv.DictReader(io.StringIO(said))
    assert (row["amount"], row["currency"]) == ("5.000", "SGD")


def test_a_call_s_rate_is_that_of_all_its_legs(data_dir: Path) -> None:
    """As its notification told it: who transfers pays for two, but not for who was not reached."""
    run("account", "list")
    call = a_session(debit=Thousandths(80))
    answered = a_leg("leg_1", rate=Thousandths(40))
    unreached = a_leg("leg_2", number=3, rate=Thousandths(500), answered_us=None)
    database = database_of(data_dir)
    try:
        database.run_sync(seed)
        database.run_sync(lambda c: sessions.insert(c, call))
        for leg in (answered, unreached):
            database.run_sync(partial(further_legs.insert, leg=leg))
    finally:
        database.close()
    month = datetime.fromtimestamp(call.created_us / 1e6, UTC) + timedelta(hours=8)
    row = run("export", "calls", call.account_id, "--month", month.strftime("%Y-%m"))["calls"][0]
    assert (row["rate"], row["debit"]) == (format_amount(Thousandths(call.rate + 40)), "0.080")


def test_a_caller_s_name_is_no_formula(data_dir: Path) -> None:
    """What a spreadsheet would run is quoted; numbers stay numbers."""
    run("account", "list")
    database = database_of(data_dir)
    try:
        database.run_sync(seed)
        evil = a_session(from_number="=HYPERLINK(1)")
        database.run_sync(lambda c: sessions.insert(c, evil))
    finally:
        database.close()
    began = datetime.fromtimestamp(evil.created_us / 1e6, UTC) + timedelta(hours=8)
    month = began.strftime("%Y-%m")
    said = CliRunner().invoke(app, ["export", "calls", evil.account_id, "--month", month]).stdout
    (row,) = csv.DictReader(io.StringIO(said))
    assert row["from"] == "'=HYPERLINK(1)"
    assert row["to"] == evil.to_number
    assert row["session"] == evil.id
