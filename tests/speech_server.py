"""A small real HTTP server with OpenAI's `/v1/audio/speech`."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import soundfile
from aiohttp import web

from voiceblocks.audio.tones import tone

RATE_HZ = 24_000


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    body: dict[str, Any]
    authorization: str | None


class SpeechServer:
    """
    Says every text as a tone: 50 ms a character, the voices `low` and `high` at their frequency.

    Attributes:
        status: What it answers; 200 sends audio.
        form: `"wav"`, `"streamed"` (a WAV whose lengths are not true), `"mp3"`, `"silence"`,
            `"junk"` or `"endless"`.
        elsewhere: Where it redirects to, if anywhere.
    """

    FREQUENCIES_HZ: ClassVar = {"low": 500.0, "high": 900.0}

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.status = 200
        self.form = "wav"
        self.elsewhere = ""
        self.url = ""
        application = web.Application()
        application.add_routes([web.post("/v1/audio/speech", self._speak)])
        self._runner = web.AppRunner(application)

    async def __aenter__(self) -> Self:
        """Open it on a free port."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        await self._runner.cleanup()

    @property
    def texts(self) -> list[str]:
        """What it was asked to say, in order."""
        return [asked.body["input"] for asked in self.asked]

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.asked.append(Asked(body, request.headers.get("Authorization")))
        if self.elsewhere:
            raise web.HTTPTemporaryRedirect(self.elsewhere)
        if self.status != 200:
            return web.Response(status=self.status, text="no")
        if self.form == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b"RIFF" * 65_536)
            except ConnectionError:
                return response
        return web.Response(body=self._audio(body["input"], body["voice"]))

    def _audio(self, text: str, voice: str) -> bytes:
        if self.form == "junk":
            return b"not audio"
        samples = tone((self.FREQUENCIES_HZ[voice],), 50 * len(text), -9, sample_rate_hz=RATE_HZ)
        if self.form == "silence":
            samples = np.zeros_like(samples)
        # As real ones do, some silence around.
        samples = np.pad(samples, RATE_HZ // 2)
        held = io.BytesIO()
        if self.form == "mp3":
            soundfile.write(held, samples.astype(np.float32) / 32768, RATE_HZ, format="MP3")
        else:
            soundfile.write(held, samples, RATE_HZ, format="WAV")
        data = bytearray(held.getvalue())
        if self.form == "streamed":
            struct.pack_into("<I", data, 4, 0xFFFFFFFF)
            struct.pack_into("<I", data, 40, 0xFFFFFFFF)
        return bytes(data)
