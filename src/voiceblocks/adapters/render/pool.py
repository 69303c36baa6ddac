"""Speech, custom audio and MP3s, made by child processes for the control process.

Three lanes that never wait for each other: recordings (urgent: somebody waits for the
link), speech, and custom audio files (which may take seconds each, and are the one
place where strangers' bytes meet C decoders). What was rendered once is found in the
cache without asking a child.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from voiceblocks.adapters.espeak import voice_name
from voiceblocks.adapters.render.cache import ClipCache, hash_file, key_of
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
    RenderSpeech,
    ToChild,
)
from voiceblocks.audio.ring_tones import ring_tone_of
from voiceblocks.blocks.msg import AUDIO_EXTENSIONS
from voiceblocks.blocks.recording_shape import PLAIN, RecordingShape
from voiceblocks.errors import ContractViolation, EncodeError, SynthesisError, UnreadableAudio
from voiceblocks.recordings.interfaces import EncodedRecording
from voiceblocks.speech.interfaces import Clip

SAMPLES_PER_MS = 8
CACHE_MAX_BYTES = 2 << 30
"Of both laws together: 37 hours of prompts."
_FINISHES_AT_ONCE = 1000
# The engine's own limits end a hanging text first, twice if its process dies in between.
_SPEECH_LIMIT_S = 60.0
# Twenty minutes of stereo MP3 at 48 kHz take 3.3 s on a quiet machine (and 320 MB).
_FILE_LIMIT_S = 60.0
# A child that dies again and again may be dying of a followed spool.
_DEATHS_BEFORE_NOT_FOLLOWING = 3


class RenderPool:
    """
    Fulfils `RecordingEncoder` and `PromptRenderer`. Belongs to one asyncio loop.

    Args:
        cache_dir: For prompts; may be shared by processes, survives restarts.
        work_dir: Where finished MP3s appear, the receiver's to move or delete. Used by
            this pool alone: part files in it are deleted at the start.
        cache_max_bytes: At the start, what was unused longest goes when there is more.
            While the node runs nothing is deleted, since clips must stay.
    """

    def __init__(
        self, cache_dir: Path, work_dir: Path, *, cache_max_bytes: int = CACHE_MAX_BYTES
    ) -> None:
        self._cache = ClipCache(cache_dir)
        self._cache_max_bytes = cache_max_bytes
        self._followed: dict[str, Follow] = {}
        self._finishing: dict[str, tuple[Finish, asyncio.Future[Answer]]] = {}
        self._rendering: dict[str, asyncio.Future[Answer]] = {}
        self._numbers = itertools.count(1)
        self._encode = Lane(
            "encode", work_dir, at_once=_FINISHES_AT_ONCE, told_at_start=self._tell_followed
        )
        self._speech = Lane("speech", cache_dir)
        self._files = Lane("files", cache_dir)

    @property
    def lanes(self) -> tuple[Lane, Lane, Lane]:
        """Those for recordings, speech and files: for health checks and tests."""
        return self._encode, self._speech, self._files

    @property
    def speaks(self) -> bool:
        """Whether a speech engine was found."""
        return bool(self._speech.engine_version)

    async def start(self) -> None:
        """
        Start the children and wait until they serve.

        Raises:
            StartupError: If one does not.
        """
        await asyncio.to_thread(self._cache.prune, self._cache_max_bytes, time.time())
        try:
            await asyncio.gather(*(lane.start() for lane in self.lanes))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the children; what is unfinished fails."""
        await asyncio.gather(*(lane.stop() for lane in self.lanes))

    def follow(self, name: str, spool_path: Path, shape: RecordingShape = PLAIN) -> None:
        """See `RecordingEncoder.follow`."""
        self._follow(Follow(name=name, spool_path=str(spool_path), shape=shape))

    def follow_stereo(self, name: str, left: Path, right: Path) -> None:
        """See `RecordingEncoder.follow_stereo`."""
        self._follow(Follow(name=name, spool_path=str(left), heard_path=str(right)))

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
        self, name: str, left: Path, right: Path, n_samples: int
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

    async def render_speech(self, text: str, language: str, gender: str) -> Clip:
        """
        See `PromptRenderer.render_speech`.

        Raises:
            SynthesisError: If no sound came out.
        """
        voice = voice_name(language, gender)
        # Blanks at the ends and doubled ones are not heard.
        text = " ".join(text.split())
        key = key_of("speech", "espeak-ng", self._speech.engine_version, voice, text)
        try:
            return await self._render(
                self._speech,
                key,
                lambda job: RenderSpeech(job=job, key=key, text=text, voice=voice),
                _SPEECH_LIMIT_S,
            )
        except JobFailedError as error:
            raise SynthesisError(f"no speech in {language}: {error}") from error

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
            return await self._render(
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
            return await self._render(self._files, key, message, _FILE_LIMIT_S)
        except JobFailedError as error:
            raise SynthesisError(f"no tone: {error}") from error

    async def _render(
        self, lane: Lane, key: str, message: Callable[[int], Job], limit_s: float
    ) -> Clip:
        clip = self._cache.find(key)
        if clip is not None:
            return clip
        future = self._rendering.get(key)
        if future is None:
            future = lane.submit(message(next(self._numbers)), limit_s)
            self._rendering[key] = future
            future.add_done_callback(lambda _done: self._rendering.pop(key, None))
        # `wait` leaves the job alone when this caller hangs up: others may want it too.
        await asyncio.wait({future})
        future.result()
        clip = self._cache.find(key)
        if clip is None:
            raise JobFailedError("the cache lost it")
        return clip

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
