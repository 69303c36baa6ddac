"""The `speech`, `piper` and `files` roles: one job after the other into the cache."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from voiceblocks import ipc
from voiceblocks.adapters.cache_folder import CacheLimits, sweep
from voiceblocks.adapters.espeak import find_engine
from voiceblocks.adapters.piper import PiperEngine
from voiceblocks.adapters.render.audio_files import read_audio_file
from voiceblocks.adapters.render.cache import ClipCache
from voiceblocks.adapters.render.loudness import prepare_recording, prepare_speech
from voiceblocks.adapters.render.messages import (
    Failed,
    Ready,
    Render,
    RenderBeep,
    Rendered,
    RenderFile,
    RenderHoldMusic,
    RenderSpeech,
    SweepCache,
    ToChild,
)
from voiceblocks.audio import tones
from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.hold_music import hold_music
from voiceblocks.audio.resample import to_telephone
from voiceblocks.audio.ring_tones import ring_tone_of, ring_tone_samples
from voiceblocks.errors import NoSound, SynthesisError, UnreadableAudio


class Synthesizer(Protocol):
    """What both engines that run here have in common."""

    version: str
    "As part of cache keys."

    def synthesize(self, text: str, voice: str) -> tuple[Samples, int]:
        """
        Speak `text`.

        Returns:
            `int16` `(n_samples,)`, and its sample rate in Hz.

        Raises:
            SynthesisError: If it cannot.
        """
        ...


class RenderLoop:
    """
    Serves one channel until the other end closes.

    Args:
        channel: To the control process.
        cache: Where results go.
        engine: What speaks; `None` in the `files` role, or where none is installed.
    """

    def __init__(
        self, channel: ipc.Channel[ToChild], cache: ClipCache, engine: Synthesizer | None
    ) -> None:
        self._channel = channel
        self._cache = cache
        self._engine = engine

    def run(self) -> None:
        """Answer each job in turn."""
        self._channel.send(self.ready())
        while (received := self._channel.receive()) is not None:
            message = received[0]
            if isinstance(message, Render | SweepCache):
                self._channel.send(self.answer(message))

    def ready(self) -> Ready:
        """What it says of itself first."""
        if self._engine is None:
            return Ready()
        if isinstance(self._engine, PiperEngine):
            return Ready(self._engine.version, self._engine.voices, self._engine.complaints)
        return Ready(self._engine.version)

    def answer(self, job: Render | SweepCache) -> Rendered | Failed:
        """Do a job; raises nothing."""
        try:
            if isinstance(job, SweepCache):
                limits = CacheLimits(job.max_bytes, job.max_age_s)
                sweep(self._cache.folder, limits, time.time())
            # Another process may have made it since the asker looked.
            elif self._cache.find(job.key) is None:
                self._cache.store(job.key, self._render(job))
        except (SynthesisError, UnreadableAudio) as error:
            no_sound = isinstance(error, NoSound)
            return Failed(job=job.job, reason=str(error), no_sound=no_sound)
        except Exception as error:  # noqa: BLE001 - one job's trouble must not end the others'
            return Failed(job=job.job, reason=f"{type(error).__name__}: {error}")
        return Rendered(job=job.job)

    def _render(self, job: Render) -> Samples:
        if isinstance(job, RenderSpeech):
            return speak(self._engine, job.text, job.voice)
        if isinstance(job, RenderFile):
            samples = read_audio_file(Path(job.source), job.extension)
            return audible(prepare_speech(samples)) if job.is_speech else prepare_recording(samples)
        if isinstance(job, RenderBeep):
            return tones.beep()
        if isinstance(job, RenderHoldMusic):
            return hold_music()
        return ring_tone_samples(ring_tone_of(job.country))


def speak(engine: Synthesizer | None, text: str, voice: str) -> Samples:
    """
    Speak `text` as 8 kHz samples at a telephone's level.

    Raises:
        NoSound: If no sound came out.
        SynthesisError: If there is no engine, or it failed.
    """
    if engine is None:
        raise SynthesisError(
            "espeak-ng is not installed: pip install 'voiceblocks[speech]', or Debian's espeak-ng"
        )
    spoken, rate_hz = engine.synthesize(text, voice)
    if not np.any(spoken):
        raise NoSound("the text has no sound")
    return audible(prepare_speech(to_telephone(spoken, rate_hz)))


def audible(samples: Samples) -> Samples:
    """
    Return `samples`.

    Raises:
        NoSound: If there are none.
    """
    if len(samples) == 0:
        raise NoSound("the text has no sound")
    return samples


def engine_for_role(role: str, arguments: Sequence[str]) -> Synthesizer | None:
    """The `files` role does not speak."""
    if role == "piper":
        return PiperEngine(Path(arguments[0]), find_engine())
    return find_engine() if role == "speech" else None
