"""What the caller hears: speech, custom audio of each format, in the order of `msg`."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from aiohttp import web
from numpy.typing import NDArray

from tests.functional.calls import ringing
from tests.harness import Application
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.audio.tones import tone
from voiceblocks.testing.phone import Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

FREQUENCIES_HZ = {"low.wav": 500.0, "middle.mp3": 850.0, "high.gsm": 1300.0, "stereo.wav": 1700.0}


class Site:
    """A web server with sound files, which counts how often each was asked for."""

    def __init__(self) -> None:
        self.base = ""
        self.asked: list[tuple[str, str | None]] = []
        self._files = {name: _file(name, hz) for name, hz in FREQUENCIES_HZ.items()}

    def add(self, name: str, samples: NDArray[np.int16]) -> str:
        """Have one more WAV file; returns its address."""
        held = io.BytesIO()
        soundfile.write(held, samples, 8000, format="WAV")
        self._files[name] = held.getvalue()
        return f"{self.base}/{name}"

    async def serve(self, request: web.Request) -> web.Response:
        """Answer, with 304 where the caller has it already."""
        name = request.match_info["name"]
        since = request.headers.get("If-Modified-Since")
        self.asked.append((name, since))
        if since is not None:
            return web.Response(status=304)
        modified = {"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}
        return web.Response(body=self._files[name], headers=modified)


def _file(name: str, frequency_hz: float) -> bytes:
    """One second of one tone in the format that the name says."""
    extension = name.rpartition(".")[2]
    samples = tone((frequency_hz,), 1000, -12)
    held = io.BytesIO()
    if extension == "gsm":
        soundfile.write(held, samples, 8000, format="RAW", subtype="GSM610")
    elif name.startswith("stereo"):
        high = tone((frequency_hz,), 1000, -12, sample_rate_hz=44_100)
        soundfile.write(held, np.stack([high, high], axis=1), 44_100, format="WAV")
    elif extension == "mp3":
        soundfile.write(held, samples.astype(np.float32) / 32768, 8000, format="MP3")
    else:
        soundfile.write(held, samples, 8000, format="WAV")
    return held.getvalue()


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[Site]:
    """A running `Site`."""
    made = Site()
    application = web.Application()
    application.add_routes([web.get("/{name}", made.serve)])
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def hear(app: Application, phone: Phone, msg: str, **call_options: object) -> PhoneCall:
    """Let a call hear `msg` and be hung up."""
    call, session = await ringing(app, phone, **call_options)  # type: ignore[arg-type]
    assert await app.block("ivr/middle/play", session, msg=msg) == "success_ok"
    await call.answered()
    async with asyncio.timeout(20):
        await call.ended()
    return call


def tones_in_order(call: PhoneCall) -> list[float]:
    """Which of our frequencies was heard, in order, each once."""
    audio = call.media.audio()
    heard: list[float] = []
    for start in range(0, len(audio) - 800, 800):
        piece = audio[start : start + 800]
        level = rms_dbfs(piece)
        for frequency_hz in FREQUENCIES_HZ.values():
            is_it = level > -40 and goertzel_level_dbfs(piece, frequency_hz) > level - 3
            if is_it and (not heard or heard[-1] != frequency_hz):
                heard.append(frequency_hz)
    return heard


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_custom_audio_of_every_format_is_heard_in_order(
    app: Application, phone: Phone, site: Site, codec: str
) -> None:
    """WAV, MP3, GSM and 44.1 kHz stereo, in both laws."""
    msg = "".join(f"<url>{site.base}/{name}</url>" for name in FREQUENCIES_HZ)
    call = await hear(app, phone, msg, codecs=(codec,))
    assert tones_in_order(call) == list(FREQUENCIES_HZ.values())
    lasted_s = len(call.media.audio()) / 8000
    assert 3.8 < lasted_s < 5.5


async def test_a_file_is_fetched_once_and_then_revalidated(
    app: Application, phone: Phone, site: Site
) -> None:
    """The second call asks with If-Modified-Since and is content with a 304."""
    for _ in range(2):
        call = await hear(app, phone, f"<url>{site.base}/low.wav</url>")
        assert tones_in_order(call) == [500.0]
    assert site.asked == [("low.wav", None), ("low.wav", "Mon, 02 Nov 2026 10:00:00 GMT")]


@pytest.mark.parametrize(
    "msg",
    [
        "Good morning.",
        '<speech language="zh-HK" gender="female">請稍等</speech>',
        '<speech  gender="male"  language="ko">안녕하세요</speech>',
        '<speech language="zh">你好</speech> Goodbye.',
    ],
)
async def test_speech_of_each_language_is_heard(app: Application, phone: Phone, msg: str) -> None:
    """There is sound at a telephone's level, and it fills more than a moment."""
    call = await hear(app, phone, msg)
    audio = call.media.audio()
    loud = [rms_dbfs(audio[start : start + 160]) > -45 for start in range(0, len(audio) - 160, 160)]
    assert sum(loud) * 20 > 300
    assert -32 < rms_dbfs(audio) < -10


