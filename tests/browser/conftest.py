"""A real browser, Debian's Chromium, in front of a real server."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import Phone

PASSWORD = "correct horse battery"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server of this module's own, so that its lists hold only what the module made."""
    running = await ServerProcess(tmp_path_factory.mktemp("server")).start()
    yield running
    assert await running.stop() == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("No Chromium here: `apt-get install chromium`")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=found,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--autoplay-policy=no-user-gesture-required",
                # Beeps twice a second, for pages that were given the microphone.
                "--use-fake-device-for-media-stream",
            ],
        )
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A window nobody has signed in with; any error of a script fails the test."""
    context = await browser.new_context()
    opened = await context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.set_default_timeout(10_000)
    yield opened
    await context.close()
    assert [error for error in errors if "the server responded with a status" not in error] == []


@pytest_asyncio.fixture(loop_scope="module")
async def app(server: ServerProcess) -> AsyncIterator[Application]:
    """A fresh application with a number of its own."""
    async with Application(server) as application:
        yield application


@pytest_asyncio.fixture(loop_scope="module")
async def phone() -> AsyncIterator[Phone]:
    """A phone; hangs up at the end of the test."""
    async with Phone() as made:
        yield made


async def sign_in(page: Page, server: ServerProcess, name: str, **role: str | bool) -> None:
    """Make a user, follow their link, choose a password."""
    made = await server.cli("user", "add", name, **role)
    link = made["url"].partition("/console/")[2]
    await page.goto(f"http://{server.admin}/console/{link}")
    await page.get_by_label("Choose a password").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Now", exact=True).wait_for()


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures of the pages stay to be looked at: `var/screenshots`, not in git."""
    folder = Path(__file__).parents[2] / "var" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
