"""Create, show, change, disable: what an operator does to each of the five nouns."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from voiceblocks.accounts.secret_key import load_keys
from voiceblocks.cli.app import app
from voiceblocks.database import accounts, trunks
from voiceblocks.trunks.route import route_of

from .test_cli import data_dir, database_of, run

__all__ = ["data_dir"]

NUMBER, SUBSCRIBED = "+6531580000", "+6531580001"
URL, OTHER_URL = "https://example.com/call", "https://example.com/other"


def shown(*arguments: str) -> str:
    """What a person reads."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def an_application(name: str = "one") -> tuple[str, str]:
    """An account with an application: their ids."""
    account = run("account", "create", name)["account_id"]
    return account, run("app", "create", account, name)["app_id"]


@pytest.mark.parametrize("noun", ["account", "app", "number", "tariff", "trunk"])
def test_each_noun_can_be_made_shown_changed_and_stopped(noun: str) -> None:
    """By these words, or by what comes nearest for a noun that is a line of a list."""
    help_text = CliRunner().invoke(app, [noun, "--help"]).stdout
    stops = "remove" if noun == "tariff" else "disable"
    makes = {"account": "create", "app": "create"}.get(noun, "set" if noun == "tariff" else "add")
    for word in (makes, "show", "set", "list", stops):
        assert f" {word} " in help_text, word


def test_an_account_is_disabled_and_enabled(data_dir: Path) -> None:
    """It says so itself, and is as it was afterwards."""
    account, _app_id = an_application()
    assert run("account", "disable", account)["state"] == "disabled"
    assert run("account", "show", account)["status"] == "disabled"
    assert run("account", "enable", account)["state"] == "enabled"
    assert run("account", "show", account)["status"] == "active"
    assert "no account" in run("account", "disable", "acc_nobody", exit_code=1)["error"]


def test_an_application_is_shown_disabled_and_enabled(data_dir: Path) -> None:
    """Its numbers are named; its tokens are untouched."""
    account, app_id = an_application()
    run("number", "add", NUMBER, "--app", app_id)
    told = run("app", "show", app_id)
    assert (told["account"], told["state"], told["numbers"]) == (account, "enabled", [NUMBER])
    run("app", "disable", app_id)
    assert run("app", "show", app_id)["state"] == "disabled"
    assert "disabled" in shown("app", "show", app_id)
    run("app", "enable", app_id)
    assert run("app", "show", app_id)["state"] == "enabled"
    (token,) = run("app", "token", "list", app_id)["tokens"]
    assert token["state"] == "good"
    for word in ("show", "disable", "enable"):
        assert "no application" in run("app", word, "nobody", exit_code=1)["error"]


def test_a_number_is_shown_changed_and_disabled(data_dir: Path) -> None:
    """Each change is what is shown then; what is not named stays."""
    _account, first = an_application()
    _account, second = an_application("two")
    run("number", "add", NUMBER, "--app", first, "--notify-url", URL)
    assert run("number", "show", "6531580000") == {
        "number": NUMBER,
        "app_id": first,
        "notify_url": URL,
        "state": "enabled",
        "expires": None,
        "auto_extend": False,
    }
    changed = run("number", "set", NUMBER, "--notify-url", OTHER_URL)
    assert (changed["app_id"], changed["notify_url"]) == (first, OTHER_URL)
    assert run("number", "set", NUMBER, "--app", second)["app_id"] == second
    assert run("number", "set", NUMBER, "--notify-url", "none")["notify_url"] is None
    assert "cannot be reached" in shown("number", "show", NUMBER)
    assert run("number", "disable", NUMBER)["state"] == "disabled"
    assert run("number", "show", NUMBER)["state"] == "disabled"
    assert run("number", "enable", NUMBER)["state"] == "enabled"


