"""Writes docs/commands.md from the commands themselves: `python scripts/commands_page.py`.

What a command is for and what its options mean stands in the code, for `--help`; this page is the
same, with links. A test says when it is not written anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from voiceblocks.cli import serve
from voiceblocks.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"

HEAD = """# Commands

<!-- Written by scripts/commands_page.py from the help texts of the commands: change those. -->

`voiceblocks COMMAND --help` says the same in the terminal. What all have in common:

- They read the [settings](settings.md): give them the same `VOICEBLOCKS_DATA_DIR` and
  `VOICEBLOCKS_DATABASE_URL` as the server. The server may run; what they change counts at once.
- `--json` prints one JSON object for scripts, also for a refusal (`{"error": …}`).
- They exit with 0, with 1 after a sentence that says what is wrong, and with 2 when the command
  line cannot be understood.
- Where work takes long and standard error is a terminal, a bar there shows how far it is; never
  with `--json`.
"""

SEE = {
    "account": "[billing](billing.md), [calls out](trunks.md#whom-an-account-may-call)",
    "app": "[tokens](operations.md#access-tokens), [sealed recordings](sealed-recordings.md)",
    "backup": "[backup](operations.md#backup), [upgrade](how-to/upgrade.md)",
    "bench": "[operations](operations.md#processes), [results](../benchmarks/RESULTS.md)",
    "cache": "[operations](operations.md#data-folder)",
    "calls": "[operations](operations.md#watching)",
    "doctor": "[is it set up well?](operations.md#is-it-set-up-well)",
    "export": "[billing](billing.md)",
    "ledger": "[billing](billing.md)",
    "notifications": "[how notifications are sent](blocks/answer.md#how-notifications-are-sent)",
    "number": "[account and numbers](account-api.md)",
    "phone": "[your first recorded call](tutorial/first-recorded-call.md)",
    "recordings": "[recordings](operations.md#recordings), [in S3](how-to/s3.md)",
    "restore": "[backup](operations.md#backup)",
    "serve": "[start and stop](operations.md#start-and-stop)",
    "statement": "[billing](billing.md)",
    "tariff": "[billing](billing.md)",
    "trunk": "[connect a trunk](trunks.md)",
    "unseal": "[sealed recordings](sealed-recordings.md)",
    "upgrade": "[upgrade](how-to/upgrade.md)",
    "user": "[the console](console.md#sign-in)",
}
"Where more is said, by first word."


def page() -> str:
    """The whole page."""
    root: Any = typer.main.get_command(app)
    parts = [HEAD]
    for name, command in sorted(root.commands.items()):
        parts.append(f"\n## {name}\n")
        if hasattr(command, "commands"):
            parts.append(f"\n{_sentence(command.help)}\n")
            for path, inner in _commands(command, [name]):
                parts += [f"\n### {' '.join(path)}\n", *_entry(path, inner)]
        else:
            parts += _entry([name], command)
        if name in SEE:
            parts.append(f"\nMore: {SEE[name]}.\n")
    return "".join(parts)


def _commands(group: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, [*path, name])
        else:
            yield [*path, name], command


def _entry(path: list[str], command: Any) -> Iterator[str]:
    if path == ["serve"]:
        rows = [(f"`{name} {metavar}`", text) for name, (_, metavar, text) in serve.OPTIONS.items()]
        usage = "voiceblocks serve [OPTIONS]"
        says = inspect.getdoc(serve.serve) or ""
    else:
        given = [item for item in command.params if "--json" not in item.opts]
        arguments = [item for item in given if item.param_type_name == "argument"]
        options = [item for item in given if item.param_type_name == "option"]
        words = [_argument(item) for item in arguments]
        words += [f"{item.opts[0]} {_value(item)}" for item in options if item.required]
        words += ["[OPTIONS]"] if any(not item.required for item in options) else []
        usage = " ".join(["voiceblocks", *path, *words])
        says = command.help or ""
        rows = [(f"`{_value(item)}`", item.help) for item in arguments if item.help]
        rows += [(f"`{_option(item)}`", _meaning(item)) for item in options]
    yield f"\n```\n{usage}\n```\n\n{_sentence(says)}\n"
    if rows:
        yield "\n| Word | Meaning |\n|---|---|\n"
        yield from (f"| {name} | {_cell(text)} |\n" for name, text in rows)


def _argument(item: Any) -> str:
    return _value(item) if item.required else f"[{_value(item)}]"


def _value(item: Any) -> str:
    return str(item.metavar or item.name.upper())


def _option(item: Any) -> str:
    if item.is_flag:
        return "/".join([*item.opts, *item.secondary_opts])
    return f"{item.opts[0]} {_value(item)}"


def _meaning(item: Any) -> str:
    text = item.help or ""
    if item.is_flag or item.required or item.default in (None, ""):
        return text
    return f"{text.rstrip('.')}. {item.default} if omitted"


def _sentence(text: str) -> str:
    return inspect.cleandoc(text).strip()


def _cell(text: str) -> str:
    return text.strip().rstrip(".").replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
