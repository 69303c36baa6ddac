"""The commands as scripts and people use them: one JSON object, or a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.unit.database.nouns import CREATED_US, a_leg, a_recording, a_session, seed
from tests.unit.notifications.outbox import add_application, add_notification, add_session
from voiceblocks.cli.app import app
from voiceblocks.database import further_legs, recordings, sessions, stories
from voiceblocks.database.unit_of_work import Database
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.model import Direction
from voiceblocks.stories.model import SipMessage
from voiceblocks.stories.packing import pack

RECORDING = "rec-0f"
SHA256 = "ab" * 32


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all commands of a test work."""
    folder = tmp_path / "var"
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(folder))
    monkeypatch.setenv("VOICEBLOCKS_RING_DIR", str(tmp_path / "rings"))
    return folder


def run(*arguments: str, exit_code: int = 0) -> Any:
    """Run a command with `--json` and return what it says."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == exit_code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return json.loads(result.stdout)


def database_of(data_dir: Path) -> Database:
    """The database that the commands made."""
    return Database(f"sqlite:///{data_dir / 'voiceblocks.db'}")


@pytest.mark.parametrize("command", ["account", "app", "number", "calls", "recordings", "tariff"])
def test_lists_begin_empty(data_dir: Path, command: str) -> None:
    """Also on a machine where nothing was ever started."""
    (rows,) = run(command, "list").values()
    assert rows == []


def test_an_account_with_an_application_and_a_number(data_dir: Path) -> None:
    """Each says what the next needs."""
    account = run("account", "create", "Demo", "--credit", "5.5")
    assert account["credit"] == "5.500"
    made = run("app", "create", account["account_id"], "voicemail")
    assert len(made["access_token"]) == 16
    url = "https://example.com/call?a=1"
    number = run("number", "add", "6531580000", "--app", made["app_id"], "--notify-url", url)
    assert number == {"number": "+6531580000", "app_id": made["app_id"], "notify_url": url}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("account", "create", "A", "--credit", "much"), "not an amount"),
        (("account", "create", "A", "--credit", "1e40"), "not an amount"),
        (("account", "create", "A", "--credit", "NaN"), "not an amount"),
        (("account", "create", "A", "--credit", "0.0001"), "not an amount"),
        (("account", "create", "A", "--credit=-1"), "0 or more"),
        (("account", "create", "A", "--currency", "XXX"), "choose"),
        (("account", "create", " "), "needs a name"),
        (("phone", "call", "reception"), "write it like sip:"),
        (("unseal", "/none.sealed", "--key", "/none"), "/none.sealed cannot be read"),
        (("account", "show", "acc_nobody"), "no account"),
        (("account", "allow", "acc_nobody", "--prefix", "+65"), "no account"),
        (("account", "disallow", "acc_nobody", "--prefix", "+65"), "no account"),
        (("account", "set", "acc_nobody", "--max-calls", "1"), "no account"),
        (("app", "create", "acc_nobody", "x"), "no account"),
        (("number", "add", "reception", "--app", "x"), "not a phone number"),
        (("number", "add", "+6531580000", "--app", "x"), "no application"),
        (("calls", "show", "S-1-none"), "no call"),
        (("recordings", "link", "rec-none"), "no recording"),
        (("recordings", "delete", "../../etc"), "no recording"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    data_dir: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Exit code 1, no traceback."""
    assert words in run(*arguments, exit_code=1)["error"]


def test_whom_an_account_may_call(data_dir: Path) -> None:
    """Nobody at first; prefixes are added and taken away, and both listings show them."""
    account = run("account", "create", "Demo")["account_id"]
    assert run("account", "list")["accounts"][0]["may_call"] == []
    allow = ("account", "allow", account)
    assert run(*allow, "--prefix", "+65")["may_call"] == ["+65"]
    assert run(*allow, "--prefix", "+65", "--prefix", "1 (212)")["may_call"] == ["+1212", "+65"]
    assert run("account", "list")["accounts"][0]["may_call"] == ["+1212", "+65"]
    left = run("account", "disallow", account, "--prefix", "+65")
    assert left == {"account_id": account, "may_call": ["+1212"]}
    assert run("account", "show", account)["may_call"] == ["+1212"]
    people = CliRunner().invoke(app, ["account", "disallow", account, "--prefix", "+1212"])
    assert people.stdout == f"{account} may call nobody\n"
    assert "nobody: see `voiceblocks account allow`" in (
        CliRunner().invoke(app, ["account", "show", account]).stdout
    )


