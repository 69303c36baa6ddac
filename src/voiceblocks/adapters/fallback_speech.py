"""One engine after the other, in the operator's order, until one has spoken.

An engine that is not well rests for a while, so that not every prompt waits for its
time limit; what it said before is still found in the cache.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voiceblocks.errors import EngineUnavailable, NoSound, SynthesisError
from voiceblocks.log import get_logger
from voiceblocks.speech.engine_order import EngineOrder
from voiceblocks.speech.interfaces import Clip, SpeechEngine
from voiceblocks.speech.languages import GENDERS, Language, find_language
from voiceblocks.stories.asked import note_cached

REST_S = 30.0
"How long an engine that was not well is not asked while there are others."

_log = get_logger("speech")


class FallbackSpeech:
    """
    All engines as one.

    Args:
        engines: Those of this node.
        order: Which is asked first.
        now_s: Monotonic seconds.
    """

    def __init__(
        self,
        engines: Sequence[SpeechEngine],
        order: EngineOrder,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = {engine.name: engine for engine in engines}
        self._order = order
        self._now_s = now_s
        self._rests_until_s: dict[str, float] = {}
        self.spoken: Counter[str] = Counter()
        "Texts by engine; those from the cache do not count."
        self.failed: Counter[str] = Counter()
        "Texts that an engine should have spoken."

    @property
    def engines(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._engines)

    def is_resting(self, engine: str) -> bool:
        """Whether it was not well just now."""
        return self._rests_until_s.get(engine, 0) > self._now_s()

    def speakers_of(self, language: Language) -> Mapping[str, str]:
        """See `PromptRenderer.speakers_of`."""
        found: dict[str, str] = {}
        for gender in sorted(GENDERS):
            able = self._able(language, gender)
            if able:
                found[gender] = able[0].name
        return found

    async def speak(self, text: str, code: str, gender: str) -> Clip:
        """
        See `PromptRenderer.render_speech`.

        Raises:
            NoSound: If no engine found anything to say in it.
            SynthesisError: If none could speak it, or none has such a voice.
        """
        language = find_language(code)
        able = [] if language is None else self._able(language, gender)
        if language is None or not able:
            raise SynthesisError(f"no {gender} voice for {code}")
        failure: SynthesisError | None = None
        for index, engine in enumerate(able):
            found = engine.find(text, language, gender)
            if found is not None:
                note_cached()
                return found
            is_last = index == len(able) - 1
            if self.is_resting(engine.name) and not is_last:
                continue
            try:
                clip = await engine.speak(text, language, gender)
            except NoSound as error:
                failure = failure or error
            except SynthesisError as error:
                self._note_failure(engine.name, error, None if is_last else able[index + 1].name)
                failure = error
            else:
                self.spoken[engine.name] += 1
                self._rests_until_s.pop(engine.name, None)
                return clip
        assert failure is not None
        raise failure

    def _able(self, language: Language, gender: str) -> list[SpeechEngine]:
        named = (self._engines.get(name) for name in self._order.of(language))
        return [each for each in named if each is not None and each.voice_for(language, gender)]

    def _note_failure(self, engine: str, error: SynthesisError, following: str | None) -> None:
        self.failed[engine] += 1
        if isinstance(error, EngineUnavailable):
            self._rests_until_s[engine] = self._now_s() + REST_S
        # The reason is ours or a library's, and never holds the text.
        _log.warning("speech_engine_failed", engine=engine, reason=str(error), next=following)


class SpeechMetrics(Collector):
    """
    Who spoke and who failed, for `/metrics`.

    Args:
        speech: Whose counts are shown.
    """

    def __init__(self, speech: FallbackSpeech) -> None:
        self._speech = speech

    def collect(self) -> Iterator[Metric]:
        """A family each for texts, failures and rests."""
        spoken = CounterMetricFamily(
            "voiceblocks_speech_spoken", "Texts turned into speech, cached ones left out.",
            labels=["engine"],
        )  # fmt: skip
        failed = CounterMetricFamily(
            "voiceblocks_speech_failed", "Texts that an engine failed at.", labels=["engine"]
        )
        resting = GaugeMetricFamily(
            "voiceblocks_speech_resting",
            "Whether an engine was not well and is not asked for a while.",
            labels=["engine"],
        )
        for engine in self._speech.engines:
            spoken.add_metric([engine], self._speech.spoken[engine])
            failed.add_metric([engine], self._speech.failed[engine])
            resting.add_metric([engine], float(self._speech.is_resting(engine)))
        yield from (spoken, failed, resting)