async def test_our_own_recording_can_be_played(app: Application, phone: Phone) -> None:
    """A record_url is good as `<url>` (the Record page says so)."""
    from tests.functional.calls import recording

    call, session = await recording(app, phone)
    await call.media.say(tone((1300.0,), 1000, -12))
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    before = len(call.media.audio())
    url = told.body["record_url"].replace("&", "&amp;")
    assert await app.block("ivr/middle/play", session, msg=f"<url>{url}</url>") == "success_ok"
    async with asyncio.timeout(20):
        await call.ended()
    played = call.media.audio()[before:]
    levels = [
        goertzel_level_dbfs(played[start : start + 800], 1300.0) - rms_dbfs(played[start:][:800])
        for start in range(0, len(played) - 800, 800)
    ]
    assert sum(level > -3 for level in levels) >= 8


async def test_parts_follow_one_another_without_click_or_pause(
    app: Application, phone: Phone, site: Site
) -> None:
    """Tones that end at their loudest are faded within 5 ms, and the next begins at once."""
    first = site.add("first.wav", tone((437.25,), 500, -12)[:3995])
    second = site.add("second.wav", tone((910.4,), 500, -12)[3:])
    call = await hear(app, phone, f"<url>{first}</url><url>{second}</url><url>{first}</url>")
    audio = np.trim_zeros(call.media.audio())
    loudest = np.abs(audio[2000:3000]).max()
    assert len(audio) == pytest.approx(3995 + 3997 + 3995, abs=16)
    for joint in (3995, 3995 + 3997):
        around = np.abs(audio[joint - 80 : joint + 80].astype(int))
        quiet = np.flatnonzero(around < 0.1 * loudest)
        # Nothing of it is loud at the joint, and it is quiet for a moment only.
        assert around[72:88].max() < 0.35 * loudest
        assert 4 <= len(quiet) < 60
    for end in (audio[:4], audio[-4:]):
        assert np.abs(end.astype(int)).max() < 0.1 * loudest


async def test_a_file_begins_with_its_first_sound(
    app: Application, phone: Phone, site: Site
) -> None:
    """Silence at the beginning of a file is not played, that within it is."""
    word, pause = tone((500.0,), 500, -12), np.zeros(4000, np.int16)
    padded = site.add("padded.wav", np.concatenate([pause, word, pause, word]))
    start = site.add("start.wav", tone((1300.0,), 500, -12))
    call = await hear(app, phone, f"<url>{start}</url><url>{padded}</url>")
    audio = np.trim_zeros(call.media.audio())
    assert len(audio) == pytest.approx(4 * 4000, abs=120)
    assert rms_dbfs(audio[8200:11_800]) < -50
    assert rms_dbfs(audio[4100:7900]) > -23


async def test_the_beep_is_heard_and_not_recorded(app: Application, phone: Phone) -> None:
    """400 ms of one tone in the caller's ear; in the recording only what the caller said."""
    from tests.functional.calls import decode, recording

    call, _session = await recording(app, phone)
    heard = np.trim_zeros(call.media.audio())
    assert len(heard) == pytest.approx(3200, abs=20)
    level = rms_dbfs(heard)
    assert goertzel_level_dbfs(heard, 1000.0) > level - 0.5
    for other_hz in (500.0, 2000.0, 3000.0):
        assert goertzel_level_dbfs(heard, other_hz) < level - 35
    await call.media.say(tone((440.0,), 1000, -12))
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    recorded = decode(await app.fetch(told.body["record_url"]))
    assert goertzel_level_dbfs(recorded, 440.0) > -20
    assert goertzel_level_dbfs(recorded, 1000.0) < -60


async def test_a_prompt_goes_on_when_the_cache_is_emptied(
    app: Application, phone: Phone, site: Site
) -> None:
    """What is playing is heard to its end; the next who wants it gets it, too."""
    url = site.add("long.wav", tone((500.0,), 1500, -12))
    prompts = app.server.data_dir / "cache" / "prompts"
    lengths = []
    for empties in (True, False):
        call, session = await ringing(app, phone)
        assert await app.block("ivr/middle/play", session, msg=f"<url>{url}</url>") == "success_ok"
        await call.answered()
        async with asyncio.timeout(20):
            while not any(np.any(packet.samples) for packet in call.media.heard):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            if empties:
                await asyncio.to_thread(shutil.rmtree, prompts)
            await call.ended()
        lengths.append(len(np.trim_zeros(call.media.audio())))
    assert lengths == [pytest.approx(12_000, abs=20)] * 2


async def test_a_running_server_s_cache_can_be_looked_at_and_cleared(
    app: Application, phone: Phone
) -> None:
    """Beside the server: it says what is there, and leaves what was just used."""
    await hear(app, phone, "This sentence was just used.")
    shown = await app.server.cli("cache", "show")
    assert shown["caches"][0]["entries"] >= 1
    cleared = await app.server.cli("cache", "clear")
    assert cleared["kept"] >= 1