@pytest.mark.parametrize("prefix", ["", "+", "0", "+0", "singapore", "+65x", "+" + "6" * 16])
def test_what_is_no_prefix_opens_nothing(data_dir: Path, prefix: str) -> None:
    """Above all an empty one, which would be a prefix of every number."""
    account = run("account", "create", "Demo")["account_id"]
    error = run("account", "allow", account, "--prefix", "+44", "--prefix", prefix, exit_code=1)
    assert "is not a prefix" in error["error"]
    assert run("account", "show", account)["may_call"] == []


def test_a_prefix_that_was_not_allowed_cannot_be_taken(data_dir: Path) -> None:
    """A sentence says which there are, so that nobody believes a country closed that is open."""
    account = run("account", "create", "Demo")["account_id"]
    run("account", "allow", account, "--prefix", "+6591")
    error = run("account", "disallow", account, "--prefix", "+65", exit_code=1)["error"]
    assert error == "+65 is none of its allowed prefixes, which are: +6591"


def test_account_limits(data_dir: Path) -> None:
    """Each is set by itself, and `none` takes it away again."""
    account = run("account", "create", "Demo", "--credit", "10")["account_id"]
    change = ("account", "set", account)
    facts = run("account", "show", account)
    assert facts == {
        "id": account,
        "name": "Demo",
        "currency": "SGD",
        "credit": "10.000",
        "may_call": [],
        "points": "10.000",
        "bonus": "0.000",
        "held": "0.000",
        "overdraft": "0.000",
        "status": "active",
        "registered_number": None,
        "email": None,
        "country": None,
        "max_calls": None,
        "max_numbers": None,
        "rate_limit_ivr": None,
        "rate_limit_query": None,
        "dials_per_minute": None,
        "spend_per_day": None,
        "recordings_quota_mb": None,
    }
    for option, value, name, shown in (
        ("--registered-number", "65 9123-4567", "registered_number", "+6591234567"),
        ("--dials-per-minute", "0", "dials_per_minute", 0),
        ("--spend-per-day", "20", "spend_per_day", "20.000"),
        ("--max-calls", "3", "max_calls", 3),
        ("--recordings-quota-mb", "500", "recordings_quota_mb", 500),
        ("--max-numbers", "0", "max_numbers", 0),
        ("--rate-limit-ivr", "1200", "rate_limit_ivr", 1200),
        ("--rate-limit-query", "90", "rate_limit_query", 90),
        ("--overdraft", "2.5", "overdraft", "2.500"),
        ("--email", "zoe@example.com", "email", "zoe@example.com"),
        ("--country", "hk", "country", "HK"),
        ("--credit-add", "5.5", "credit", "15.500"),
        ("--credit-add", "-20", "credit", "-4.500"),
    ):
        facts[name] = shown
        if name == "credit":
            facts["points"] = shown
        assert run(*change, f"{option}={value}") == facts
    facts["overdraft"] = "0.000"
    run(*change, "--overdraft=none")
    for option in (
        "registered-number",
        "dials-per-minute",
        "spend-per-day",
        "max-calls",
        "max-numbers",
        "rate-limit-ivr",
        "rate-limit-query",
        "email",
        "country",
    ):
        facts[option.replace("-", "_")] = None
        assert run(*change, f"--{option}=none") == facts
    assert run("account", "show", account) == facts


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Nothing to change"),
        (("--registered-number=home",), "not a phone number"),
        (("--dials-per-minute=many",), "no number of calls per minute: give 0 or more"),
        (("--dials-per-minute=-1",), "give 0 or more"),
        (("--dials-per-minute=1000001",), "give 0 or more"),
        (("--max-calls=0",), "no number of simultaneous calls: give 1 or more"),
        (("--max-calls=²",), "give 1 or more"),
        (("--spend-per-day=-1",), "0 or more a day"),
        (("--spend-per-day=much",), "not an amount"),
        (("--credit-add=0.0001", "--max-calls=5"), "not an amount"),
        (("--bonus-add=-1", "--max-calls=5"), "A bonus is 0 or more"),
        (("--overdraft=-1",), "0 or more"),
        (("--email=zoe",), "not an e-mail address"),
        (("--country=Singapore",), "two letters"),
    ],
)
def test_wrong_limits_change_nothing(data_dir: Path, options: tuple[str, ...], words: str) -> None:
    """A sentence, and the account as it was, also where another option was right."""
    account = run("account", "create", "Demo")["account_id"]
    before = run("account", "show", account)
    assert words in run("account", "set", account, *options, exit_code=1)["error"]
    assert run("account", "show", account) == before


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "https://user:secret@example.com/",
        "http://exa mple.com/",
        "http:///nohost",
        "http://example.com/" + "x" * 4000,
    ],
)
def test_a_number_takes_no_url_that_cannot_be_notified(data_dir: Path, url: str) -> None:
    """The same rules as for notify_url in the API."""
    account = run("account", "create", "Demo")
    made = run("app", "create", account["account_id"], "voicemail")
    arguments = ("number", "add", "+6531580000", "--app", made["app_id"], "--notify-url", url)
    assert "cannot be notified" in run(*arguments, exit_code=1)["error"]


