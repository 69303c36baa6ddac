"""The phone in the console, in a real browser: calls, sound both ways, keys, and what it says."""

from __future__ import annotations

import asyncio
import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import soundfile
from axe_playwright_python.async_playwright import Axe
from numpy.typing import NDArray
from playwright.async_api import Browser, Page, WebSocket, expect

from tests.browser.conftest import sign_in
from tests.harness import Application, ServerProcess
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import BEEP_DURATION_MS, BEEP_FREQUENCY_HZ, BEEP_LEVEL_DBFS
from voiceblocks.testing.speakers import LEVEL_DBFS, frequencies_of, who_is_heard

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.browser]

SPEAKER = 3
VOICE_MS = 1600
FRAME = 160
BLACKMAN = 0.42
"Mean of the window that a browser's analyser puts over what it looks at."


@dataclass
class Overheard:
    """What went over a page's WebSockets."""

    heard: list[NDArray[np.int16]] = field(default_factory=list)
    said: list[NDArray[np.int16]] = field(default_factory=list)

    @classmethod
    def on(cls, page: Page) -> Overheard:
        """Listen from now on."""
        made = cls()

        def open_(socket: WebSocket) -> None:
            socket.on("framereceived", lambda data: made.keep(made.heard, data))
            socket.on("framesent", lambda data: made.keep(made.said, data))

        page.on("websocket", open_)
        return made

    @staticmethod
    def keep(kept: list[NDArray[np.int16]], data: bytes | str) -> None:
        """Sound only."""
        if isinstance(data, bytes):
            kept.append(np.frombuffer(data, "<i2"))

    async def beep(self) -> list[float]:
        """Wait for the beep and its end; return the level of each 20 ms in which it is heard."""
        async with asyncio.timeout(15):
            while True:
                samples = np.concatenate([np.zeros(FRAME, np.int16), *self.heard])
                frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
                levels = [goertzel_level_dbfs(one, BEEP_FREQUENCY_HZ) for one in frames]
                loud = [level for level in levels if level > BEEP_LEVEL_DBFS - 6]
                if len(loud) * 20 >= BEEP_DURATION_MS / 2 and levels[-1] < BEEP_LEVEL_DBFS - 6:
                    return loud
                # A poll with a deadline: frames come as they come.
                await asyncio.sleep(0.05)


async def test_a_newcomer_hears_the_product(
    page: Page, server: ServerProcess, app: Application, tmp_path: Path
) -> None:
    """
    All of it by nothing but the pages: a call, its recording, its story, a notification again.

    The call rings and shows what it waits for; the beep arrives and is played; a sound file is
    spoken although there is no microphone; `#` ends the recording, which holds that file, whole,
    as loud as it was. Recording and notifications appear while the call goes on, without a reload.
    """
    overheard = Overheard.on(page)
    await sign_in(page, server, "caller", account=app.account_id)
    await page.get_by_role("link", name="Phone").click()
    await page.get_by_label("Speak from a sound file").set_input_files(_sound_file(tmp_path))
    await page.evaluate("window.stays = true")
    await page.get_by_role("button", name="Call").click()
    state = page.get_by_role("status")
    await expect(state).to_contain_text("waiting for the application")
    await expect(page.get_by_role("alert")).to_contain_text("gave no microphone")
    answer = await app.told(ivr_block="answer", call_state="ringing")
    assert (answer.body["from"], answer.body["to"]) == ("browser", app.number)
    session = answer.body["session"]
    section = page.get_by_role("region", name="This call", exact=True)
    await expect(section.locator("pre")).to_contain_text(f"session={session}")

    played = asyncio.ensure_future(page.evaluate(_PLAYS))
    await app.record(session)
    await expect(state).to_contain_text("On the phone")
    levels = await overheard.beep()
    assert abs(len(levels) * 20 - BEEP_DURATION_MS) <= 40
    assert abs(float(np.median(levels)) - BEEP_LEVEL_DBFS) < 0.5
    await asyncio.wait_for(played, 5)
    await page.get_by_role("button", name="Say it").click()
    async with asyncio.timeout(15):
        # Behind it as much silence as the jitter buffer and the way take at most.
        while (  # noqa: ASYNC110 (frames come as they come)
            _loud_ms(overheard.said) < VOICE_MS - 40 or _loud_ms(overheard.said[-12:])
        ):
            # A poll with a deadline.
            await asyncio.sleep(0.05)
    await page.keyboard.press("#")
    told = await app.told(ivr_block="record")
    assert told.body["record_end"] == "finish_key"

    passages = who_is_heard(await _download(told.body["record_url"]))
    assert [one.speaker for one in passages] == [SPEAKER], passages
    assert abs(passages[0].lasts_ms - VOICE_MS) < 60, passages
    assert abs(passages[0].level_dbfs - LEVEL_DBFS) < 0.5, passages

    await expect(section.get_by_role("link", name="Recording 1")).to_be_visible()
    rows = section.get_by_role("region").get_by_role("row")
    await expect(rows.filter(has_text="record")).to_contain_text("delivered")
    await page.get_by_role("button", name="Hang up").click()
    await expect(state).to_contain_text("The call is over")
    await expect(section).to_contain_text("caller hung up")
    assert await page.evaluate("window.stays"), "the page was loaded again"

    await section.get_by_role("link", name="Recording 1").click()
    await page.locator("canvas[data-drawn]").wait_for()
    assert await page.evaluate(_PLAYED_S) > VOICE_MS / 1000
    await page.get_by_role("link", name=session).click()
    story = page.locator("#story")
    await expect(story).to_contain_text("record ended: finish_key")
    sent = story.get_by_role("region", name="Notifications of this call").get_by_role("row")
    await sent.filter(has_text="record").first.get_by_role("link").first.click()
    await page.get_by_role("button", name="Send again").click()
    again = await app.told(ivr_block="record")
    while again.headers["x-voiceblocks-event"] != told.headers["x-voiceblocks-event"]:
        again = await app.told(ivr_block="record")  # That of the call's end.
    await expect(page.get_by_role("cell", name="2", exact=True)).to_be_visible()


