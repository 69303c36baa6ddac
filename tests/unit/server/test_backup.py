"""Backup and restore: the same node again, or a sentence and nothing changed."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from tests.unit.cli.test_cli import run
from voiceblocks.server import backup
from voiceblocks.settings import Settings


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with an account, an application and a finished recording."""
    folder = tmp_path / "var"
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(folder))
    account = run("account", "create", "Demo")["account_id"]
    run("app", "create", account, "voicemail")
    (folder / "recordings").mkdir(exist_ok=True)
    (folder / "recordings" / "rec-1.mp3").write_bytes(b"sound" * 1000)
    return folder


def test_the_node_is_the_same_again(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database, key and recordings are back in another folder, and the old one is untouched."""
    before = run("account", "list"), run("app", "list")
    made = run("backup", str(tmp_path / "copy"))
    assert made["n_files"] == 3
    other = tmp_path / "other"
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(other))
    restored = run("restore", str(tmp_path / "copy"))
    assert restored["made_at"] == made["made_at"]
    assert (run("account", "list"), run("app", "list")) == before
    assert (other / "recordings" / "rec-1.mp3").read_bytes() == b"sound" * 1000
    key = Settings().effective_secret_key_file
    assert key.read_bytes() == (data_dir / "secret.key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600


def test_recordings_in_a_folder_of_their_own_are_in_it(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What RECORDINGS_URL puts on another disk is copied, and comes back where the new URL says."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "rec-2.mp3").write_bytes(b"more sound")
    monkeypatch.setenv("VOICEBLOCKS_RECORDINGS_URL", disk.as_uri())
    run("backup", str(tmp_path / "copy"))
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(tmp_path / "other"))
    assert "exists already" in run("restore", str(tmp_path / "copy"), exit_code=1)["error"]
    new_disk = tmp_path / "new-disk"
    monkeypatch.setenv("VOICEBLOCKS_RECORDINGS_URL", new_disk.as_uri())
    run("restore", str(tmp_path / "copy"))
    assert (new_disk / "rec-2.mp3").read_bytes() == b"more sound"


def test_a_backup_beside_a_writer_is_of_one_moment(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is committed but only in SQLite's log is in it; what is not committed is not."""
    with contextlib.closing(sqlite3.connect(data_dir / "voiceblocks.db")) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("UPDATE accounts SET name = 'Committed'")
        writer.commit()
        writer.execute("UPDATE accounts SET name = 'Not committed'")
        run("backup", str(tmp_path / "copy"))
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(tmp_path / "other"))
    run("restore", str(tmp_path / "copy"))
    assert [row["name"] for row in run("account", "list")["accounts"]] == ["Committed"]


def test_what_is_finished_beside_a_backup_can_be_finished_again(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its spool is in the backup whose database knows it as unfinished; nothing stays behind."""
    spools = data_dir / "spools"
    spools.mkdir()
    (spools / "rec-2.spool").write_bytes(b"early")
    copy_database = backup._copy_database

    def copy_and_go_on(settings: Settings, draft: Path) -> None:
        (spools / "rec-3.spool").write_bytes(b"begun")
        copy_database(settings, draft)
        with (spools / "rec-2.spool").open("ab") as growing:
            growing.write(b" and late")
        (spools / "rec-2.spool").unlink()

    monkeypatch.setattr(backup, "_copy_database", copy_and_go_on)
    run("backup", str(tmp_path / "copy"))
    found = {path.name: path.read_bytes() for path in (tmp_path / "copy" / "spools").iterdir()}
    assert found == {"rec-2.spool": b"early and late", "rec-3.spool": b"begun"}
    assert sorted(path.name for path in spools.iterdir()) == ["rec-3.spool"]
    assert not [path for path in data_dir.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("victim", ["voiceblocks.db", "secret.key", "recordings/rec-1.mp3"])
@pytest.mark.parametrize("harm", ["change", "delete"])
def test_a_damaged_backup_changes_nothing(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str, harm: str
) -> None:
    """A file that is missing or not the one that was written is named before anything is copied."""
    run("backup", str(tmp_path / "copy"))
    path = tmp_path / "copy" / victim
    if harm == "delete":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    other = tmp_path / "other"
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(other))
    said = run("restore", str(tmp_path / "copy"), exit_code=1)["error"]
    assert victim in said
    assert not other.exists() or not any(other.iterdir())


def test_nothing_is_overwritten(data_dir: Path, tmp_path: Path) -> None:
    """A folder in use is refused, both as the place of a backup and of a restored node."""
    run("backup", str(tmp_path / "copy"))
    assert "not empty" in run("backup", str(tmp_path / "copy"), exit_code=1)["error"]
    assert "exists already" in run("restore", str(tmp_path / "copy"), exit_code=1)["error"]
    assert "no backup" in run("restore", str(tmp_path), exit_code=1)["error"]


def test_upgrade_says_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the tables are made; then there is nothing to do."""
    monkeypatch.setenv("VOICEBLOCKS_DATA_DIR", str(tmp_path / "var"))
    assert run("upgrade") == {"was": "empty"}
    assert run("upgrade") == {"was": "current"}