def test_a_subscribed_number_stays_its_account_s(data_dir: Path) -> None:
    """Who paid for it has it; whether it is extended can be said."""
    account, first = an_application()
    second = run("app", "create", account, "second")["app_id"]
    _other, stranger = an_application("stranger")
    run("number", "add", SUBSCRIBED, "--app", first)
    database = database_of(data_dir)
    database.run_sync(
        lambda c: accounts.update_number(c, SUBSCRIBED, expires_us=2_000_000_000_000_000, months=1)
    )
    database.close()
    assert run("number", "set", SUBSCRIBED, "--auto-extend")["auto_extend"] is True
    assert run("number", "set", SUBSCRIBED, "--app", second)["app_id"] == second
    refused = run("number", "set", SUBSCRIBED, "--app", stranger, exit_code=1)
    assert f"subscribed by {account}" in refused["error"]
    assert run("number", "show", SUBSCRIBED)["expires"].startswith("2033-05-18")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("number", "set", NUMBER), "Nothing to change"),
        (("number", "set", NUMBER, "--app", "nobody"), "no application"),
        (("number", "set", NUMBER, "--notify-url", "ftp://a/"), "cannot be notified"),
        (("number", "set", NUMBER, "--auto-extend"), "not subscribed"),
        (("number", "set", "+6531589999", "--notify-url", URL), "no number"),
        (("number", "show", "reception"), "no number"),
        (("number", "disable", "+6531589999"), "no number"),
        (("tariff", "set", "sideways", "+65", "1"), "neither inbound nor outbound"),
        (("tariff", "set", "outbound", "65", "1"), "not a prefix"),
        (("tariff", "set", "outbound", "+65", "1", "--block-s", "0"), "length of a block"),
        (("tariff", "remove", "outbound", "+65"), "no outbound tariff for +65"),
        (("tariff", "show", "outbound", "somebody"), "not a phone number"),
        (("trunk", "show", "nobody"), "no trunk"),
        (("trunk", "set", "nobody", "--dtmf", "info"), "no trunk"),
        (("trunk", "set", "carrier"), "Nothing to change"),
        (("trunk", "set", "carrier", "--dtmf", "smoke"), "choose"),
        (("trunk", "set", "carrier", "--register"), "add --username"),
    ],
)
def test_what_cannot_be_changed_is_a_sentence(
    data_dir: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 1, and nothing is different then."""
    _account, app_id = an_application()
    run("number", "add", NUMBER, "--app", app_id)
    run("trunk", "add", "carrier", "--address", "sip:192.0.2.9")
    before = run("number", "list"), run("tariff", "list"), run("trunk", "list")
    assert words in run(*arguments, exit_code=1)["error"]
    assert (run("number", "list"), run("tariff", "list"), run("trunk", "list")) == before


def test_a_tariff_is_made_shown_changed_and_removed(data_dir: Path) -> None:
    """Shown is what a call costs, and by which line of the list."""
    made = run("tariff", "set", "outgoing", "+65", "0.030", "--block-s", "6")
    assert made == {
        "direction": "outbound",
        "prefix": "+65",
        "currency": "SGD",
        "rate": "0.030",
        "block_s": 6,
    }
    call = ("tariff", "show", "outbound", "+6591234567")
    assert run(*call) == {"rate": "0.030", "block_s": 6, "tariff": "+65"}
    run("tariff", "set", "outbound", "+65", "0.050")
    run("tariff", "set", "outbound", "", "0.100")
    assert run(*call) == {"rate": "0.050", "block_s": 60, "tariff": "+65"}
    assert "by: +65" in shown(*call)
    assert run("tariff", "remove", "outbound", "+65")["rate"] == "0.050"
    assert run(*call)["tariff"] == "all numbers"
    run("tariff", "remove", "outbound", "")
    assert run(*call)["tariff"] == "default"


def test_a_trunk_is_shown_and_changed(data_dir: Path, tmp_path: Path) -> None:
    """What is not named stays, the password too; lists are taken as they are given."""
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    run(
        "trunk", "add", "carrier", "--address", "sip:192.0.2.9", "--username", "acme",
        "--password-file", str(password), "--register", "--prefix", "+65", "--from", "192.0.2.0/28",
    )  # fmt: skip
    before = run("trunk", "show", "carrier")
    assert before.pop("registrations") == []
    changed = run("trunk", "set", "carrier", "--address", "sip:192.0.2.10", "--prefix", "+60",
                  "--from", "none", "--no-register", "--dtmf", "info")  # fmt: skip
    assert changed == before | {
        "address": "sip:192.0.2.10",
        "prefixes": ["+60"],
        "from": [],
        "register": False,
        "dtmf": "info",
    }
    assert stored_password(data_dir) == "hunter2"
    password.write_text("swordfish\n")
    run("trunk", "set", "carrier", "--password-file", str(password))
    assert stored_password(data_dir) == "swordfish"
    run("trunk", "disable", "carrier")
    assert run("trunk", "set", "carrier", "--username", "none")["state"] == "disabled"
    assert stored_password(data_dir) is None
    assert "+60" in shown("trunk", "show", "carrier")


def stored_password(data_dir: Path) -> str | None:
    """The password of the only trunk, opened with the server's key."""
    database = database_of(data_dir)
    (trunk,) = database.run_sync(trunks.list_trunks)
    database.close()
    return route_of(trunk, load_keys(data_dir / "secret.key")[0]).password
