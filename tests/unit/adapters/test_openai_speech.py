"""Speech of a server: real HTTP, decoded by the real child, with every way to fail."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.piper_voices import write_voice
from tests.speech_server import SpeechServer
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.openai_speech import OpenAiServer
from voiceblocks.adapters.render.pool import RenderPool, SpeechSetup
from voiceblocks.audio import g711
from voiceblocks.audio.level import goertzel_level_dbfs
from voiceblocks.audio.resample import active_level_dbfs
from voiceblocks.errors import EngineUnavailable, NoSound, SynthesisError
from voiceblocks.speech.engine_order import parse_engine_order
from voiceblocks.speech.interfaces import Clip
from voiceblocks.speech.languages import find_language
from voiceblocks.speech.server_voices import parse_server_voices

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "sk-very-secret"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speaking(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[RenderPool, SpeechServer]]:
    """A pool that asks a server first, and for Thai nobody else; it has a Piper voice, too."""
    folder = tmp_path_factory.mktemp("pool")
    write_voice(folder / "voices" / "male", "en_GB-small-low", frequency_hz=1300)
    http = GuardedHttp([IPv4Network("127.0.0.0/8")])
    async with SpeechServer() as server:
        described = OpenAiServer(
            server.url, parse_server_voices("*=low/high"), "tts-1", KEY, timeout_s=5
        )
        setup = SpeechSetup(
            order=parse_engine_order("openai,espeak-ng; th=openai; ja=openai; en-GB=piper"),
            voices_dir=folder / "voices",
            server=(described, http),
        )
        pool = RenderPool(folder / "cache", folder / "work", speech=setup)
        (folder / "work").mkdir(exist_ok=True)
        await pool.start()
        yield pool, server
        await pool.stop()
        await http.close()
        assert not list((folder / "work").iterdir()), "what came is deleted when it was decoded"


@pytest.fixture
def server(speaking: tuple[RenderPool, SpeechServer]) -> SpeechServer:
    """The server, well, and not asked before."""
    server = speaking[1]
    server.asked.clear()
    server.status, server.form, server.elsewhere = 200, "wav", ""
    return server


@pytest.fixture
def pool(speaking: tuple[RenderPool, SpeechServer], server: SpeechServer) -> RenderPool:
    """The pool, to which all engines are well."""
    speaking[0].speech._rests_until_s.clear()
    speaking[0].speech.failed.clear()
    return speaking[0]


def heard(clip: Clip) -> g711.Samples:
    """What a phone hears."""
    return g711.ulaw_decode(np.fromfile(clip.ulaw_path, np.uint8))


@pytest.mark.parametrize("form", ["wav", "streamed", "mp3"])
async def test_what_it_says_is_heard(pool: RenderPool, server: SpeechServer, form: str) -> None:
    """Each form of answer is the same seconds at a telephone's level, without its silence."""
    server.form = form
    text = f"ten chars of {form}"
    clip = await pool.render_speech(text, "th", "male")
    samples = heard(clip)
    assert len(samples) / 8000 == pytest.approx(0.05 * len(text) + 0.1, abs=0.06)
    assert active_level_dbfs(samples) == pytest.approx(-20, abs=1)
    assert goertzel_level_dbfs(samples[800:4000], 900) > -25
    assert server.asked[0].body == {
        "model": "tts-1", "input": text, "voice": "high", "response_format": "wav",
    }  # fmt: skip
    assert server.asked[0].authorization == f"Bearer {KEY}"


async def test_it_is_asked_once(pool: RenderPool, server: SpeechServer) -> None:
    """Twenty calls that want one new text are one request, also if the first hangs up."""
    tasks = [
        asyncio.create_task(pool.render_speech("Wanted by many", "en", "female")) for _ in range(20)
    ]
    await asyncio.sleep(0)
    tasks[0].cancel()
    clips = await asyncio.gather(*tasks[1:])
    assert len(set(clips)) == 1
    await pool.render_speech(" Wanted  by many ", "en", "female")
    assert server.texts == ["Wanted by many"]
    # Another voice, another clip.
    assert await pool.render_speech("Wanted by many", "en", "male") != clips[0]
    assert len(server.asked) == 2


async def test_text_without_sound(pool: RenderPool, server: SpeechServer) -> None:
    """Punctuation costs no request; silence that comes back is no sound either."""
    with pytest.raises(NoSound):
        await pool.render_speech("...", "th", "female")
    assert server.asked == []
    server.form = "silence"
    with pytest.raises(NoSound):
        await pool.render_speech("hush", "th", "female")
    assert not pool.speech.failed


