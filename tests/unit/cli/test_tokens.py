"""Tokens are rotated without a moment in which the application is locked out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.test_cli import run
from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.database import accounts
from voiceblocks.database.unit_of_work import Database
from voiceblocks.settings import Settings


@pytest.fixture
def app_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An application with its first token."""
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(tmp_path / "var"))
    account = run("account", "create", "Demo")["account_id"]
    return str(run("app", "create", account, "voicemail")["app_id"])


def is_good(token: str) -> bool:
    """Whether the API would take a token now."""
    settings = Settings()
    key = load_or_create(settings.effective_secret_key_file)
    database = Database(settings.effective_database_url)
    try:
        found = database.run_sync(lambda c: accounts.find_token(c, key.lookup(token)))
    finally:
        database.close()
    return found is not None and found.token.is_valid(2**60)


def test_both_are_good_until_the_old_one_is_revoked(app_id: str) -> None:
    """A new token joins the old one; the old one dies by its name, and its text was never shown."""
    (first,) = run("app", "token", "list", app_id)["tokens"]
    made = run("app", "token", "add", app_id)
    assert is_good(made["access_token"])
    assert [one["state"] for one in run("app", "token", "list", app_id)["tokens"]] == ["good"] * 2
    run("app", "token", "revoke", app_id, first["token"])
    states = {one["token"]: one["state"] for one in run("app", "token", "list", app_id)["tokens"]}
    assert states == {first["token"]: "revoked", made["token"]: "good"}
    assert is_good(made["access_token"])
    assert "before" in run("app", "token", "revoke", app_id, first["token"], exit_code=1)["error"]


def test_a_token_may_expire(app_id: str) -> None:
    """What is made for a day is not good for ever."""
    made = run("app", "token", "add", app_id, "--days", "1")
    assert not is_good(made["access_token"])
    assert run("app", "token", "list", app_id)["tokens"][1]["expires"] is not None


def test_what_is_not_there_is_said(app_id: str) -> None:
    """Unknown applications and tokens have their sentences."""
    assert "no application" in run("app", "token", "add", "nobody", exit_code=1)["error"]
    assert "no token" in run("app", "token", "revoke", app_id, "00000000", exit_code=1)["error"]
