"""The console in a real browser: who gets in, what they see, and what they never see."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import aiohttp
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import PASSWORD, sign_in
from tests.functional.calls import recording
from tests.harness import Application, ServerProcess
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.speakers import voice

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]

HOSTILE = "<script>document.title='owned'</script>\"'><img src=x onerror=document.title='owned'>"


async def test_who_has_no_link_and_no_password_sees_the_door(
    page: Page, server: ServerProcess
) -> None:
    """Every page sends strangers to the door; a wrong password is refused in a sentence."""
    for path in ("", "calls", "calls/S-1-x", "recordings", "notifications", "account", "health"):
        await page.goto(f"http://{server.admin}/console/{path}")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_label("Name").fill("nobody")
    await page.get_by_label("Password").fill("wrong password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("do not belong together")


async def test_a_link_works_once_then_the_password(
    page: Page, server: ServerProcess, browser: Browser
) -> None:
    """
    The link lets its holder choose a password and dies; then the password lets them in.

    Five wrong ones lock the door, and a new link opens it.
    """
    made = await server.cli("user", "add", "olivia", operator=True)
    link = f"http://{server.admin}/console/{made['url'].partition('/console/')[2]}"
    await page.goto(link)
    await page.get_by_label("Choose a password").fill("short")
    await page.get_by_label("The same again").fill("short")
    await page.evaluate("document.querySelector('form').noValidate = true")
    await page.locator("main").get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("at least 10")
    await page.get_by_label("Choose a password").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Now", exact=True)).to_be_visible()

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.goto(link)
    await expect(page.locator("main")).to_contain_text("was used or has expired")

    for _ in range(5):
        await _try(page, server, "olivia", "not the password")
        await expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    await _try(page, server, "olivia", PASSWORD)
    await expect(page.get_by_role("alert")).to_contain_text("Too many wrong passwords")
    await server.cli("user", "link", "olivia")
    await _try(page, server, "olivia", PASSWORD)
    await expect(page.get_by_role("heading", name="Now", exact=True)).to_be_visible()


async def test_a_newcomer_finds_the_recording_of_their_call(
    page: Page, server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Without a reload call and recording appear; it plays, seeks, and has a waveform."""
    await sign_in(page, server, "newcomer", operator=True)
    began = time.monotonic()
    call, _session = await recording(app, phone)
    live = page.get_by_role("region", name="Live calls")
    await expect(live.get_by_role("cell", name=app.number)).to_be_visible()
    await call.media.say(voice(0, 1500))
    await call.media.press("#")
    await app.told(ivr_block="record")
    latest = page.get_by_role("region", name="Latest recordings")
    await expect(latest.get_by_text("ready")).to_be_visible()
    await latest.get_by_role("link").first.click()

    await page.locator("canvas[data-drawn]").wait_for()
    length_s = await page.evaluate(
        """async () => {
            const audio = document.querySelector("audio");
            audio.muted = true;
            await audio.play();
            audio.currentTime = 1;
            await new Promise((done) => audio.addEventListener("seeked", done, { once: true }));
            return audio.duration;
        }"""
    )
    wall_s = time.monotonic() - began
    assert 1.5 <= length_s < wall_s
    painted = await page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas");
            const pixels = canvas.getContext("2d")
                .getImageData(0, 0, canvas.width, canvas.height).data;
            let seen = 0;
            for (let i = 3; i < pixels.length; i += 4) seen += pixels[i] > 0;
            return seen / (pixels.length / 4);
        }"""
    )
    assert painted > 0.05
    link = await page.get_by_label("Signed link").input_value()
    async with aiohttp.ClientSession() as http, http.get(link) as reply:
        assert reply.status == 200
        assert reply.content_type == "audio/mpeg"

    await page.get_by_role("link", name=re.compile("^S-1-")).click()
    await expect(page.locator("#story")).to_contain_text("record ended: finish_key")
    call.hang_up()
    await expect(page.locator("p.why")).to_contain_text("The caller hung up after record")
    await read_the_story(page)


async def test_pages_renew_themselves_under_whoever_uses_them(
    page: Page, server: ServerProcess, app: Application, phone: Phone
) -> None:
    """
    New rows come, while focus and selection stay with the row they were in.

    While the server does not answer, the page says of when it is.
    """
    first, _ = await recording(app, phone)
    first.hang_up()
    await app.told(call_state="ended")
    await sign_in(page, server, "keyboard", account=app.account_id)
    latest = page.get_by_role("region", name="Latest calls")
    await expect(latest.get_by_role("link")).to_have_count(1)
    await latest.get_by_role("link").focus()
    address = await page.evaluate("document.activeElement.href")
    await page.evaluate(
        """() => getSelection().selectAllChildren(
            document.querySelector("#latest-calls td:nth-child(2)"))"""
    )
    selected = await page.evaluate("String(getSelection())")
    assert selected

    async with Phone() as other:
        second, _ = await recording(app, other)
        second.hang_up()
        await expect(latest.get_by_role("link")).to_have_count(2)
        assert await page.evaluate("document.activeElement.href") == address
        assert await latest.get_by_role("link").last.get_attribute("href") in address
        assert await page.evaluate("String(getSelection())") == selected

    await page.route("**/console/", lambda route: route.fulfill(status=503, body="away"))
    away = page.locator("#away")
    await expect(away).to_contain_text("The server does not answer", timeout=15_000)
    await page.unroute("**/console/")
    await expect(away).to_have_text("", timeout=15_000)


async def test_a_page_leads_on_to_what_it_names(
    page: Page, server: ServerProcess, app: Application, phone: Phone
) -> None:
    """
    A call plays its recording, and says that its application failed; its charge leads to it.

    Account and health show tokens and what waits; a wrong address keeps the way back.
    """
    call, session = await recording(app, phone)
    await call.media.say(voice(0, 500))
    app.sink.script(500, 500, 500)
    await call.media.press("#")
    await app.told(ivr_block="record")
    await sign_in(page, server, "reader", operator=True)
    await page.goto(f"http://{server.admin}/console/calls/{session}")
    trouble = page.locator("p.trouble")
    await expect(trouble.first).to_contain_text("answered notification 2 (record) with HTTP 500")
    heard = page.get_by_role("region", name="Recordings of this call")
    player = heard.locator("audio")
    await player.evaluate("async (audio) => { audio.muted = true; await audio.play(); }")
    assert await player.evaluate("(audio) => audio.duration") > 0.4
    # The page renews itself when the call ends, and the player stays the one that plays.
    await player.evaluate("(audio) => { audio.isTheSame = true; }")
    call.hang_up()
    await expect(page.locator("p.why")).to_contain_text("The caller hung up")
    assert await player.evaluate("(audio) => audio.isTheSame")
    await trouble.first.get_by_role("link").click()
    await expect(page.locator("p.why")).to_contain_text("HTTP 500")

    await page.goto(f"http://{server.admin}/console/account?of={app.account_id}")
    tokens = page.get_by_role("region", name=re.compile("^Applications of"))
    await expect(tokens).to_contain_text("good, made")
    ledger = page.get_by_role("region", name=re.compile("^Ledger of"))
    await ledger.get_by_role("link").first.click()
    await expect(page.locator("dl.facts").first).to_contain_text(session)
    await page.goto(f"http://{server.admin}/console/health")
    await expect(page.locator("#health")).to_contain_text("Recordings being encoded")
    await page.goto(f"http://{server.admin}/console/nowhere")
    await page.get_by_role("link", name="Now").click()
    await expect(page.get_by_role("heading", name="Now", exact=True)).to_be_visible()


async def read_the_story(page: Page) -> None:
    """The list and the ladder show SIP up to the answer to BYE; both downloads are whole."""
    moments = page.locator("ol.moments")
    await expect(moments).to_contain_text("SIP 200 OK (BYE) sent to", timeout=15_000)
    await expect(moments).to_contain_text("application asked for ivr/middle/record: success_ok")
    ladder = page.get_by_role("img", name=re.compile("messages and events between caller"))
    await expect(ladder).to_contain_text("200 OK (BYE)")
    await expect(ladder).to_contain_text("record: success_ok")
    async with page.expect_download() as started:
        await page.get_by_role("link", name="SIP for Wireshark").click()
    capture = (await (await started.value).path()).read_bytes()
    assert capture.startswith(b"\xd4\xc3\xb2\xa1")
    assert b"\r\nCSeq: 1 INVITE\r\n" in capture
    async with page.expect_download() as started:
        await page.get_by_role("link", name="JSON of all").click()
    told = json.loads((await (await started.value).path()).read_text())
    assert told["call"]["end_cause"] == "far_hung_up"
    answer = await page.context.request.get(page.url)
    assert answer.ok
    assert len(await answer.body()) < 200_000


async def test_an_account_sees_its_own_calls_alone(
    page: Page, server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Another account's call, recording and notification are as if they did not exist."""
    call, session = await recording(app, phone)
    await call.media.say(voice(0, 300))
    await call.media.press("#")
    await app.told(ivr_block="record")
    call.hang_up()
    async with Application(server) as other:
        await sign_in(page, server, "stranger", account=other.account_id)
        await page.goto(f"http://{server.admin}/console/calls")
        await expect(page.locator("main")).to_contain_text("No call yet")
        for path in (
            *(f"calls/{session}{ending}" for ending in ("", ".pcap", ".json")),
            "health",
            "trunks",
        ):
            await page.goto(f"http://{server.admin}/console/{path}")
            await expect(page.get_by_role("heading", level=1)).to_have_text(
                re.compile("Not Found|Forbidden")
            )
    await page.context.clear_cookies()
    await sign_in(page, server, "owner", account=app.account_id)
    await page.goto(f"http://{server.admin}/console/calls?q={app.number[-6:]}")
    await expect(page.get_by_role("cell", name=app.number)).to_be_visible()


