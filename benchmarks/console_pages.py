"""What the console's pages weigh and how soon they can be used, with many calls behind them.

    python -m benchmarks.console_pages --calls 10000 --accounts 20 --rounds 10

Each page is opened in Debian's Chromium with an empty cache, by an operator and by a user of one
account. Bytes are all that was transferred for the page; "usable" is when its scripts have run and
the main thread has had nothing long to do since, counted from the click.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from playwright.async_api import BrowserContext, async_playwright
from tests.browser.conftest import sign_in
from tests.harness import ServerProcess
from tests.many_calls import Filled, fill

from voiceblocks.database.unit_of_work import Database

GOAL_BYTES, GOAL_MS = 200_000, 1000

USABLE = """() => new Promise((done) => {
    let last = performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd;
    new PerformanceObserver((seen) => {
        for (const task of seen.getEntries()) last = Math.max(last, task.startTime + task.duration);
    }).observe({ type: "longtask", buffered: true });
    setTimeout(() => done(last), 300);
})"""


def paths(filled: Filled) -> dict[str, str]:
    """Each page by its name."""
    return {
        "now": "",
        "calls": "calls",
        "calls, searched": "calls?q=9100",
        "a call": f"calls/{filled.call}",
        "recordings": "recordings",
        "a recording": f"recordings/{filled.recording}",
        "notifications": "notifications",
        "notifications, delivered": "notifications?state=delivered",
        "a notification": f"notifications/{filled.notification}",
        "account": f"account?of={filled.account}",
        "phone": f"phone?call={filled.call}",
        "trunks": "trunks",
        "health": "health",
    }


async def measure(context: BrowserContext, url: str, rounds: int) -> tuple[int, list[float]]:
    """Bytes of a page, and the milliseconds of each round."""
    times, size = [], 0
    for _ in range(rounds):
        page = await context.new_page()
        session = await context.new_cdp_session(page)
        await session.send("Network.enable")
        await session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        sizes: list[float] = []
        session.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))  # noqa: B023
        answer = await page.goto(url, wait_until="load")
        assert answer is not None
        assert answer.ok, f"{url}: {answer.status}"
        times.append(await page.evaluate(USABLE))
        size = max(size, int(sum(sizes)))
        await page.close()
    return size, times


async def run(options: argparse.Namespace) -> bool:
    """Fill, open every page, tell; whether all goals were reached."""
    reached = True
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        server = await ServerProcess(Path(folder) / "server", stderr=log).start()
        database = Database(server.database_url)
        began = time.monotonic()
        filled = await database.run(
            lambda c: fill(c, calls=options.calls, accounts=options.accounts)
        )
        database.close()
        print(f"{options.calls} calls in {time.monotonic() - began:.1f} s", flush=True)
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
                )
                for who, role in (
                    ("operator", {"operator": True}),
                    ("account", {"account": filled.account}),
                ):
                    context = await browser.new_context()
                    await sign_in(await context.new_page(), server, who, **role)
                    for name, path in paths(filled).items():
                        if who == "account" and name in {"trunks", "health"}:
                            continue
                        url = f"http://{server.admin}/console/{path}"
                        size, times = await measure(context, url, options.rounds)
                        reached &= size < GOAL_BYTES and max(times) < GOAL_MS
                        print(
                            f"{who:9} {name:25} {size / 1000:7.1f} kB   usable after median "
                            f"{statistics.median(times):5.0f} ms, worst {max(times):5.0f} ms",
                            flush=True,
                        )
                    await context.close()
                await browser.close()
        finally:
            await server.stop()
    print("goals reached" if reached else f"goals ({GOAL_BYTES} B, {GOAL_MS} ms) NOT reached")
    return reached


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    raise SystemExit(0 if asyncio.run(run(parser.parse_args())) else 1)


if __name__ == "__main__":
    main()
