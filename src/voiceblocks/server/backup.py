"""A copy of everything that a node cannot do without, and the way back from it.

A backup is a folder: the database as of one moment (made while the server runs), the secret key,
the finished recordings that lie on this machine, and a manifest with the SHA-256 of each file.
Recordings are copied after the database, so each row that it calls ready has its file, unless
that was deleted meanwhile; and each that it calls unfinished has its spool. What a remote store
has is not in it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url

from voiceblocks import __version__
from voiceblocks.adapters.recording_store import local_folder
from voiceblocks.database.engines import sqlite_path
from voiceblocks.errors import StartupError
from voiceblocks.server.folders import lock_folder
from voiceblocks.settings import Settings

MANIFEST: Final = "manifest.json"
_SQLITE: Final = "voiceblocks.db"
_POSTGRESQL: Final = "voiceblocks.dump"
_KEY: Final = "secret.key"
_RECORDINGS: Final = "recordings"
_SPOOLS: Final = "spools"
_KEPT_SPOOLS: Final = ".spools-of-a-backup"
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"Of file systems that know one name for a file."
_CHUNK_BYTES: Final = 1 << 20

Progress = Callable[[str, int, int], None]
"Called with a file's name, how many files are done, and how many there are."


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What was copied."""

    folder: Path
    n_files: int
    n_bytes: int
    made_at: str
    version: str


