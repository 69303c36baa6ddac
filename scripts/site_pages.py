"""A hook of mkdocs: what the pages link to outside docs/ becomes pages of the site, too.

On GitHub a link from docs/client.md to ../examples/voicemail.py leads to the file. On the site it
leads to a page with the file in it, so that the site is whole without any repository beside it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"(?<=\]\()([^)\s#]+)((?:#[^)\s]*)?)(?=\))")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".yml": "yaml", ".json": "json", ".toml": "toml"}
FOLDER = "files/"
"Where the site keeps them: the path in the repository follows, and `.md` where it has another end."


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every file outside docs/ that a page leads to, and what those lead to."""
    waiting = [(_source(file.src_uri), _text(_source(file.src_uri))) for file in _pages(files)]
    while waiting:
        source, text = waiting.pop()
        for link, _ in LINK.findall(CODE.sub("", text)):
            target = _resolved(source, link)
            name = target and _page_of(target)
            if target is None or name is None or files.get_file_from_path(name) is not None:
                continue
            files.append(
                File.generated(
                    config, name, content=_as_page(target), inclusion=InclusionLevel.NOT_IN_NAV
                )
            )
            if target.endswith(".md"):
                waiting.append((target, _text(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point the links to those pages."""
    here = page.file.src_uri
    source = _source(here)

    def pointed(match: re.Match[str]) -> str:
        target = _resolved(source, match[1])
        name = target and _page_of(target)
        if name is None:
            return match[0]
        return posixpath.relpath(name, posixpath.dirname(here) or ".") + match[2]

    return LINK.sub(pointed, markdown)


def _pages(files: Files) -> list[File]:
    return [file for file in files if file.src_uri.endswith(".md")]


def _source(uri: str) -> str:
    """The path in the repository of a page of the site."""
    if uri.startswith(FOLDER):
        path = uri.removeprefix(FOLDER)
        return path if (ROOT / path).is_file() else path.removesuffix(".md")
    return f"docs/{uri}"


def _text(source: str) -> str:
    return (ROOT / source).read_text(encoding="utf-8")


def _resolved(source: str, link: str) -> str | None:
    """The repository's file that a link of `source` means, if it means one."""
    if re.match(r"[a-z]+:", link):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return target if (ROOT / target).is_file() else None


def _page_of(target: str) -> str | None:
    """The site's page for a file of the repository."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return FOLDER + (target if target.endswith(".md") else f"{target}.md")


def _as_page(target: str) -> str:
    text = _text(target)
    if target.endswith(".md"):
        return text
    language = LANGUAGES.get(posixpath.splitext(target)[1], "text")
    return f"# {target}\n\n````{language}\n{text}````\n"
