"""`voiceblocks cache`, with a server and without."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from voiceblocks.adapters.cache_folder import LEFTOVER_S, SPARED_S
from voiceblocks.cli.app import app
from voiceblocks.server.folders import lock_folder

DAY_S = 86_400.0
AGES_S = {
    "prompts/ab/abc.ulaw": 10.0,
    "prompts/ab/abc.alaw": 10.0,
    "prompts/cd/cde.ulaw": 3 * DAY_S,
    "prompts/cd/cde.alaw": 3 * DAY_S,
    "prompts/cd/.new-1": SPARED_S + 60,
    "prompts/cd/.new-2": LEFTOVER_S + 60,
    "downloads/sound.audio": 5 * DAY_S,
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two prompts, two that were never finished, and a download, of 100 bytes a file."""
    root = tmp_path / "var"
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(root))
    for name, age_s in AGES_S.items():
        path = root / "cache" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(100))
        used_s = time.time() - age_s
        os.utime(path, (used_s, used_s))
    return root / "cache"


@pytest.fixture
def running(cache: Path) -> Iterator[None]:
    """A server's hold on the data folder."""
    fd = lock_folder(cache.parent)
    yield
    os.close(fd)


def run(*arguments: str) -> Any:
    """Run a command with `--json` and return what it says."""
    result = CliRunner().invoke(app, ["cache", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def left(cache: Path) -> set[str]:
    """The files that are there."""
    return {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}


def test_show(cache: Path) -> None:
    """Entries and bytes of both caches, what they may hold, and the oldest use."""
    prompts, downloads = run("show")["caches"]
    assert prompts["cache"] == "prompts"
    assert (prompts["entries"], prompts["bytes"]) == (4, 600)
    assert (downloads["entries"], downloads["bytes"]) == (1, 100)
    assert prompts["max_bytes"] + downloads["max_bytes"] == 3072 << 20
    assert (prompts["oldest_use_days_ago"], downloads["oldest_use_days_ago"]) == (3.0, 5.0)


def test_a_machine_where_nothing_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing, and nothing is made."""
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(tmp_path / "var"))
    assert [row["entries"] for row in run("show")["caches"]] == [0, 0]
    assert run("clear") == {"deleted": 0, "deleted_bytes": 0, "kept": 0}
    assert not (tmp_path / "var").exists()


def test_clear_without_a_server(cache: Path) -> None:
    """Everything goes."""
    assert run("clear") == {"deleted": 5, "deleted_bytes": 700, "kept": 0}
    assert left(cache) == set()


@pytest.mark.usefixtures("running")
def test_clear_beside_a_server(cache: Path) -> None:
    """What was just used may be playing, what is in the making may be finished: both stay."""
    assert run("clear") == {"deleted": 3, "deleted_bytes": 400, "kept": 2}
    assert left(cache) == {"prompts/ab/abc.ulaw", "prompts/ab/abc.alaw", "prompts/cd/.new-1"}


@pytest.mark.parametrize(("days", "deleted"), [("1", 2), ("4", 1), ("6", 0)])
def test_clear_by_age(cache: Path, days: str, deleted: int) -> None:
    """Only what was not used for so many days."""
    assert run("clear", "--unused-days", days)["deleted"] == deleted


def test_for_people(cache: Path) -> None:
    """A table, and a sentence; no bar where nobody looks."""
    shown = CliRunner().invoke(app, ["cache", "show"])
    assert "downloads" in shown.stdout
    cleared = CliRunner().invoke(app, ["cache", "clear"])
    assert cleared.stdout == "5 entries deleted, 0.0 MB; 0 kept\n"
    assert cleared.stderr == ""


def test_wrong_settings(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence that names the setting."""
    monkeypatch.setenv("VOICEBLOCKS_CACHE_MAX_MB", "much")
    result = CliRunner().invoke(app, ["cache", "show", "--json"])
    assert result.exit_code == 1
    assert "VOICEBLOCKS_CACHE_MAX_MB" in json.loads(result.stdout)["error"]