async def test_the_microphone_and_every_key(
    page: Page, server: ServerProcess, app: Application
) -> None:
    """
    The microphone is heard; keys of pad and keyboard arrive in their order, each once.

    A page on the phone is as easy to use as the others (axe-core).
    """
    overheard = Overheard.on(page)
    await page.context.grant_permissions(["microphone"], origin=f"http://{server.admin}")
    await sign_in(page, server, "typist", operator=True)
    await page.goto(f"http://{server.admin}/console/phone?to={app.number.replace('+', '%2B')}")
    await page.get_by_role("button", name="Call").click()
    session = (await app.told(ivr_block="answer")).body["session"]
    await app.accepted("ivr/middle/gather", session=session, max_digits="12")
    await expect(page.get_by_role("status")).to_contain_text("On the phone")
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    for name in ("1", "2", "3", "4", "5", "6", "star"):
        await page.get_by_role("button", name=name, exact=True).click()
    await page.locator("h1").click()
    for key in "7890*":
        await page.keyboard.press(key)
    told = await app.told(ivr_block="gather")
    assert told.body["digits"] == "123456*7890*"
    assert await page.get_by_role("alert").count() == 0
    async with asyncio.timeout(10):
        while _loud_ms(overheard.said) < 60:  # noqa: ASYNC110 (it beeps when it likes)
            # A poll with a deadline.
            await asyncio.sleep(0.05)
    await app.hang_up(session)
    await expect(page.get_by_role("status")).to_contain_text("The call is over")
    await expect(page.get_by_role("button", name="Call")).to_be_enabled()


async def test_its_filters_keep_the_telephone_band_and_nothing_else(
    page: Page, server: ServerProcess, app: Application, browser: Browser
) -> None:
    """
    From 44.1 and 48 kHz to 8 kHz and back tones stay as loud, and nothing folds over or mirrors.

    Where the phone cannot work the page says why: no JavaScript, no https.
    """
    await sign_in(page, server, "listener", account=app.account_id)
    await page.goto(f"http://{server.admin}/console/phone")
    for rate_hz in (44_100, 48_000):
        for hz, gain_db in ((300, 0), (1000, 0), (3300, 0), (4600, -55), (7000, -55)):
            said = np.array(await page.evaluate(_SAY, [rate_hz, hz]), np.int16)[800:]
            level = rms_dbfs(said) - 20 * math.log10(0.5)
            assert abs(level) < 0.5 if gain_db == 0 else level < gain_db, (rate_hz, hz, level)
        tone_db, beside_db = await page.evaluate(_PLAY, rate_hz)
        assert abs(tone_db - 20 * math.log10(0.5 / 2 * BLACKMAN)) < 0.5, rate_hz
        assert beside_db < tone_db - 50, rate_hz

    cookies = await page.context.cookies()
    without = await browser.new_context(java_script_enabled=False)
    await without.add_cookies(cookies)  # type: ignore[arg-type]
    bare = await without.new_page()
    await bare.goto(f"http://{server.admin}/console/phone")
    assert "needs JavaScript" in await bare.content()
    await expect(bare.get_by_role("button", name="Call")).to_be_hidden()
    await without.close()
    await page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("pages of https and of localhost only")


