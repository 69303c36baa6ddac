"""The documentation as a site: it builds, loads nothing from elsewhere, and is searched offline."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Browser, Request

ROOT = Path(__file__).parents[2]

_LOADED = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: no page outside the navigation, no link or heading that is not."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    said = [line for line in built.stderr.splitlines() if not line.startswith("INFO")]
    assert built.returncode == 0, "\n".join(said)
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are the site's own, on every page."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    foreign = {
        f"{page.relative_to(site)}: {found}"
        for page in pages
        for found in _LOADED.findall(page.read_text(encoding="utf-8"))
    }
    assert foreign == set()
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not any(re.search(r"url\(\s*[\"']?(?:https?:)?//", style) for style in styles)


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_it_is_read_and_searched_from_the_disk(site: Path, browser: Browser) -> None:
    """Opened as a file, a search finds a page, the page opens, and no request leaves."""
    page = await browser.new_page()
    left: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith(("file:", "data:", "about:")):
            left.append(request.url)

    page.on("request", note)
    await page.goto((site / "index.html").as_uri())
    await page.locator("input.md-search__input").click()
    await page.keyboard.type("max_silence")
    # Below the page's title, the sections in which it stands.
    await page.locator(".md-search-result__link[href*='blocks/record.html']").first.click()
    await page.wait_for_url("**/blocks/record.html*")
    assert await page.title() == "Record - Voiceblocks"
    assert left == []
    await page.close()