@pytest.mark.parametrize("status", [400, 422, 401, 403, 404, 429, 500, 503])
async def test_statuses(pool: RenderPool, server: SpeechServer, status: int) -> None:
    """What is wrong with the text lets the next text through; all else lets the engine rest."""
    server.status = status
    with pytest.raises(SynthesisError, match=str(status)) as caught:
        await pool.render_speech("answer badly", "th", "female")
    is_down = isinstance(caught.value, EngineUnavailable)
    assert is_down is (status not in {400, 422})
    assert pool.speech.is_resting("openai") is is_down
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("form", ["junk", "endless"])
async def test_answers_that_are_no_audio(pool: RenderPool, server: SpeechServer, form: str) -> None:
    """Neither rubbish nor a stream without end is speech; the next text is asked for."""
    server.form = form
    with pytest.raises(SynthesisError, match="speech server sent"):
        await pool.render_speech(f"send {form}", "th", "female")
    assert not pool.speech.is_resting("openai")


async def test_a_redirect_does_not_get_the_key(pool: RenderPool, server: SpeechServer) -> None:
    """Another host is not asked at all."""
    async with SpeechServer() as other:
        server.elsewhere = f"{other.url}/audio/speech"
        with pytest.raises(EngineUnavailable, match="307"):
            await pool.render_speech("go elsewhere", "th", "female")
        assert other.asked == []


async def test_the_next_engine_speaks_when_it_fails(pool: RenderPool, server: SpeechServer) -> None:
    """espeak-ng says it instead, the log says why, and neither key nor text is in it."""
    server.status = 503
    with capture_logs() as logs:
        clip = await pool.render_speech("A private matter", "en", "female")
    assert clip.n_samples > 4000
    assert goertzel_level_dbfs(heard(clip), 500) < -25
    (told,) = [entry for entry in logs if entry["event"] == "speech_engine_failed"]
    assert (told["engine"], told["next"]) == ("openai", "espeak-ng")
    assert "503" in told["reason"]
    assert KEY not in repr(logs)
    assert "private" not in repr(logs)
    # When it is well again, its own voice comes back.
    server.status = 200
    pool.speech._rests_until_s.clear()
    back = await pool.render_speech("A private matter", "en", "female")
    assert goertzel_level_dbfs(heard(back), 500) > -25


async def test_a_piper_voice_in_its_own_lane(pool: RenderPool, server: SpeechServer) -> None:
    """Its tone is heard at our level; killed at work, it costs nobody an answer."""
    *_, lane = pool.lanes
    assert lane.role == "piper"
    clip = await pool.render_speech("hello world", "en-GB", "male")
    assert goertzel_level_dbfs(heard(clip)[800:4000], 1300) > -25
    assert active_level_dbfs(heard(clip)) == pytest.approx(-20, abs=1)
    assert server.asked == []
    task = asyncio.create_task(pool.render_speech("once more", "en-GB", "male"))
    await asyncio.sleep(0)
    assert lane._process is not None
    lane._process.kill()
    assert (await task).n_samples > 4000
    british = find_language("en-GB")
    assert british is not None
    assert pool.speakers_of(british) == {"male": "piper"}
    with pytest.raises(NoSound):
        await pool.render_speech("1234", "en-GB", "male")


@pytest.mark.parametrize(
    ("url", "networks", "sentence"),
    [
        ("http://127.0.0.1:1/v1", [], "ALLOW_PRIVATE_TARGETS"),
        ("http://127.0.0.1:PORT/v1", [IPv4Network("127.0.0.0/8")], "refused"),
        ("http://127.0.0.1:25/v1", [IPv4Network("127.0.0.0/8")], "port"),
        ("http://speech.invalid/v1/audio/speech", [], "no address"),
    ],
)
async def test_a_server_that_cannot_be_reached(
    tmp_path: Path, url: str, networks: list[IPv4Network], sentence: str
) -> None:
    """Private without consent, refused or unknown: a sentence, and the engine rests."""

    async def lookup(_host: str) -> list[str]:
        raise OSError("no such name")

    http = GuardedHttp(networks, lookup=lookup)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = url.replace("PORT", str(closed.getsockname()[1]))
    described = OpenAiServer(url, parse_server_voices("*=low"), "tts-1", KEY)
    assert KEY not in repr(described)
    pool = RenderPool(tmp_path / "cache", tmp_path, speech=SpeechSetup(server=(described, http)))
    with pytest.raises(EngineUnavailable, match=sentence):
        await pool.render_speech("hello", "th", "female")
    assert pool.speech.is_resting("openai")
    await http.close()