_PLAYS = """new Promise((done) => {
    const look = () => document.getElementById("heard").value > -20
        ? done() : requestAnimationFrame(look);
    look();
})"""

_PLAYED_S = """async () => {
    const audio = document.querySelector("audio");
    audio.muted = true;
    await audio.play();
    return audio.duration;
}"""

_SAY = """async ([rate, hz]) => {
    const context = new OfflineAudioContext(1, rate / 2, rate);
    await context.audioWorklet.addModule("/console/static/phone_audio.js");
    const node = new AudioWorkletNode(context, "phone-line");
    const tone = context.createOscillator(), gain = context.createGain();
    tone.frequency.value = hz;
    gain.gain.value = 0.5;
    tone.connect(gain).connect(node).connect(context.destination);
    tone.start();
    const said = [];
    const all = new Promise((done) => {
        node.port.onmessage = ({ data }) => {
            if (data.said) said.push(...new Int16Array(data.said));
            if (said.length >= 3800) done();
        };
    });
    await context.startRendering();
    await all;
    return said;
}"""

# Half of full scale near 1500 Hz, in the middle of a bin, from the line; the level of it, and of
# the loudest thing above 4 kHz, in the first stretch that has no gap, else in the last.
_PLAY = """async (rate) => {
    const context = new AudioContext({ sampleRate: rate });
    await context.audioWorklet.addModule("/console/static/phone_audio.js");
    const node = new AudioWorkletNode(context, "phone-line", { outputChannelCount: [1] });
    const ear = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
    node.connect(ear);
    let said = 0;
    const hz = Math.round(1500 * 8192 / rate) * rate / 8192;
    const say = (count) => {
        const piece = Int16Array.from({ length: count }, (_, i) =>
            16384 * Math.sin(2 * Math.PI * hz * (said + i) / 8000));
        said += count;
        node.port.postMessage(piece.buffer, [piece.buffer]);
    };
    const bins = new Float32Array(ear.frequencyBinCount);
    const loudest = (from, to) => Math.max(
        ...bins.subarray(Math.floor(from * 8192 / rate), Math.ceil(to * 8192 / rate)));
    say(1600);
    const saying = setInterval(say, 40, 320);
    const until = performance.now() + 8000;
    let found;
    do {
        await new Promise((done) => setTimeout(done, 20));
        ear.getFloatFrequencyData(bins);
        found = [loudest(1450, 1550), loudest(4000, rate / 2)];
    } while (!(found[0] > -19.9 && found[1] < found[0] - 50) && performance.now() < until);
    clearInterval(saying);
    await context.close();
    return found;
}"""


def _sound_file(folder: Path) -> Path:
    """A voice at the rate that people's files have."""
    seconds = np.arange(VOICE_MS * 44.1) / 44_100
    peak = 10 ** (LEVEL_DBFS / 20)
    wave = sum(peak * np.sin(2 * np.pi * hz * seconds) for hz in frequencies_of(SPEAKER))
    path = folder / "voice.wav"
    soundfile.write(path, wave, 44_100)
    return path


def _loud_ms(said: list[NDArray[np.int16]]) -> int:
    """How much of what the page sent is no silence."""
    return sum(20 for one in said for part in one.reshape(-1, FRAME) if rms_dbfs(part) > -40)


async def _download(link: str) -> NDArray[np.int16]:
    async with aiohttp.ClientSession() as http, http.get(link) as reply:
        samples, rate_hz = soundfile.read(io.BytesIO(await reply.read()), dtype="int16")
    assert rate_hz == 8000
    return np.asarray(samples, np.int16)
