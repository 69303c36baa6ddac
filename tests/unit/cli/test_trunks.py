"""`voiceblocks trunk`: what it makes, and what it says of everything that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from voiceblocks.accounts.secret_key import load_keys
from voiceblocks.cli.app import app
from voiceblocks.database import trunk_registrations, trunks
from voiceblocks.database.unit_of_work import Database
from voiceblocks.trunks.model import RegistrationState, TrunkRegistration
from voiceblocks.trunks.route import route_of

ADDRESS = "sip:sip.example.net"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all commands of a test work."""
    folder = tmp_path / "var"
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(folder))
    monkeypatch.setenv("VOICEBLOCKS_RING_DIR", str(tmp_path / "rings"))
    return folder


def run(*arguments: str, typed: str = "", exit_code: int = 0) -> Any:
    """Run a `trunk` command with `--json` and return what it says."""
    result = CliRunner().invoke(app, ["trunk", *arguments, "--json"], input=typed)
    assert result.exit_code == exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return json.loads(result.stdout)


def stored_password(data_dir: Path) -> str | None:
    """The password of the only trunk, opened with the server's key."""
    database = Database(f"sqlite:///{data_dir / 'voiceblocks.db'}")
    (trunk,) = database.run_sync(trunks.list_trunks)
    database.close()
    return route_of(trunk, load_keys(data_dir / "secret.key")[0]).password


def test_a_trunk_with_everything(data_dir: Path, tmp_path: Path) -> None:
    """Each option is kept as it was meant; the password only sealed, and never shown."""
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    made = run(
        "add", "carrier", "--address", "SIP:Sip.Example.net:5080;transport=TCP",
        "--username", "acme", "--password-file", str(file), "--register",
        "--prefix", "+65", "--prefix", "60", "--from", "192.0.2.9/24", "--from", "198.51.100.1",
        "--country", "sg", "--number-format", "national", "--did", "to", "--caller-id", "pai",
        "--dtmf", "info",
    )  # fmt: skip
    assert made.pop("id").startswith("trk_")
    assert made == {
        "name": "carrier",
        "address": "sip:sip.example.net:5080;transport=tcp",
        "username": "acme",
        "has_password": True,
        "register": True,
        "prefixes": ["+65", "+60"],
        "from": ["192.0.2.0/24", "198.51.100.1/32"],
        "country": "SG",
        "number_format": "national",
        "did": "to",
        "caller_id": "pai",
        "dtmf": "info",
        "state": "enabled",
    }
    (listed,) = run("list")["trunks"]
    assert {name: listed[name] for name in made} == made
    assert stored_password(data_dir) == "hunter2"


@pytest.mark.parametrize(
    ("typed", "password"), [("hunter2\n", "hunter2"), ("hunter2", "hunter2"), ("\n", None)]
)
def test_a_typed_password(data_dir: Path, typed: str, password: str | None) -> None:
    """Without a file the password is typed or piped; an empty line is none."""
    run("add", "carrier", "--address", ADDRESS, "--username", "acme", typed=typed)
    assert stored_password(data_dir) == password


def test_disabled_enabled_and_removed() -> None:
    """What was made can be switched off and on, and be undone."""
    assert run("list") == {"trunks": []}
    run("add", "carrier", "--address", "192.0.2.9")
    assert run("disable", "carrier") == {"name": "carrier", "state": "disabled"}
    assert run("list")["trunks"][0]["state"] == "disabled"
    run("enable", "carrier")
    assert run("list")["trunks"][0]["state"] == "enabled"
    run("remove", "carrier")
    assert run("list") == {"trunks": []}


def test_people_see_a_table_and_sentences() -> None:
    """Without `--json`."""
    added = CliRunner().invoke(app, ["trunk", "add", "carrier", "--address", ADDRESS])
    assert added.stdout == "Trunk carrier at sip:sip.example.net carries every number\n"
    assert "carrier" in CliRunner().invoke(app, ["trunk", "list"]).stdout


@pytest.mark.parametrize("command", ["remove", "disable", "enable"])
def test_a_trunk_that_is_none(command: str) -> None:
    """A wrong name is said to be one, with where to look."""
    answer = run(command, "nobody", exit_code=1)
    assert answer == {"error": "There is no trunk nobody: see `voiceblocks trunk list`"}