async def test_a_notification_is_sent_again(
    page: Page, server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Once the call is over the button sends it again, as the same event, and shows the attempt."""
    call, session = await recording(app, phone)
    call.hang_up()
    first = await app.told(ivr_block="record", call_state="ended")
    await sign_in(page, server, "sender", operator=True)
    await page.goto(f"http://{server.admin}/console/calls/{session}")
    region = page.get_by_role("region", name="Notifications of this call")
    await region.get_by_role("row", name=re.compile("record")).get_by_role("link").first.click()
    await page.get_by_role("button", name="Send again").click()
    again = await app.told(ivr_block="record", call_state="ended")
    assert again.headers["x-voiceblocks-event"] == first.headers["x-voiceblocks-event"]
    await expect(page.get_by_role("cell", name="2", exact=True)).to_be_visible()


async def test_links_are_killed_and_a_recording_deleted(
    page: Page, server: ServerProcess, app: Application, phone: Phone
) -> None:
    """
    After "kill all links" only the new link works; after "delete" none, and the row is gone.

    While it is there the page says how well it came in.
    """
    call, _session = await recording(app, phone)
    call.media.say(voice(0, 500))
    await call.media.press("#")
    old = (await app.told(ivr_block="record")).body["record_url"]
    await sign_in(page, server, "remover", account=app.account_id)
    await page.goto(f"http://{server.admin}/console/recordings")
    region = page.get_by_role("region", name="Recordings")
    await region.get_by_role("link").first.click()
    await page.get_by_text("Make all links worthless").click()
    await page.get_by_role("button", name="Kill all links").click()
    new = page.get_by_label("Signed link")
    await expect(new).not_to_have_value(old)
    async with aiohttp.ClientSession() as http:
        async with http.get(old) as reply:
            assert reply.status == 403
        async with http.get(await new.input_value()) as reply:
            assert reply.status == 200
        link = await new.input_value()
        facts = await page.locator("dl.facts").inner_text()
        assert "Packets expected" in facts
        assert "One-way audio" in facts
        await page.get_by_text("Delete this recording").click()
        await page.get_by_label("Why?").fill("asked for by the caller")
        await page.get_by_role("button", name="Delete for good").click()
        await expect(page.locator("main")).to_contain_text("Nothing was recorded yet")
        async with http.get(link) as reply:
            assert reply.status in {403, 404}


async def test_hostile_words_are_only_words(
    page: Page, server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Script in a caller's name, a tag and a search is shown as text on every page."""
    call, session = await recording(app, phone, tag=HOSTILE[:200])
    call.hang_up()
    told = await app.told(ivr_block="record", call_state="ended")
    assert told.body["tag"] == HOSTILE[:200]
    await sign_in(page, server, HOSTILE[:40], operator=True)
    for path in ("", "calls", f"calls/{session}", "notifications"):
        await page.goto(f"http://{server.admin}/console/{path}")
        await expect(page.locator("header .who")).to_have_text(HOSTILE[:40])
        assert "owned" not in await page.title()
    await page.goto(f"http://{server.admin}/console/calls/{session}")
    await expect(page.locator("dl")).to_contain_text(HOSTILE[:200])
    await page.get_by_role("link", name="Calls").click()
    await page.get_by_role("searchbox").fill(HOSTILE[:60])
    await page.get_by_role("button", name="Search").click()
    await expect(page.locator("main")).to_contain_text(HOSTILE[:60])
    assert "owned" not in await page.title()


async def test_a_form_of_another_site_does_nothing(server: ServerProcess) -> None:
    """A sign-in or sign-out that another site's page sends is refused; the cookie is sealed off."""
    made = await server.cli("user", "add", "victim", operator=True)
    secret = made["url"].partition("link=")[2]
    base = f"http://{server.admin}/console"
    jar = aiohttp.CookieJar(unsafe=True)  # Cookies of an address, too.
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        fields = {"link": secret, "password": PASSWORD, "again": PASSWORD}
        foreign = {"Origin": "http://evil.example"}
        async with http.post(f"{base}/welcome", data=fields, headers=foreign) as reply:
            assert reply.status == 403
        async with http.post(f"{base}/welcome", data=fields, allow_redirects=False) as reply:
            assert reply.status == 303
            cookie = reply.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert "default-src 'none'" in reply.headers["content-security-policy"]
        async with http.post(f"{base}/sign-out", data={"token": "0" * 64}) as reply:
            assert reply.status == 403
        async with http.get(f"{base}/health") as reply:
            assert "Media workers" in await reply.text()


async def test_every_page_light_and_dark_wide_and_narrow(
    browser: Browser, server: ServerProcess, app: Application, phone: Phone, screenshots: Path
) -> None:
    """No page is wider than its window or hard to use (axe-core); pictures of all are kept."""
    call, session = await recording(app, phone)
    await call.media.say(voice(0, 500))
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    recorded = told.body["record_url"].partition("/recordings/")[2].partition(".mp3")[0]
    paths = ["", "calls", f"calls/{session}", "recordings", f"recordings/{recorded}"]
    paths += ["notifications", "account", f"phone?call={session}", "trunks", "health"]
    for scheme in ("light", "dark"):
        for width in (1280, 375):
            context = await browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 800}
            )
            page = await context.new_page()
            await sign_in(page, server, f"viewer {scheme} {width}", operator=True)
            for path in paths:
                await page.goto(f"http://{server.admin}/console/{path}")
                name = f"{re.split('[/?]', path)[0] or 'home'}{'-one' if '/' in path else ''}"
                await page.screenshot(path=screenshots / f"{name}-{scheme}-{width}.png")
                too_wide = await page.evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                )
                assert too_wide <= 0, (path, width)
                hidden = await page.evaluate(_CELLS_OUT_OF_SIGHT)
                assert hidden == [], (path, width)
                if width == 375:
                    found = await Axe().run(page)
                    assert found.violations_count == 0, found.generate_report()
            await context.close()


_CELLS_OUT_OF_SIGHT = """() => [...document.querySelectorAll("td")]
    .filter((cell) => {
        const box = cell.getBoundingClientRect();
        const around = cell.closest(".scroll").getBoundingClientRect();
        return box.width === 0 || box.left < around.left || box.right > around.right + 1;
    })
    .map((cell) => cell.textContent)"""


async def _try(page: Page, server: ServerProcess, name: str, password: str) -> None:
    await page.goto(f"http://{server.admin}/console/sign-in")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
