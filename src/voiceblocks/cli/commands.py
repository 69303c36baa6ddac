"""All commands but `serve`, which is started without importing these.

Each is imported when it is needed: the heaviest take longer to import than most take to run.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Annotated, Final

import typer

from voiceblocks import __version__

_GROUPS: Final = {
    "account": ("accounts", "account"),
    "app": ("applications", "app"),
    "number": ("numbers", "app"),
    "calls": ("calls", "app"),
    "recordings": ("recordings", "app"),
    "notifications": ("notifications", "app"),
    "cache": ("cache", "app"),
    "trunk": ("trunks", "app"),
    "tariff": ("tariffs", "app"),
    "ledger": ("ledger", "app"),
    "export": ("statements", "app"),
    "user": ("users", "app"),
    "phone": ("phone", "app"),
}
"Module and name of each group of commands."

_COMMANDS: Final = {
    "doctor": "maintenance",
    "backup": "maintenance",
    "restore": "maintenance",
    "upgrade": "maintenance",
    "statement": "statements",
    "unseal": "unseal",
    "bench": "bench",
}
"Module of each command that stands alone; the function has its name."


def app_for(word: str) -> typer.Typer:
    """Return the commands that `voiceblocks WORD` needs: one, or all where it names none."""
    known = {*_GROUPS, *_COMMANDS}
    return _build([word] if word in known else [*_GROUPS, *_COMMANDS])


def _build(names: Iterable[str]) -> typer.Typer:
    built = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="A self-hosted programmable voice server.",
        epilog="voiceblocks serve runs a node; it has a help of its own.",
    )
    built.callback()(_options)
    built.command("serve", context_settings={"ignore_unknown_options": True})(_serve)
    for name in names:
        if name in _GROUPS:
            module, group = _GROUPS[name]
            built.add_typer(getattr(_module(module), group), name=name)
        else:
            built.command(name)(getattr(_module(_COMMANDS[name]), name))
    return built


def _module(name: str) -> object:
    return importlib.import_module(f"voiceblocks.cli.{name}")


def _tell_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"voiceblocks {__version__}\n")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Which it is.")
    ] = False,
) -> None:
    """A self-hosted programmable voice server."""


def _serve() -> None:
    """Run a node in the foreground (see `voiceblocks serve --help`)."""