def test_a_name_that_is_taken() -> None:
    """Two trunks of one name could not be told apart."""
    run("add", "carrier", "--address", ADDRESS)
    answer = run("add", "carrier", "--address", ADDRESS, exit_code=1)
    assert answer["error"].startswith("There is a trunk carrier already: choose another name")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--address", "sips:sip.example.net"], "asks for TLS"),
        (["--address", "http://sip.example.net"], "is no address of a trunk: write it like"),
        (["--address", "sip:"], "is no address of a trunk"),
        (["--address", "sip:999.1.2.3"], "is no address of a trunk"),
        (["--address", "sip:a..b"], "is no address of a trunk"),
        (["--address", "sip:exa mple"], "is no address of a trunk"),
        (["--address", "sip:example.net:99999"], "is no address of a trunk"),
        (["--address", "sip:me@example.net"], "belongs into --username"),
        (["--address", "sip:[2001:db8::1]"], "IPv4"),
        (["--address", "sip:example.net;transport=tls"], "more than we know"),
        (["--address", "sip:example.net;lr"], "more than we know"),
        (["--country", "XX"], "two letters of ISO 3166"),
        (["--number-format", "roman"], "choose e164, plain, national"),
        (["--number-format", "national"], "add --country"),
        (["--did", "fax"], "choose ruri, to, p-called-party"),
        (["--caller-id", "x"], "choose from, pai, ppi"),
        (["--dtmf", "x"], "choose auto, rfc4733, info, inband"),
        (["--prefix", "+0"], "write it with country code"),
        (["--prefix", "SG"], "write it with country code"),
        (["--from", "example.net"], "is no network"),
        (["--from", "0.0.0.0/0"], "is everybody"),
        (["--register"], "add --username"),
        (["--username", "u", "--password-file", "/nonexistent"], "cannot be read: No such file"),
        (["--username", "u", "--password-file", "/dev/null"], "is empty"),
    ],
)
def test_what_cannot_be(options: list[str], complaint: str) -> None:
    """Each mistake is named in a sentence that says what to do, and nothing is made."""
    given = options if "--address" in options else [*options, "--address", ADDRESS]
    assert complaint in run("add", "carrier", *given, exit_code=1)["error"]
    assert run("list") == {"trunks": []}


def test_a_password_without_a_name(tmp_path: Path) -> None:
    """It would never be used."""
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    answer = run("add", "carrier", "--address", ADDRESS, "--password-file", str(file), exit_code=1)
    assert answer["error"] == ("A password needs the name that it belongs to: add --username")


@pytest.mark.parametrize("name", ["", "_x", "a b", "x" * 65, "a\nb"])
def test_a_name_that_is_none(name: str) -> None:
    """Names stay short and printable: they stand in logs and commands."""
    answer = run("add", name, "--address", ADDRESS, exit_code=1)
    assert "is no name for a trunk" in answer["error"]


def test_the_list_says_how_registrations_stand(data_dir: Path) -> None:
    """Refused with the registrar's words, registered, or lapsed where no server refreshed it."""
    for name in ("good", "refused", "old", "lost", "plain"):
        wants = () if name == "plain" else ("--username", "u", "--register")
        run("add", name, "--address", ADDRESS, *wants, typed="secret\n")
    database = Database(f"sqlite:///{data_dir / 'voiceblocks.db'}")
    ids = {trunk.name: trunk.id for trunk in database.run_sync(trunks.list_trunks)}
    far_us = 4_102_444_800_000_000
    told = {"node": "1", "changed_us": 1_000_000}
    standing = [
        TrunkRegistration(
            trunk_id=ids["good"], state=RegistrationState.REGISTERED, until_us=far_us, **told
        ),
        TrunkRegistration(
            trunk_id=ids["refused"], state=RegistrationState.FAILED, reason="403 Go away", **told
        ),
        TrunkRegistration(
            trunk_id=ids["old"], state=RegistrationState.REGISTERED, until_us=2_000_000, **told
        ),
    ]
    database.run_sync(lambda c: trunk_registrations.replace(c, "1", standing))
    database.close()
    listed = {one["name"]: one["registrations"] for one in run("list")["trunks"]}
    assert listed["good"] == [
        {
            "node": "1", "state": "registered", "reason": "",
            "since": "1970-01-01 00:00:01Z", "until": "2100-01-01 00:00:00Z",
        }
    ]  # fmt: skip
    assert [one["state"] for one in listed["old"]] == ["lapsed"]
    assert listed["lost"] == listed["plain"] == []
    result = CliRunner().invoke(app, ["trunk", "list"], env={"COLUMNS": "200"})
    lines = {line.split()[1]: line for line in result.output.splitlines() if "sip:" in line}
    assert "registered until 2100-01-01 00:00:00Z" in lines["good"]
    assert "failed: 403 Go away" in lines["refused"]
    assert "lapsed" in lines["old"]
    assert "no server runs" in lines["lost"]
    assert "server" not in lines["plain"]
