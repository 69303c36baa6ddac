"""Render lanes without processes: the same loops, fed with the same messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from voiceblocks.adapters.render.cache import ClipCache
from voiceblocks.adapters.render.encoding import EncodeLoop
from voiceblocks.adapters.render.lane import Lane
from voiceblocks.adapters.render.messages import Ready, Render, SweepCache, ToChild
from voiceblocks.adapters.render.rendering import RenderLoop, Synthesizer
from voiceblocks.audio.g711 import Samples
from voiceblocks.audio.tones import tone
from voiceblocks.testing.simulation.virtual_loop import round_at

_SYLLABLE_MS = 120
_PAUSE_MS = 60
_LONGEST_SYLLABLES = 200
_LOWEST_HZ, _STEP_HZ = 300, 37


class StandInVoice:
    """
    Speaks any text as a tune of its own: no installation, the same on every machine.

    A syllable for each word, whose pitch comes from the word's letters. Nobody understands it;
    `ScriptedCall.hears` knows it, as it knows whatever the node rendered. Fulfils `Synthesizer`.
    """

    version = "stand-in"

    def synthesize(self, text: str, voice: str) -> tuple[Samples, int]:
        """See `Synthesizer.synthesize`."""
        pieces: list[Samples] = []
        for word in text.split()[:_LONGEST_SYLLABLES]:
            if any(letter.isalnum() for letter in word):
                pitch = sum(word.encode()) + len(voice)
                pair = (_LOWEST_HZ + pitch % 29 * _STEP_HZ, _LOWEST_HZ + pitch % 23 * _STEP_HZ + 11)
                pieces += [tone(pair, _SYLLABLE_MS, -20.0), np.zeros(_PAUSE_MS * 8, np.int16)]
        return (np.concatenate(pieces) if pieces else np.zeros(0, np.int16)), 8000


class InProcessLane(Lane):
    """
    A lane whose child is an object.

    Args:
        role: See `adapters.render.process`.
        folder: The role's folder.
        speaker: Speaks in the `speech` role.
        options: As for `Lane`.
    """

    def __init__(self, role: str, folder: Path, *, speaker: Synthesizer, **options: Any) -> None:
        super().__init__(role, folder, **options)
        self._speaker = speaker

    def _spawn(self) -> None:
        self._restart = None
        if self.role == "encode":
            child: Any = _Encoder(self._folder, self._on_message)
        else:
            engine = self._speaker if self.role == "speech" else None
            child = _Renderer(self._folder, engine, self._on_message)
        self._channel = cast("Any", child)
        for message in self._told_at_start(self._deaths):
            child.send(message)
        self._send_waiting()

    def _end_child(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class _Child:
    """The end of a channel that both sides think they have."""

    def __init__(self, on_message: Callable[[Any, list[int]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._is_open = True

    def answer(self, message: Any) -> None:
        self._loop.call_soon(self._give, message)

    def _give(self, message: Any) -> None:
        if self._is_open:
            self._on_message(message, [])

    def close(self) -> None:
        self._is_open = False


class _Renderer(_Child):
    def __init__(
        self,
        folder: Path,
        engine: Synthesizer | None,
        on_message: Callable[[Any, list[int]], None],
    ) -> None:
        super().__init__(on_message)
        self._render = RenderLoop(cast("Any", self), ClipCache(folder), engine)
        self.answer(self._render.ready())

    def send(self, message: ToChild) -> None:
        if isinstance(message, Render | SweepCache):
            self.answer(self._render.answer(message))


class _Encoder(_Child):
    def __init__(self, folder: Path, on_message: Callable[[Any, list[int]], None]) -> None:
        super().__init__(on_message)
        self._encode = EncodeLoop(cast("Any", _Answers(self.answer)), folder)
        self._timer: asyncio.TimerHandle | None = None
        self.answer(Ready())

    def send(self, message: ToChild) -> None:
        self._loop.call_soon(self._take, message)

    def _take(self, message: ToChild) -> None:
        if self._is_open:
            self._encode.take(message, self._loop.time())
            self._work()

    def _work(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while (due := self._encode.next_due()) is not None:
            if due > now:
                # What is due later is a recording that goes on: nobody waits for a part of it.
                self._timer = self._loop.call_at(round_at(due), self._work)
                return
            self._encode.step(now)

    def close(self) -> None:
        super().close()
        if self._timer is not None:
            self._timer.cancel()


class _Answers:
    """What `EncodeLoop` uses of a channel while it is driven from outside."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self.send = send
