"""The doctor: finds what is wrong, and says what to do."""

from __future__ import annotations

import contextlib
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port
from tests.unit.cli.test_cli import run
from voiceblocks.server.doctor import firewall_lines
from voiceblocks.settings import Settings


@pytest.fixture(autouse=True)
def free_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose ports are free ones."""
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(tmp_path / "var"))
    for name in ("HTTP", "ADMIN", "SIP"):
        monkeypatch.setenv(f"VOICEBLOCKS_{name}_LISTEN", f"127.0.0.1:{free_port()}")


def found(said: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Verdict and sentence by what was looked at."""
    return {one["about"]: (one["verdict"], one["says"]) for one in said["findings"]}


def test_a_fresh_machine_is_well() -> None:
    """Nothing is bad before the first start, and loopback needs no firewall."""
    said = run("doctor")
    assert said["bad"] == 0
    assert said["firewall"] == []


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the SIP port is in the way of calls."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("VOICEBLOCKS_SIP_LISTEN", address)
        verdict, says = found(run("doctor", exit_code=1))["SIP_LISTEN (UDP)"]
    assert verdict == "bad"
    assert address in says


def test_an_open_server_gets_firewall_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIP from the carrier alone, RTP from everywhere; an open door for callers is bad."""
    port = free_port()
    monkeypatch.setenv("VOICEBLOCKS_SIP_LISTEN", f"0.0.0.0:{port}")
    monkeypatch.setenv("VOICEBLOCKS_ACCEPT_CALLS_FROM", "203.0.113.0/24")
    said = run("doctor")
    assert any(f"saddr {{ 203.0.113.0/24 }} udp dport {port}" in one for one in said["firewall"])
    assert any("dport 20000-29999" in one for one in said["firewall"])
    monkeypatch.setenv("VOICEBLOCKS_ACCEPT_CALLS_FROM", "0.0.0.0/0")
    assert found(run("doctor", exit_code=1))["who may call"][0] == "bad"


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    """The sentence says which command closes it."""
    run("account", "create", "Demo")
    run("app", "create", run("account", "list")["accounts"][0]["id"], "x")
    key = tmp_path / "var" / "secret.key"
    key.chmod(0o644)
    verdict, says = found(run("doctor", exit_code=1))["secret key"]
    assert verdict == "bad"
    assert f"chmod 600 {key}" in says


def test_a_notify_url_that_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number whose application is on a forbidden address is found before the first call."""
    account = run("account", "create", "Demo")["account_id"]
    app = run("app", "create", account, "x")["app_id"]
    url = "http://10.0.0.1/call?secret=1"
    run("number", "add", "+6531580000", "--app", app, "--notify-url", url)
    said = run("doctor", exit_code=1)
    verdict, says = found(said)["notify URL"]
    assert verdict == "bad"
    assert "error_invalid_notify_url" in says
    assert "secret" not in says


def test_the_page_about_trunks_shows_the_lines_of_its_settings() -> None:
    """Whoever copies them from the page has what doctor prints."""
    page = Path(__file__).parents[3] / "docs" / "trunks.md"
    blocks = re.findall(r"^```\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    (lines,) = [block for block in blocks if block.startswith("nft ")]
    written = blocks[blocks.index(lines) - 1]
    values = dict(line.split("=", 1) for line in written.splitlines())
    named = {name.removeprefix("VOICEBLOCKS_").lower(): value for name, value in values.items()}
    assert firewall_lines(Settings(**named)) == lines.splitlines()  # type: ignore[arg-type]
