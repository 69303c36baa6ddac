"""The schema is upgraded by who was asked to, and never beneath a running server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import text

from tests.unit.cli.test_cli import run
from voiceblocks.database import migrate
from voiceblocks.database.engines import open_engine, parse_url
from voiceblocks.database.migrate import SchemaState, check_schema
from voiceblocks.server.folders import lock_folder


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose database an older version made."""
    folder = tmp_path / "var"
    folder.mkdir()
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(folder))
    engine = open_engine(parse_url(url_of(folder)), for_migration=True)
    config = migrate._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text("SELECT credit FROM accounts"))
    engine.dispose()
    return folder


def url_of(folder: Path) -> str:
    """Of the database in a data folder."""
    return f"sqlite:///{folder / 'voiceblocks.db'}"


def test_a_list_upgrades_nothing(data_dir: Path) -> None:
    """It says what to do; a server of that version may run, and there is no way back."""
    said = run("account", "list", exit_code=1)["error"]
    assert "older version: make a backup" in said
    assert "`voiceblocks upgrade`" in said
    assert check_schema(url_of(data_dir)) is SchemaState.OLDER


def test_a_running_server_keeps_its_schema(data_dir: Path) -> None:
    """Only when it has stopped the database is upgraded, and then all commands work."""
    lock = lock_folder(data_dir)
    try:
        assert "stop it first" in run("upgrade", exit_code=1)["error"]
        assert check_schema(url_of(data_dir)) is SchemaState.OLDER
    finally:
        os.close(lock)
    assert run("upgrade") == {"was": "older"}
    assert run("account", "list") == {"accounts": []}
