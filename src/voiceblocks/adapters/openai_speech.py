"""Speech by any server with OpenAI's `/v1/audio/speech`, by the guarded client.

The audio that it sends is a stranger's: it is written to a file, and the `files` child
decodes it. The key goes into one header and nowhere else; redirects are not followed,
since they would carry it to another host.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec

from voiceblocks.adapters.address_guard import NameNotResolved, OutgoingHttpError, TargetRefused
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.render.cache import key_of
from voiceblocks.adapters.render.clip_maker import ClipMaker
from voiceblocks.adapters.render.lane import JobFailedError, Lane
from voiceblocks.adapters.render.messages import RenderFile
from voiceblocks.adapters.request_slots import RequestSlots
from voiceblocks.errors import EngineUnavailable, NoSound, SynthesisError
from voiceblocks.speech.engine_order import OPENAI
from voiceblocks.speech.interfaces import Clip
from voiceblocks.speech.languages import Language
from voiceblocks.speech.server_voices import ServerVoices

PATH = "/audio/speech"
REQUESTS_AT_ONCE = 4
"Of one node: servers limit them."
MAX_BYTES = 32 << 20
"A thousand characters are a minute: 5 MB at 48 kHz."

_DECODE_LIMIT_S = 60.0
_PIECE_BYTES = 65_536
# What is wrong with this text or voice, and not with the server: the next may do.
_TEXT_REFUSED = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class OpenAiServer:
    """Where the server is and what it can do."""

    url: str
    "Its base, such as `https://api.openai.com/v1`, or the whole address of `/audio/speech`."
    voices: ServerVoices
    model: str
    key: str = field(default="", repr=False)
    "Sent as a bearer token; none if empty."
    timeout_s: float = 10.0
    "For one text, from the request to the last byte."

    @property
    def address(self) -> str:
        """Where texts are posted."""
        base = self.url.rstrip("/")
        return base if base.endswith(PATH) else base + PATH


class OpenAiSpeech:
    """
    A speech server. Fulfils `SpeechEngine`.

    Args:
        server: Which.
        http: Makes the requests; private addresses need its consent.
        lane: With the role `files`, started.
        maker: Has the lane's cache.
        work_dir: For what comes, until it is decoded.
    """

    name = OPENAI

    def __init__(
        self, server: OpenAiServer, http: GuardedHttp, lane: Lane, maker: ClipMaker, work_dir: Path
    ) -> None:
        self._server = server
        self._http = http
        self._lane = lane
        self._maker = maker
        self._work_dir = work_dir
        self._slots = RequestSlots(REQUESTS_AT_ONCE)

    def voice_for(self, language: Language, gender: str) -> str | None:
        """See `SpeechEngine`."""
        return self._server.voices.voice_for(language, gender)

    def find(self, text: str, language: Language, gender: str) -> Clip | None:
        """See `SpeechEngine`."""
        return self._maker.find(self._key(text, self._voice(language, gender)))

    async def speak(self, text: str, language: Language, gender: str) -> Clip:
        """See `SpeechEngine`."""
        if not any(character.isalnum() for character in text):
            # Servers charge for it, or make up something.
            raise NoSound("nothing to say")
        voice = self._voice(language, gender)
        key = self._key(text, voice)
        try:
            return await self._maker.make_once(key, lambda: self._make(key, text, voice))
        except JobFailedError as error:
            if error.no_sound:
                raise NoSound(str(error)) from error
            raise SynthesisError(f"what the speech server sent: {error}") from error

    def _voice(self, language: Language, gender: str) -> str:
        voice = self._server.voices.voice_for(language, gender)
        if voice is None:
            raise SynthesisError(f"no {gender} voice for {language.code}")
        return voice

    def _key(self, text: str, voice: str) -> str:
        # The model is all the version that such a server has.
        return key_of("speech", OPENAI, self._server.address, self._server.model, voice, text)

    async def _make(self, key: str, text: str, voice: str) -> None:
        with tempfile.NamedTemporaryFile(dir=self._work_dir, prefix="speech-") as file:
            async with self._slots:
                audio = await self._request(text, voice)
            await asyncio.to_thread(Path(file.name).write_bytes, audio)
            # Asked for WAV; some servers send MP3 whatever they are asked for.
            extension = ".wav" if audio[:4] == b"RIFF" else ".mp3"
            await self._maker.make(
                self._lane,
                key,
                lambda job: RenderFile(
                    job=job, key=key, source=file.name, extension=extension, is_speech=True
                ),
                _DECODE_LIMIT_S,
            )

    async def _request(self, text: str, voice: str) -> bytes:
        server = self._server
        body = msgspec.json.encode(
            {"model": server.model, "input": text, "voice": voice, "response_format": "wav"}
        )
        try:
            async with self._http.exchange(
                server.address, body, self._headers(), server.timeout_s
            ) as response:
                _check_status(response.status)
                return await _read(response)
        except TargetRefused as error:
            raise EngineUnavailable(
                f"the speech server has {error}; a private network must be named in "
                "VOICEBLOCKS_ALLOW_PRIVATE_TARGETS"
            ) from error
        except NameNotResolved as error:
            raise EngineUnavailable("the speech server's name has no address") from error
        except OutgoingHttpError as error:
            raise EngineUnavailable(f"the speech server: {error}") from error

    def _headers(self) -> Mapping[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._server.key:
            headers["Authorization"] = f"Bearer {self._server.key}"
        return headers


def _check_status(status: int) -> None:
    if status in _TEXT_REFUSED:
        raise SynthesisError(f"the speech server refused it with {status}")
    if status in {401, 403}:
        raise EngineUnavailable(f"the speech server does not take our key ({status})")
    if status != 200:
        raise EngineUnavailable(f"the speech server answered {status}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    pieces: list[bytes] = []
    total = 0
    async for piece in response.content.iter_chunked(_PIECE_BYTES):
        total += len(piece)
        if total > MAX_BYTES:
            raise SynthesisError("the speech server sent too much")
        pieces.append(piece)
    return b"".join(pieces)
