"""One command is built without the others, and is the same."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer.main
from typer.testing import CliRunner

from voiceblocks.cli.app import app
from voiceblocks.cli.commands import app_for

ALL = typer.main.get_command(app)
NAMES = sorted(getattr(ALL, "commands"))  # noqa: B009 - its type does not promise them


@pytest.mark.parametrize("name", [name for name in NAMES if name != "serve"])
def test_a_command_alone_is_that_of_all(name: str) -> None:
    """Its help, and so its options and subcommands, is the same as among all commands."""
    runner = CliRunner()
    alone, among_all = (runner.invoke(one, [name, "--help"]) for one in (app_for(name), app))
    assert alone.exit_code == 0
    assert alone.output == among_all.output


def test_what_no_command_names_gets_all_of_them() -> None:
    """Help and a misspelt command show or suggest what there is."""
    assert all(name in CliRunner().invoke(app_for("--help"), ["--help"]).output for name in NAMES)
    assert "No such command" in CliRunner().invoke(app_for("acount"), ["acount"]).output


def test_a_command_does_not_import_the_others() -> None:
    """Accounts are made without the phone and the media plane, whose imports take longest."""
    code = (
        "import sys; from voiceblocks.cli.commands import app_for; app_for('account');"
        "print([name for name in sys.modules if 'voiceblocks.engine' in name"
        " or 'voiceblocks.testing' in name or name == 'aiohttp'])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
