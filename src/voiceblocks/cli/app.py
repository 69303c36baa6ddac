"""All commands but `serve`, which is started without importing these."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from voiceblocks import __version__
from voiceblocks.cli import (
    accounts,
    applications,
    bench,
    cache,
    calls,
    ledger,
    maintenance,
    notifications,
    numbers,
    phone,
    recordings,
    statements,
    tariffs,
    tokens,
    trunks,
    unseal,
    users,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A self-hosted programmable voice server.",
    epilog="voiceblocks serve runs a node; it has a help of its own.",
)
app.add_typer(accounts.account, name="account")
app.add_typer(applications.app, name="app")
applications.app.add_typer(tokens.app, name="token")
app.add_typer(numbers.app, name="number")
app.add_typer(calls.app, name="calls")
app.add_typer(recordings.app, name="recordings")
app.add_typer(notifications.app, name="notifications")
app.add_typer(cache.app, name="cache")
app.add_typer(trunks.app, name="trunk")
app.add_typer(tariffs.app, name="tariff")
app.add_typer(ledger.app, name="ledger")
app.add_typer(statements.app, name="export")
app.add_typer(users.app, name="user")
app.add_typer(phone.app, name="phone")


def _tell_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"voiceblocks {__version__}\n")
        raise typer.Exit


@app.callback()
def everything(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Which it is.")
    ] = False,
) -> None:
    """A self-hosted programmable voice server."""


@app.command("serve", context_settings={"ignore_unknown_options": True})
def serve() -> None:
    """Run a node in the foreground (see `voiceblocks serve --help`)."""


for command in (
    maintenance.doctor,
    maintenance.backup,
    maintenance.restore,
    maintenance.upgrade,
    statements.statement,
    unseal.unseal,
    bench.bench,
):
    app.command()(command)