def make_backup(settings: Settings, folder: Path, progress: Progress) -> BackupReport:
    """
    Make a backup in a folder that does not exist yet, or is empty; the server may run.

    Raises:
        StartupError: If there is nothing to back up, or it cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StartupError(f"{folder} is not empty: name a new folder for each backup")
    key = settings.effective_secret_key_file
    if not key.exists():
        raise StartupError(f"There is no server here yet: {key} does not exist")
    draft = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    try:
        with _kept_spools(settings.root) as keep_those_of_now:
            _copy_database(settings, draft)
            kept = keep_those_of_now()
            shutil.copy2(key, draft / _KEY)
            _copy_tree(_recordings_folder(settings), draft / _RECORDINGS, progress)
            _copy_tree(kept, draft / _SPOOLS, progress)
        report = _write_manifest(draft, folder)
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()
        draft.rename(folder)
    except OSError as error:
        raise StartupError(
            f"The backup could not be written ({error.strerror}: {error.filename}); "
            "what was written is deleted again"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return report


def restore_backup(settings: Settings, folder: Path, progress: Progress) -> BackupReport:
    """
    Put a backup into an empty data folder (and an empty database), after checking every file.

    Raises:
        StartupError: If a file of the backup is missing or damaged, or something is in the way.
            Nothing has been changed then.
    """
    report, files = _checked(folder, progress)
    database = _SQLITE if (folder / _SQLITE).exists() else _POSTGRESQL
    sqlite = sqlite_path(settings.effective_database_url)
    if (database == _SQLITE) != (sqlite is not None):
        raise StartupError(
            f"The backup holds a {'SQLite' if database == _SQLITE else 'PostgreSQL'} database, "
            "but VOICEBLOCKS_DATABASE_URL names another kind"
        )
    settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = lock_folder(settings.root)
    try:
        _refuse_to_overwrite(settings)
        key = settings.effective_secret_key_file
        key.parent.mkdir(parents=True, exist_ok=True)
        for name in files:
            source = folder / name
            if name == _KEY:
                _copy_durably(source, key)
                key.chmod(0o600)
            elif name == _SQLITE:
                _copy_durably(source, sqlite or Path())
            elif name == _POSTGRESQL:
                _run_postgresql(["pg_restore", "--no-owner", "--exit-on-error", "--dbname"],
                                settings, source)  # fmt: skip
            else:
                target = _place_of(settings, Path(name))
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _copy_durably(source, target)
    finally:
        os.close(lock)
    return report


@contextlib.contextmanager
def _kept_spools(root: Path) -> Iterator[Callable[[], Path]]:
    """
    Give each spool a second name, which it keeps when the server deletes it.

    A recording that the copied database calls unfinished may be ready, and its spool gone, before
    that is copied: then a restored node would have nothing to finish it from.

    Yields:
        To be called when the database is copied: names those that came meanwhile, too, and
        returns the folder with all of them.
    """
    folder = root / _KEPT_SPOOLS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)

    def keep() -> Path:
        for spool in (root / _SPOOLS).glob("*"):
            try:
                os.link(spool, folder / spool.name)
            except (FileExistsError, FileNotFoundError):
                # Known already, or gone since it was listed.
                continue
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return root / _SPOOLS
        return folder

    try:
        keep()
        yield keep
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _recordings_folder(settings: Settings) -> Path:
    """Where finished recordings lie on this machine: those that wait for a cloud, too."""
    return local_folder(settings.effective_recordings_url) or settings.root / _RECORDINGS


def _place_of(settings: Settings, name: Path) -> Path:
    """Where a file of a backup, by its name in it, belongs."""
    if name.parts[0] == _RECORDINGS:
        return _recordings_folder(settings).joinpath(*name.parts[1:])
    return settings.root / name


def _copy_database(settings: Settings, draft: Path) -> None:
    path = sqlite_path(settings.effective_database_url)
    if path is None:
        _run_postgresql(["pg_dump", "--format=custom", "--no-owner", "--file",
                         str(draft / _POSTGRESQL), "--dbname"], settings)  # fmt: skip
        return
    if not path.exists():
        raise StartupError(f"There is no database {path}")
    # SQLite's own copy: consistent while others write.
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(draft / _SQLITE)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
    (draft / _SQLITE).chmod(0o600)


def _run_postgresql(command: list[str], settings: Settings, *more: Path) -> None:
    url = make_url(settings.effective_database_url)
    # The password goes by the environment, so that `ps` does not show it.
    shown = url.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, "PGPASSWORD": url.password or ""}
    try:
        done = subprocess.run(  # noqa: S603 (PostgreSQL's own tool, no shell)
            [*command, shown, *map(str, more)],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        raise StartupError(
            f"{command[0]} is not here: install PostgreSQL's client programs"
        ) from error
    if done.returncode:
        raise StartupError(f"{command[0]} failed: {done.stderr.strip()[:500]}")


def _copy_tree(source: Path, target: Path, progress: Progress) -> None:
    if not source.is_dir():
        return
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    for number, name in enumerate(names, 1):
        (target / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Deleted since it was listed: then the backup has no business with it either.
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(source / name, target / name)
        progress(str(name), number, len(names))


def _write_manifest(draft: Path, folder: Path) -> BackupReport:
    files: dict[str, dict[str, Any]] = {
        str(path.relative_to(draft)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(draft.rglob("*"))
        if path.is_file()
    }
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = {"version": __version__, "made_at": made_at, "files": files}
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    for path in draft.rglob("*"):
        _sync(path)
    _sync(draft)
    size = sum(int(facts["bytes"]) for facts in files.values())
    return BackupReport(folder, len(files), size, made_at, __version__)


def _checked(folder: Path, progress: Progress) -> tuple[BackupReport, list[str]]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupError(f"{folder} is no backup: it has no readable {MANIFEST}") from error
    for number, (name, facts) in enumerate(files.items(), 1):
        path = folder / name
        if folder.resolve() not in path.resolve().parents:
            raise StartupError(f"The backup is damaged: {name} lies outside of it")
        if not path.is_file() or _sha256(path) != facts["sha256"]:
            raise StartupError(f"The backup is damaged: {name} is missing or was changed")
        progress(name, number, len(files))
    if _KEY not in files or not {_SQLITE, _POSTGRESQL} & files.keys():
        raise StartupError(f"{folder} is no whole backup: the key or the database is missing")
    size = sum(int(facts["bytes"]) for facts in files.values())
    report = BackupReport(folder, len(files), size, manifest["made_at"], manifest["version"])
    return report, list(files)


def _refuse_to_overwrite(settings: Settings) -> None:
    in_the_way = [settings.effective_secret_key_file, _recordings_folder(settings)]
    sqlite = sqlite_path(settings.effective_database_url)
    if sqlite is not None:
        in_the_way.append(sqlite)
    for path in in_the_way:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise StartupError(
                f"{path} exists already: restore into an empty data folder "
                "(VOICEBLOCKS_DATA_DIR), or move this one away"
            )


def _copy_durably(source: Path, target: Path) -> None:
    shutil.copy2(source, target)
    _sync(target)
    _sync(target.parent)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
