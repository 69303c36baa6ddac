"""The docs say what the code does, as far as a machine can tell."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from voiceblocks.api.reference import statuses_of
from voiceblocks.api.statuses import GENERIC_STATUSES
from voiceblocks.blocks import answer
from voiceblocks.blocks.registry import BLOCKS, REQUESTS
from voiceblocks.cli.app import app
from voiceblocks.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "voiceblocks"

_ENVIRONMENT_NAME = re.compile(r"VOICEBLOCKS_[A-Z0-9_]+")
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_NAMED_STATUS = re.compile(r"^\| `((?:error|success)_[a-z0-9_]+)` \|", re.MULTILINE)
_NAMED_PARAMETER = re.compile(r"^\| `([a-z0-9_]+)` \| (?:yes|no) \|", re.MULTILINE)

_COMMAND_LINE = re.compile(r"^(?:\w+=\S+ )*(voiceblocks \S.*)$", re.MULTILINE)

_SKIPPED_FOLDERS = frozenset({"var", "build", "dist", "node_modules"})


def _pages() -> list[Path]:
    """Every Markdown page of the project, without what tools and servers put beside it."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(
            part in _SKIPPED_FOLDERS or part.startswith(".")
            for part in path.relative_to(ROOT).parts
        )
    )


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(text)
    }


def _packages() -> list[str]:
    """Names of all packages, at any depth, and of the modules beside the layers."""
    packages = {path.parent.name for path in SOURCE.rglob("__init__.py")} - {SOURCE.name}
    modules = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    return sorted(packages | modules)


