"""A node with a Piper voice and a speech server: who is heard, who is refused, what is told.

```
application            server                       speech server (HTTP)   lanes
  |-- play (msg, th) ---->|                                               piper
  |                       |<------------------------- clip ------------------|
  |-- play (msg, ja) ---->|---- POST /v1/audio/speech ---->|
  |                       |<--- 200 WAV, or 503 -----------|
  |                       |---- 503: the next engine ------------------> speech
```
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.functional.calls import ringing
from tests.harness import Application, ServerProcess
from tests.piper_voices import write_voice
from tests.speech_server import SpeechServer
from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.level import goertzel_level_dbfs, rms_dbfs
from voiceblocks.server.supervisor import EXIT_CANNOT_START
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

pytest.importorskip("onnxruntime")

KEY = "sk-functional-secret"
THAI_HZ = 1300.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def node(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[ServerProcess, SpeechServer]]:
    """A node with a Thai voice (a woman's) and a server that is asked for Japanese and German."""
    folder = tmp_path_factory.mktemp("engines")
    data = folder / "data"
    write_voice(
        data / "voices" / "female", "th_TH-small-low",
        language="th_TH", frequency_hz=THAI_HZ, symbols=" กขคงสวัดี่ะ",
    )  # fmt: skip
    (data / "voices" / "ja_JP-broken-low.onnx").write_bytes(b"")
    (folder / "key").write_text(KEY)
    async with SpeechServer() as speech:
        settings = {
            "OPENAI_SPEECH_URL": speech.url,
            "OPENAI_SPEECH_VOICES": "ja=low/high, de=low/high",
            "OPENAI_SPEECH_KEY_FILE": str(folder / "key"),
            "SPEECH_ENGINES": "piper,espeak-ng; ja=openai; de=openai,espeak-ng",
        }
        server = ServerProcess(data, settings, stderr=folder / "log")
        await server.start()
        yield server, speech
        assert await server.stop() == 0


@pytest.fixture
def log(node: tuple[ServerProcess, SpeechServer]) -> Path:
    """What the node has logged."""
    assert node[0].stderr is not None
    return node[0].stderr


@pytest_asyncio.fixture(loop_scope="session")
async def app(node: tuple[ServerProcess, SpeechServer]) -> AsyncIterator[Application]:
    """A fresh application of that node."""
    async with Application(node[0]) as application:
        yield application


async def heard(app: Application, phone: Phone, msg: str) -> Samples:
    """What the caller hears of `msg`."""
    call, session = await ringing(app, phone)
    assert await app.block("ivr/middle/play", session, msg=msg) == "success_ok"
    async with asyncio.timeout(20):
        await call.ended()
    return call.media.audio()


def seconds_of(samples: Samples, frequency_hz: float) -> float:
    """For how long a tone is what is heard."""
    pieces = [samples[start : start + 400] for start in range(0, len(samples) - 400, 400)]
    return 0.05 * sum(
        rms_dbfs(piece) > -40 and goertzel_level_dbfs(piece, frequency_hz) > rms_dbfs(piece) - 3
        for piece in pieces
    )


async def test_each_language_by_its_engine(
    app: Application, phone: Phone, node: tuple[ServerProcess, SpeechServer]
) -> None:
    """Thai by the Piper voice, Japanese by the server, English by espeak-ng, in one message."""
    samples = await heard(
        app,
        phone,
        '<speech language="th">สวัสดี ก ข ค ง</speech><speech language="ja" gender="male">'
        "こんにちは、ありがとうございます</speech>Good bye, and thank you.",
    )
    assert seconds_of(samples, THAI_HZ) > 0.6
    assert seconds_of(samples, 900.0) > 0.6
    assert len(samples) / 8000 > 3.0
    assert node[1].asked[-1].authorization == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("language", "gender", "status"),
    [
        ("tl", "female", "error_msg_invalid_language"),
        ("xx", "female", "error_msg_invalid_language"),
        ("th", "male", "error_msg_invalid_gender"),
        ("th", "female", "success_ok"),
        ("ja", "male", "success_ok"),
    ],
)
async def test_what_this_node_does_not_speak_is_refused(
    app: Application, phone: Phone, language: str, gender: str, status: str
) -> None:
    """By what is installed here: Thai women, but no Thai men; Japanese, but no Tagalog."""
    _call, session = await ringing(app, phone)
    msg = f'<speech language="{language}" gender="{gender}">ก</speech>'
    assert await app.block("ivr/middle/play", session, msg=msg) == status


async def test_a_server_that_fails(
    app: Application, phone: Phone, node: tuple[ServerProcess, SpeechServer], log: Path
) -> None:
    """German falls back to espeak-ng, Japanese has nobody else; log and metrics say so."""
    server, speech = node
    speech.status = 503
    samples = await heard(app, phone, '<speech language="de">Guten Tag allerseits</speech>')
    assert len(samples) > 6000
    assert seconds_of(samples, 500.0) == 0
    _call, session = await ringing(app, phone)
    msg = '<speech language="ja">さようなら</speech>'
    assert await app.block("ivr/middle/play", session, msg=msg) == "error_msg_cannot_convert_text"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"http://{server.admin}/metrics") as answer:
            metrics = await answer.text()
        async with http.get(f"http://{server.admin}/docs") as answer:
            docs = await answer.text()
    assert 'voiceblocks_speech_failed_total{engine="openai"} 2.0' in metrics
    assert 'voiceblocks_speech_resting{engine="openai"} 1.0' in metrics
    assert 'voiceblocks_speech_failed_total{engine="espeak-ng"} 0.0' in metrics
    assert "<td>female: openai, male: openai</td>" in docs
    assert "<td>female: piper</td>" in docs
    told = await asyncio.to_thread(log.read_text)
    assert "speech_engine_failed" in told
    assert "voice ja_JP-broken-low" in told
    assert KEY not in told + metrics + docs
    assert "Guten Tag" not in told


async def test_a_wrong_setting_stops_the_start(tmp_path: Path) -> None:
    """The node says which setting it is, and ends for good instead of running without speech."""
    others = {k: v for k, v in os.environ.items() if not k.startswith("VOICEBLOCKS_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voiceblocks.server",
        env={
            **others,
            "VOICEBLOCKS_DATA_DIR": str(tmp_path / "data"),
            "VOICEBLOCKS_SPEECH_ENGINES": "festival",
        },
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, complaint = await process.communicate()
    assert process.returncode == EXIT_CANNOT_START
    assert b"VOICEBLOCKS_SPEECH_ENGINES: 'festival' is no speech engine" in complaint
