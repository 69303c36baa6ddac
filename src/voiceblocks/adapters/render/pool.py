"""Speech, custom audio and MP3s, made by child processes for the control process.

Lanes that never wait for each other: recordings (urgent: somebody waits for the link),
speech by espeak-ng, speech by Piper's voices where there are some, and custom audio files
(which may take seconds each, and are the one place where strangers' bytes meet C
decoders). What was rendered once is found in the cache without asking a child.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voiceblocks.adapters.cache_folder import CacheLimits
from voiceblocks.adapters.fallback_speech import FallbackSpeech
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.lane_speech import EspeakSpeech, PiperSpeech
from voiceblocks.adapters.openai_speech import OpenAiServer, OpenAiSpeech
from voiceblocks.adapters.piper import has_voices
from voiceblocks.adapters.render.cache import ClipCache, hash_file, key_of
from voiceblocks.adapters.render.cache_keeper import CacheKeeper
from voiceblocks.adapters.render.clip_maker import ClipMaker
from voiceblocks.adapters.render.lane import Answer, JobFailedError, Lane
from voiceblocks.adapters.render.messages import (
    Abandon,
    Encoded,
    Finish,
    Follow,
    Job,
    RenderBeep,
    RenderFile,
    RenderHoldMusic,
    RenderRingTone,
    ToChild,
)
from voiceblocks.audio.ring_tones import ring_tone_of
from voiceblocks.blocks.msg import AUDIO_EXTENSIONS
from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.errors import ContractViolation, EncodeError, SynthesisError, UnreadableAudio
from voiceblocks.log import get_logger
from voiceblocks.recordings.interfaces import EncodedRecording
from voiceblocks.speech.engine_order import DEFAULT_ORDER, EngineOrder
from voiceblocks.speech.interfaces import Clip, SpeechEngine
from voiceblocks.speech.languages import Language

SAMPLES_PER_MS = 8
_FINISHES_AT_ONCE = 1000
# Twenty minutes of stereo MP3 at 48 kHz take 3.3 s on a quiet machine (and 320 MB).
_FILE_LIMIT_S = 60.0
# A child that dies again and again may be dying of a followed spool.
_DEATHS_BEFORE_NOT_FOLLOWING = 3


_log = get_logger("render")


@dataclass(frozen=True, slots=True)
class SpeechSetup:
    """Which engines speak beside espeak-ng, and who is asked first."""

    order: EngineOrder = DEFAULT_ORDER
    voices_dir: Path | None = None
    "Of Piper's voices; looked at when the pool starts."
    server: tuple[OpenAiServer, GuardedHttp] | None = None
    "A speech server, and what makes the requests to it."


class RenderPool:
    """
    Fulfils `RecordingEncoder` and `PromptRenderer`. Belongs to one asyncio loop.

    Args:
        cache_dir: For prompts; may be shared by processes, survives restarts.
        work_dir: Where finished MP3s appear, the receiver's to move or delete. Used by
            this pool alone: part files in it are deleted at the start.
        cache_limits: What is unused longest goes, but nothing that is in use.
        speech: Who speaks; espeak-ng alone if omitted.
        lane: Makes a lane, as `Lane` does.
    """

    def __init__(
        self,
        cache_dir: Path,
        work_dir: Path,
        *,
        cache_limits: CacheLimits | None = None,
        speech: SpeechSetup | None = None,
        lane: Callable[..., Lane] = Lane,
    ) -> None:
        speech = speech or SpeechSetup()
        self._cache = ClipCache(cache_dir)
        self._followed: dict[str, Follow] = {}
        self._finishing: dict[str, tuple[Finish, asyncio.Future[Answer]]] = {}
        self._numbers = itertools.count(1)
        self._maker = ClipMaker(self._cache, self._numbers)
        self._encode = lane(
            "encode", work_dir, at_once=_FINISHES_AT_ONCE, told_at_start=self._tell_followed
        )
        self._speech = lane("speech", cache_dir)
        self._files = lane("files", cache_dir)
        self._keeper = CacheKeeper(
            self._cache, self._files, self._numbers, cache_limits or CacheLimits()
        )
        self._piper: Lane | None = None
        if speech.voices_dir is not None and has_voices(speech.voices_dir):
            self._piper = lane("piper", cache_dir, arguments=[str(speech.voices_dir)])
        self.speech = FallbackSpeech(self._engines(speech, work_dir), speech.order)
        "Who speaks; for metrics."

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Those for recordings, speech, files and perhaps Piper: for health checks and tests."""
        lanes = self._encode, self._speech, self._files
        return lanes if self._piper is None else (*lanes, self._piper)

    @property
    def n_followed(self) -> int:
        """Recordings that are encoded while they grow."""
        return len(self._followed)

    @property
    def n_finishing(self) -> int:
        """Recordings whose end somebody waits for."""
        return len(self._finishing)

    def _engines(self, speech: SpeechSetup, work_dir: Path) -> list[SpeechEngine]:
        engines: list[SpeechEngine] = [EspeakSpeech(self._speech, self._maker)]
        if self._piper is not None:
            engines.append(PiperSpeech(self._piper, self._maker))
        if speech.server is not None:
            server, http = speech.server
            engines.append(OpenAiSpeech(server, http, self._files, self._maker, work_dir))
        return engines

    async def start(self) -> None:
        """
        Start the children and wait until they serve.

        Raises:
            StartupError: If one does not.
        """
        try:
            await asyncio.gather(*(lane.start() for lane in self.lanes))
        except BaseException:
            await self.stop()
            raise
        self._keeper.start()
        if self._piper is not None:
            for complaint in self._piper.ready.complaints:
                _log.warning("voice_not_usable", reason=complaint)
            _log.info("voices", found=len(self._piper.ready.voices))

    async def stop(self) -> None:
        """End the children; what is unfinished fails."""
        await self._keeper.stop()
        await self._maker.stop()
        await asyncio.gather(*(lane.stop() for lane in self.lanes))

    def follow(self, name: str, spool_path: Path, shape: RecordingShape = PLAIN) -> None:
        """See `RecordingEncoder.follow`."""
        self._follow(Follow(name=name, spool_path=str(spool_path), shape=shape))

    def follow_stereo(
        self, name: str, left: Path, right: Path, shape: RecordingShape = PLAIN
    ) -> None:
        """See `RecordingEncoder.follow_stereo`."""
        self._follow(Follow(name=name, spool_path=str(left), heard_path=str(right), shape=shape))

    async def finish(
        self,
        name: str,
        spool_path: Path,
        n_samples: int,
        shape: RecordingShape = PLAIN,
        finish_key: str | None = None,
    ) -> EncodedRecording:
        """
        See `RecordingEncoder.finish`.

        Raises:
            EncodeError: If it cannot be encoded, `n_samples` is 0 (no player opens an MP3
                without sound), or `name` is abandoned meanwhile.
            ContractViolation: If `name` is being finished at another length right now.
        """
        return await self._finish(
            Finish(
                job=next(self._numbers),
                name=name,
                spool_path=str(spool_path),
                n_samples=n_samples,
                shape=shape,
                finish_key=finish_key,
            )
        )

    async def finish_stereo(
        self, name: str, left: Path, right: Path, n_samples: int, shape: RecordingShape = PLAIN
    ) -> EncodedRecording:
        """
        See `RecordingEncoder.finish_stereo`.

        Raises:
            EncodeError, ContractViolation: As `finish` does.
        """
        return await self._finish(
            Finish(
                job=next(self._numbers),
                name=name,
                spool_path=str(left),
                n_samples=n_samples,
                heard_path=str(right),
                shape=shape,
            )
        )

    async def _finish(self, message: Finish) -> EncodedRecording:
        name = message.name
        # From here on the job itself is repeated if the child dies.
        self._followed.pop(name, None)
        finishing = self._finishing.get(name)
        if finishing is None:
            finishing = self._begin_finish(message)
        elif finishing[0].n_samples != message.n_samples:
            raise ContractViolation(f"recording {name} is being finished at another length")
        future = finishing[1]
        await asyncio.wait({future})
        try:
            done = future.result()
        except JobFailedError as error:
            raise EncodeError(f"recording {name} cannot be encoded") from error
        assert isinstance(done, Encoded)
        return EncodedRecording(
            path=Path(done.path),
            size_bytes=done.size_bytes,
            sha256=done.sha256,
            duration_ms=round(done.n_samples / SAMPLES_PER_MS),
            n_samples=done.n_samples,
            health=done.health,
        )

    def abandon(self, name: str) -> None:
        """See `RecordingEncoder.abandon`."""
        self._followed.pop(name, None)
        self._encode.tell(Abandon(name=name))
        finishing = self._finishing.pop(name, None)
        if finishing is not None:
            self._encode.drop(finishing[0].job, "abandoned")

    def speakers_of(self, language: Language) -> Mapping[str, str]:
        """See `PromptRenderer.speakers_of`."""
        return self.speech.speakers_of(language)

    async def render_speech(self, text: str, language: str, gender: str) -> Clip:
        """
        See `PromptRenderer.render_speech`.

        Raises:
            SynthesisError: If no sound came out.
        """
        # Blanks at the ends and doubled ones are not heard.
        return await self.speech.speak(" ".join(text.split()), language, gender)

    async def render_audio_file(self, source: Path, extension: str) -> Clip:
        """
        See `PromptRenderer.render_audio_file`.

        Raises:
            UnreadableAudio: If the content is not what `extension` says, is damaged, or
                longer than `audio_files.LONGEST_S`.
        """
        extension = extension.lower()
        try:
            content = await asyncio.to_thread(hash_file, source)
        except OSError as error:
            raise UnreadableAudio("the file cannot be read") from error
        key = _file_key(content, extension)
        try:
            return await self._maker.make(
                self._files,
                key,
                lambda job: RenderFile(job=job, key=key, source=str(source), extension=extension),
                _FILE_LIMIT_S,
            )
        except JobFailedError as error:
            raise UnreadableAudio(f"not readable as {extension}: {error}") from error

    def purge_audio_file(self, sha256: str) -> None:
        """
        Delete what was rendered from a file, as when the recording it was is deleted.

        Args:
            sha256: Of the file's content, as hex.
        """
        for extension in AUDIO_EXTENSIONS:
            self._cache.remove(_file_key(sha256, extension))

    async def beep(self) -> Clip:
        """
        See `PromptRenderer.beep`.

        Raises:
            SynthesisError: If the cache cannot be written.
        """
        key = key_of("beep")
        return await self._generate(key, lambda job: RenderBeep(job=job, key=key))

    async def hold_music(self) -> Clip:
        """
        See `PromptRenderer.hold_music`.

        Raises:
            SynthesisError: If the cache cannot be written.
        """
        key = key_of("hold_music")
        return await self._generate(key, lambda job: RenderHoldMusic(job=job, key=key))

    async def ring_tone(self, country: str) -> Clip:
        """
        See `PromptRenderer.ring_tone`.

        Raises:
            SynthesisError: If the cache cannot be written.
        """
        # By what it sounds like: many countries have the same.
        key = key_of("ring_tone", repr(ring_tone_of(country)))
        return await self._generate(
            key, lambda job: RenderRingTone(job=job, key=key, country=country)
        )

    async def _generate(self, key: str, message: Callable[[int], Job]) -> Clip:
        try:
            return await self._maker.make(self._files, key, message, _FILE_LIMIT_S)
        except JobFailedError as error:
            raise SynthesisError(f"no tone: {error}") from error

    def _follow(self, message: Follow) -> None:
        self._followed[message.name] = message
        self._encode.tell(message)

    def _begin_finish(self, message: Finish) -> tuple[Finish, asyncio.Future[Answer]]:
        finishing = message, self._encode.submit(message)
        self._finishing[message.name] = finishing

        def forget(_done: asyncio.Future[Answer]) -> None:
            if self._finishing.get(message.name) is finishing:
                del self._finishing[message.name]

        # Not when a caller stops waiting: the child has one job for a name at a time.
        finishing[1].add_done_callback(forget)
        return finishing

    def _tell_followed(self, deaths: int) -> Iterable[ToChild]:
        if deaths >= _DEATHS_BEFORE_NOT_FOLLOWING:
            # Nothing is lost: `finish` encodes a spool that was not followed as a whole.
            self._followed.clear()
        return list(self._followed.values())


def _file_key(sha256: str, extension: str) -> str:
    return key_of("file", extension, sha256)
