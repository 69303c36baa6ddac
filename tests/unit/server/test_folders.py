"""The node's folders belong to the node."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from voiceblocks.engine.media.ring import arena_bytes, rows_for
from voiceblocks.errors import StartupError
from voiceblocks.server import folders as folders_module
from voiceblocks.server.folders import make_folders
from voiceblocks.settings import Settings


def settings(tmp_path: Path) -> Settings:
    """With everything below a folder of the test."""
    return Settings(data_dir=tmp_path / "var", ring_dir=tmp_path / "rings")


def test_folders_are_made_for_their_owner_only(tmp_path: Path) -> None:
    """Recordings, prompts and rings are other people's voices."""
    folders = make_folders(settings(tmp_path))
    for folder in (folders.root, folders.spools, folders.rings, folders.prompts, folders.work):
        assert folder.stat().st_mode & 0o077 == 0
    assert make_folders(settings(tmp_path)) == folders


@pytest.mark.parametrize("kind", ["link", "open to all"])
def test_rings_in_a_folder_of_somebody_else_are_refused(tmp_path: Path, kind: str) -> None:
    """Its name in /dev/shm can be guessed, so anybody may have made it before us."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        (tmp_path / "rings").symlink_to(elsewhere)
    else:
        (tmp_path / "rings").mkdir()
        (tmp_path / "rings").chmod(0o777)
    with pytest.raises(StartupError, match="VOICEBLOCKS_RING_DIR"):
        make_folders(settings(tmp_path))


def test_rings_go_to_the_disk_where_the_whole_arena_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's 64 MB of shared memory must not keep a node of many cores from starting."""
    monkeypatch.setattr(folders_module, "SHARED_MEMORY", tmp_path)
    room = SimpleNamespace(f_bavail=64 << 8, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _path: room)
    small = Settings(data_dir=tmp_path / "var", media_workers=1, calls_per_worker=500)
    large = Settings(data_dir=tmp_path / "var", media_workers=2, calls_per_worker=500)
    assert arena_bytes(rows_for(500)) < 64 << 20 < arena_bytes(rows_for(1000))
    assert make_folders(small).rings.parent == tmp_path
    assert make_folders(large).rings == tmp_path / "var" / "rings"