def test_wrong_settings_are_a_sentence(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable's name and without its value, which may be a password."""
    monkeypatch.setenv("VOICEBLOCKS_SIP_LISTEN", "nowhere")
    error = run("account", "list", exit_code=1)["error"]
    assert error.startswith("VOICEBLOCKS_SIP_LISTEN: ")
    assert "pydantic" not in error


def test_notifications_show_hosts_and_no_secrets(data_dir: Path) -> None:
    """A notify_url may hold a password in its query."""
    run("calls", "list")
    database = database_of(data_dir)

    def write(connection: Any) -> None:
        add_application(connection)
        add_session(connection, "S-1-a")
        add_notification(connection, "S-1-a", url="https://app.example:8443/n?key=s3cr3t")

    database.run_sync(write)
    database.close()
    (row,) = run("notifications", "list")["notifications"]
    assert row["host"] == "app.example:8443"
    assert "s3cr3t" not in json.dumps(row)
    assert run("notifications", "list", "--state", "delivered") == {"notifications": []}


def test_story_of_a_call_with_two_legs(data_dir: Path) -> None:
    """Each leg has its lines, and whom we called is masked as a caller is."""
    run("calls", "list")
    database = database_of(data_dir)

    def write(connection: Any) -> None:
        seed(connection)
        sessions.insert(
            connection,
            a_session(direction=Direction.OUTBOUND, from_number="private", to_number="+6591110000"),
        )
        further_legs.insert(connection, a_leg(created_us=CREATED_US + 2, ended_us=CREATED_US + 9))

    database.run_sync(write)
    database.close()
    (row,) = run("calls", "list")["calls"]
    assert row["to"] == "+6591****00"
    told = [line["what"] for line in run("calls", "show", "S-1-a")["story"]]
    assert told[0] == "call from private to +6591****00"
    assert "leg 2 to +6598****00 answered" in told
    assert told[-1] == "leg 2 to +6598****00 ended: answered"
    lines = CliRunner().invoke(app, ["calls", "show", "S-1-a"]).stdout.splitlines()
    assert [line.strip().partition("  ")[2] for line in lines[-len(told) :]] == told
    assert "1110" not in json.dumps([row, told])


def test_story_is_drawn_and_written_into_files(data_dir: Path, tmp_path: Path) -> None:
    """The ladder masks nothing that it does not show; files are complete and their owner's."""
    run("calls", "list")
    database = database_of(data_dir)
    data = b"INVITE sip:+6531580000@host SIP/2.0\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n"
    address = ("127.0.0.1", 5060)
    event = SipMessage(CREATED_US, "", True, "udp", address, address, data, len(data))

    def write(connection: Any) -> None:
        seed(connection, "S-1-a")
        packed = pack([event])
        stories.append(connection, "S-1-a", events=packed, n_events=1, now_us=CREATED_US)

    database.run_sync(write)
    database.close()
    drawn = CliRunner().invoke(app, ["calls", "show", "S-1-a", "--ladder"]).stdout
    assert "├────────────── INVITE ──────────────▶┤" in drawn
    assert max(len(line) for line in drawn.splitlines()) <= 100
    pcap, document = tmp_path / "call.pcap", tmp_path / "call.json"
    words = ["calls", "export", "AA-S-1-a", "--pcap", str(pcap), "--json", str(document)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert data in pcap.read_bytes()
    assert {path.stat().st_mode & 0o777 for path in (pcap, document)} == {0o600}
    told = json.loads(document.read_text())
    assert (told["format"], told["version"]) == ("voiceblocks-story", 1)
    assert told["events"][0]["text"] == data.decode()
    assert "SIP INVITE received from 127.0.0.1:5060 (first leg, UDP)" in [
        moment["what"] for moment in told["moments"]
    ]
    nothing = CliRunner().invoke(app, ["calls", "export", "S-1-a"])
    assert nothing.exit_code == 1
    assert "Say what to write" in nothing.output


def _stored_recording(data_dir: Path, **fields: Any) -> list[Path]:
    run("recordings", "list")
    database = database_of(data_dir)
    values = {"state": RecordingState.READY, "sha256": SHA256, "ready_us": CREATED_US, **fields}

    def write(connection: Any) -> None:
        seed(connection, "S-1-a")
        recordings.insert(connection, a_recording(RECORDING, **values))

    database.run_sync(write)
    database.close()
    files = [
        data_dir / "recordings" / f"{RECORDING}.mp3",
        data_dir / "spools" / f"{RECORDING}.spool",
        data_dir / "cache" / "downloads" / f"{SHA256}.audio",
    ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return files


def _row(data_dir: Path) -> Recording | None:
    database = database_of(data_dir)
    try:
        return database.run_sync(lambda c: recordings.find(c, RECORDING))
    finally:
        database.close()


def test_a_deleted_recording_leaves_no_file(data_dir: Path) -> None:
    """MP3, spool and downloaded copy go, the row stays; doing it twice is fine."""
    files = _stored_recording(data_dir)
    for _ in range(2):
        assert run("recordings", "delete", RECORDING) == {"deleted": RECORDING, "erased": True}
        assert [path for path in files if path.exists()] == []
        row = _row(data_dir)
        assert row is not None
        assert row.state is RecordingState.DELETED
        assert row.deleted_us is not None
    assert "there is no audio" in run("recordings", "link", RECORDING, exit_code=1)["error"]


def test_a_recording_in_the_making_is_not_deleted(data_dir: Path) -> None:
    """Its call would go on to write it."""
    files = _stored_recording(data_dir, state=RecordingState.PENDING, sha256=None, ready_us=None)
    assert "not done yet" in run("recordings", "delete", RECORDING, exit_code=1)["error"]
    assert all(path.exists() for path in files)


def test_keep_time_of_an_application(data_dir: Path) -> None:
    """Days, 0 for ever, or what the settings say; anything else is a sentence."""
    account = run("account", "create", "Demo")["account_id"]
    app = run("app", "create", account, "Mail")["app_id"]
    for said, days in (("30", 30), ("0", 0), ("none", None)):
        answer = run("app", "set", app, "--keep-recordings-days", said)
        assert answer == {
            "app_id": app,
            "keep_recordings_days": days,
            "silence_keys": False,
            "seal_with": None,
        }
    for bad in ("-1", "soon", "1.5"):
        error = run("app", "set", app, f"--keep-recordings-days={bad}", exit_code=1)["error"]
        assert "no number of days" in error
    assert run("app", "set", app, "--silence-keys")["silence_keys"] is True
    assert run("app", "set", app, "--keep-recordings-days", "3")["silence_keys"] is True
    assert run("app", "set", app, "--no-silence-keys")["silence_keys"] is False
    public, private = data_dir / "public.pem", data_dir / "private.pem"
    public.write_text("9c" * 32)
    private.write_text("-----BEGIN PRIVATE KEY-----")
    assert run("app", "set", app, "--seal-with", str(public))["seal_with"] == "9c" * 32
    assert run("app", "set", app, "--keep-recordings-days", "3")["seal_with"] == "9c" * 32
    error = run("app", "set", app, "--seal-with", str(private), exit_code=1)["error"]
    assert "never comes to the server" in error
    error = run("app", "set", app, "--seal-with", str(data_dir / "no.pem"), exit_code=1)["error"]
    assert "No such file" in error
    assert run("app", "set", app, "--seal-with", "none")["seal_with"] is None
    assert "Nothing to change" in run("app", "set", app, exit_code=1)["error"]
    error = run("app", "set", "nobody", "--keep-recordings-days", "3", exit_code=1)["error"]
    assert "no application" in error


def test_a_missing_key_is_said_and_not_replaced(data_dir: Path) -> None:
    """Where tokens need it: a new one would make all of them worthless without a word."""
    account = run("account", "create", "Demo")["account_id"]
    app_id = run("app", "create", account, "voicemail")["app_id"]
    key = data_dir / "secret.key"
    key.rename(data_dir / "elsewhere")
    said = run("app", "token", "add", app_id, exit_code=1)["error"]
    assert f"{key} is missing" in said
    assert "openssl rand" in said
    assert not key.exists()
    # What it says to do where the key is lost.
    key.write_text("ab" * 32)
    key.chmod(0o600)
    assert run("app", "token", "add", app_id)["access_token"]