def _layers() -> list[str]:
    """Names in the layers contract of import-linter."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c["type"] == "layers")
    return sorted({name for row in layers for name in re.findall(r"\w+", row)})


def test_every_setting_is_documented_and_nothing_else() -> None:
    """An operator finds every setting, with its default, and none that does not exist."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    fields = {f"VOICEBLOCKS_{name.upper()}" for name in Settings.model_fields}
    assert set(_ENVIRONMENT_NAME.findall(text)) == fields
    rows = re.findall(r"^\| `(VOICEBLOCKS_[A-Z0-9_]+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(fields)


def _plain_defaults() -> dict[str, str | float]:
    """Defaults that are a value; others are made at the start, and the table says how in words."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return {n: d for n, d in defaults.items() if isinstance(d, str | int | float) and d != ""}


@pytest.mark.parametrize(("name", "default"), sorted(_plain_defaults().items()))
def test_a_setting_s_default_is_the_documented_one(name: str, default: str | float) -> None:
    """The default in the table is the field's, wherever it is a plain value."""
    text = (DOCS / "settings.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `VOICEBLOCKS_{name.upper()}` \| ([^|]*) \|", text, re.MULTILINE)
    assert row is not None
    said = re.match(r"`([^`]*)`", row[1])
    assert said is not None
    assert said[1] == (str(default).lower() if isinstance(default, bool) else f"{default}")


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_setting_that_does_not_exist(page: Path) -> None:
    """Nobody sets a variable that nothing reads; those of the example application are its own."""
    known = {f"VOICEBLOCKS_{name.upper()}" for name in Settings.model_fields}
    known |= set(_ENVIRONMENT_NAME.findall((ROOT / "examples" / "voicemail.py").read_text()))
    assert set(_ENVIRONMENT_NAME.findall(page.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("path", sorted(BLOCKS))
def test_a_block_s_page_names_its_parameters_and_statuses(path: str) -> None:
    """The page of a block has exactly the parameters and statuses that the code has."""
    command = BLOCKS[path].command
    text = (DOCS / "blocks" / f"{command.block}.md").read_text(encoding="utf-8")
    assert f"`/open/{path}`" in text
    parameters = ["app_id", "access_token", *(item.name for item in command.parameters)]
    assert _NAMED_PARAMETER.findall(text) == parameters
    assert _NAMED_STATUS.findall(text) == list(statuses_of(command))


@pytest.mark.parametrize("path", sorted(REQUESTS))
def test_the_voice_api_s_page_names_parameters_and_statuses(path: str) -> None:
    """A section has exactly its API's parameters and statuses; the common ones stand before all."""
    pages = [DOCS / name for name in ("voice-api.md", "account-api.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    common, *sections = re.split(r"^## (?=.*/)", text, flags=re.MULTILINE)
    (section,) = [section for section in sections if f"`/open/{path}`" in section]
    request = REQUESTS[path]
    parameters = [item.name for item in request.parameters]
    assert _NAMED_PARAMETER.findall(section) == parameters
    assert _NAMED_STATUS.findall(common) == list(GENERIC_STATUSES)
    own = [status for status in statuses_of(request) if status not in GENERIC_STATUSES]
    assert _NAMED_STATUS.findall(section) == own


def test_every_block_has_a_page_and_every_page_a_block() -> None:
    """Also `answer`, which nobody can ask for; and no page outlives its block."""
    blocks = {entry.command.block for entry in BLOCKS.values()} | {answer.BLOCK}
    assert {path.stem for path in (DOCS / "blocks").glob("*.md")} == blocks
    assert f"ivr_block={answer.BLOCK}" in (DOCS / "blocks" / "answer.md").read_text()


@pytest.mark.parametrize("name", sorted({*_packages(), *_layers()}))
def test_the_architecture_page_names_every_package(name: str) -> None:
    """Each package and each name of the layers contract has its place on the page."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert re.search(rf"`(?:[\w/]+/)?{re.escape(name)}`", text)


def test_the_architecture_page_names_only_files_that_exist() -> None:
    """The way of a call leads through real files."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    walk = text.partition("## One Record call")[2].partition("\n## ")[0]
    named = re.findall(r"^  ((?:[\w]+/)+[\w]+\.py)", walk, re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if not (SOURCE / name).is_file()] == []


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_internal_links_resolve(page: Path) -> None:
    """Every link inside the project leads to a file, and to a heading of it where it says so."""
    text = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    broken = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in _anchors(target)
        ):
            broken.append(link)
    assert broken == []


def test_every_page_of_the_docs_can_be_reached() -> None:
    """No page is an orphan: something links to it."""
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in _pages()
        for link in _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
        if not re.match(r"[a-z]+:|#", link)
    }
    assert [page for page in DOCS.rglob("*.md") if page.resolve() not in linked] == []


def test_every_page_has_its_place_in_the_navigation() -> None:
    """A reader of the site finds each page; decisions are listed by their index."""
    named = set(re.findall(r": ([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    missing = sorted(page for page in pages - named if not page.startswith("decisions/0"))
    assert not missing, f"give them a line below nav in mkdocs.yml: {missing}"
    gone = sorted(named - pages)
    assert not gone, f"mkdocs.yml names what is not there: {gone}"


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    """Every command, argument and option has its entry, with the words of its help."""
    # A folder of scripts, not a package.
    spec = importlib.util.spec_from_file_location("page", ROOT / "scripts" / "commands_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert written == module.page(), (
        "docs/commands.md is older than the commands: run python scripts/commands_page.py"
    )


def test_every_option_says_what_it_does() -> None:
    """No row on that page is empty."""
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    silent = re.findall(r"^\| `(.*)` \|  \|$", text, re.MULTILINE)
    assert not silent, f"give it a help text in src/voiceblocks/cli: {silent}"


@pytest.mark.parametrize("page", sorted((DOCS / "how-to").glob("*.md")), ids=lambda p: p.stem)
def test_python_on_a_how_to_page_is_a_piece_of_an_example(page: Path) -> None:
    """It was not typed by hand: it stands in an example, which a test runs."""
    examples = [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")]
    for piece in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        assert any(piece in example for example in examples), f"in no example:\n{piece}"


@pytest.mark.parametrize("page", _pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_a_page_can_be_typed(page: Path) -> None:
    """Each `voiceblocks …` in a block names a command, its options, and all that it needs."""
    fences = "\n".join(_FENCE.findall(page.read_text(encoding="utf-8")))
    # What Commands shows as usage is not to be typed.
    lines = [] if page == DOCS / "commands.md" else _COMMAND_LINE.findall(fences)
    for line in lines:
        words = shlex.split(line.rstrip("& "), comments=True)[1:]
        command: Any = typer.main.get_command(app)
        if words[0] == "serve":
            words = []
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert words == [] or not hasattr(command, "commands"), f"no such command: {line}"
        if hasattr(command, "commands"):
            continue
        # What stands for a file need not exist, so it is parsed and not checked further.
        context = command.context_class(command)
        given, too_much, _ = command.make_parser(context).parse_args(args=list(words))
        assert not too_much, f"too much: {line}"
        missing = [
            item.name for item in command.params if item.required and not given.get(item.name)
        ]
        assert not missing, f"without {missing}: {line}"


def test_decisions_are_numbered_without_gaps_and_listed() -> None:
    """The index has every page, and a number is given once."""
    folder = DOCS / "decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    pages = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert pages[0].name == "0001-0023-foundations.md"
    numbers = [int(path.name[:4]) for path in pages[1:]]
    assert numbers == list(range(24, 24 + len(numbers)))
    for path in pages:
        assert f"({path.name})" in index
        number = path.name.partition("-")[0]
        assert path.read_text(encoding="utf-8").startswith(f"# {number}")


def test_the_readme_counts_the_lines_of_the_voicemail() -> None:
    """What the README promises of the example is true."""
    promised = re.search(
        r"voicemail of (\d+) lines\]\(examples/voicemail\.py\)", (ROOT / "README.md").read_text()
    )
    assert promised is not None
    lines = (ROOT / "examples" / "voicemail.py").read_text().splitlines()
    assert len(lines) == int(promised[1]) < 80
