"""Databases for tests: a throw-away PostgreSQL from Debian's binaries, and SQLite files.

Fixtures, imported by a conftest:

- `postgres_url`: the server's maintenance database, started once per test process.
- `database_url`: a fresh, migrated database; each test that asks for it runs twice,
  once on SQLite and once on PostgreSQL.

The server listens on a Unix socket in a temporary folder only, syncs nothing and dies
with the test process. Where there is no PostgreSQL, its half of the tests is skipped
with a sentence that says what to install.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from voiceblocks.database.migrate import upgrade
from voiceblocks.database.schema import metadata

_START_LIMIT_S = 60
_PR_SET_PDEATHSIG = 1
_TEMPLATE = "voiceblocks_template"
_SCHEMA_OF = (
    "SELECT table_name, column_name, data_type, (SELECT min(version_num) FROM alembic_version)"
    " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
)


def find_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server here, `None` where there is none."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: [int(part) for part in re.findall(r"\d+", folder.parent.name)],
        reverse=True,
    )
    # The link is followed: postgres looks for its shared files beside the real binary.
    on_path = shutil.which("postgres")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "postgres")):
            return folder
    return None


class PostgresServer:
    """
    A running server in a folder of its own; `stop` removes all of it.

    Args:
        binaries: Folder of `initdb` and `postgres`.
    """

    def __init__(self, binaries: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vb-pg-"))
        self._spare: list[str] = []
        self._as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            user = _unprivileged_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        try:
            self._initialise(binaries)
            self._process = self._start(binaries)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def url(self, database: str) -> str:
        """Address of one of its databases."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def take_database(self) -> str:
        """Return the name of a migrated database without rows; see `give_back`."""
        if self._spare:
            return self._spare.pop()
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return name

    def give_back(self, name: str) -> None:
        """
        Empty a database for the next test: 30 ms, where making a new one takes 350.

        One whose schema was touched is dropped.
        """
        import psycopg

        with psycopg.connect(self.url(name), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            is_untouched = connection.execute(_SCHEMA_OF).fetchall() == self._schema()
            if is_untouched:
                connection.execute(f"TRUNCATE {', '.join(metadata.tables)}".encode())
        if is_untouched:
            self._spare.append(name)
        else:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @functools.cache  # noqa: B019 - there is one server
    def _schema(self) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.url(_TEMPLATE)) as connection:
            return connection.execute(_SCHEMA_OF).fetchall()

    def stop(self) -> None:
        """End the server at once and remove its folder."""
        process = getattr(self, "_process", None)
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self, binaries: Path) -> None:
        done = subprocess.run(
            [
                *(binaries / "initdb", "--pgdata", self.folder / "data", "--username=postgres"),
                *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            cwd=self.folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            **self._as_user,
        )
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _start(self, binaries: Path) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "autovacuum": "off",
            "deadlock_timeout": "100ms",
        }
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                [
                    *(binaries / "postgres", "-D", self.folder / "data"),
                    *(
                        word
                        for name, value in options.items()
                        for word in ("-c", f"{name}={value}")
                    ),
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                # A Ctrl-C at the terminal is pytest's to handle.
                start_new_session=True,
                preexec_fn=_quit_with_parent,  # noqa: PLW1509 - one prctl, no locks
                **self._as_user,
            )

    def _wait_until_ready(self) -> None:
        import psycopg

        deadline = time.monotonic() + _START_LIMIT_S
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start:\n{log}") from None
                # Returns early only if the server gives up.
                try:
                    self._process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
            else:
                return


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("neither the user postgres nor nobody exists")


def _quit_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


@functools.cache
def _server() -> PostgresServer | None:
    """The one server of this process, however many conftests import the fixtures."""
    binaries = find_binaries()
    if binaries is None:
        return None
    server = PostgresServer(binaries)
    server.execute(f"CREATE DATABASE {_TEMPLATE}")
    upgrade(server.url(_TEMPLATE))
    return server


def _server_or_skip() -> PostgresServer:
    server = _server()
    if server is None:
        pytest.skip(
            "NOT TESTED ON POSTGRESQL: no server binaries in /usr/lib/postgresql or on PATH; "
            "run: apt-get install postgresql"
        )
    return server


def fresh_sqlite(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a fresh, migrated SQLite database in `tmp_path`."""
    template = tmp_path_factory.getbasetemp() / "template.db"
    if not template.exists():
        upgrade(f"sqlite:///{template}")
    path = tmp_path / "voiceblocks.db"
    shutil.copyfile(template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Address of the server's maintenance database; skips where there is no server."""
    yield _server_or_skip().url("postgres")
    if _server.cache_info().currsize:
        server = _server()
        _server.cache_clear()
        if server is not None:
            server.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of a fresh, migrated database, once of each kind."""
    if request.param == "sqlite":
        yield fresh_sqlite(tmp_path, tmp_path_factory)
        return
    # Ends the server when the session ends.
    request.getfixturevalue("postgres_url")
    server = _server_or_skip()
    name = server.take_database()
    yield server.url(name)
    server.give_back(name)
