"""One engine after the other: whose turn it is, who rests, and what is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from voiceblocks.adapters.fallback_speech import REST_S, FallbackSpeech, SpeechMetrics
from voiceblocks.errors import EngineUnavailable, NoSound, SynthesisError
from voiceblocks.speech.engine_order import EngineOrder, parse_engine_order
from voiceblocks.speech.interfaces import Clip
from voiceblocks.speech.languages import Language, find_language


@dataclass
class Engine:
    """Speaks its languages, unless it is told how to fail."""

    name: str
    languages: frozenset[str] = frozenset({"en"})
    genders: frozenset[str] = frozenset({"female", "male"})
    fails: SynthesisError | None = None
    kept: dict[str, Clip] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def voice_for(self, language: Language, gender: str) -> str | None:
        able = language.code in self.languages and gender in self.genders
        return f"{language.code}-{gender}" if able else None

    def find(self, text: str, language: Language, gender: str) -> Clip | None:
        return self.kept.get(text)

    async def speak(self, text: str, language: Language, gender: str) -> Clip:
        self.asked.append(text)
        if self.fails is not None:
            raise self.fails
        self.kept[text] = Clip(Path(self.name), Path(self.name), 1)
        return self.kept[text]


class Time:
    """Stands still until it is moved."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def all_of(*engines: Engine, order: EngineOrder | None = None) -> tuple[FallbackSpeech, Time]:
    """The engines as one, in the order of a setting or their own, and its clock."""
    time = Time()
    return FallbackSpeech(engines, order or EngineOrder(), time), time


async def who(speech: FallbackSpeech, text: str, code: str = "en", gender: str = "male") -> str:
    """Which engine's clip it is."""
    return (await speech.speak(text, code, gender)).ulaw_path.name


async def test_the_first_that_can() -> None:
    """By the order; an engine without the language or the gender is passed over."""
    piper = Engine("piper", genders=frozenset({"female"}))
    openai = Engine("openai", languages=frozenset({"ja"}))
    espeak = Engine("espeak-ng")
    speech, _ = all_of(espeak, openai, piper)
    assert await who(speech, "a", gender="female") == "piper"
    assert await who(speech, "a", gender="male") == "espeak-ng"
    assert await who(speech, "a", "ja") == "openai"
    english, thai = find_language("en"), find_language("th")
    assert english is not None
    assert thai is not None
    assert speech.speakers_of(english) == {"female": "piper", "male": "espeak-ng"}
    assert speech.speakers_of(thai) == {}
    with pytest.raises(SynthesisError, match="no male voice for th"):
        await speech.speak("a", "th", "male")
    with pytest.raises(SynthesisError):
        await speech.speak("a", "xx", "male")


async def test_the_order_of_a_language() -> None:
    """What the setting leaves out does not speak the language."""
    engines = [Engine("piper"), Engine("espeak-ng", languages=frozenset({"en", "de"}))]
    speech, _ = all_of(*engines, order=parse_engine_order("espeak-ng; en=piper"))
    assert await who(speech, "a") == "piper"
    assert await who(speech, "a", "de") == "espeak-ng"
    engines[0].fails = SynthesisError("no")
    with pytest.raises(SynthesisError):
        await speech.speak("b", "en", "male")
    assert engines[1].asked == ["a"]


async def test_a_failure_is_followed_by_the_next_engine_and_told() -> None:
    """The caller hears the next engine; log and metrics say which failed, why, and who is next."""
    piper = Engine("piper", fails=SynthesisError("the voice failed"))
    espeak = Engine("espeak-ng")
    speech, _ = all_of(piper, espeak)
    with capture_logs() as logs:
        assert await who(speech, "secret words") == "espeak-ng"
    (told,) = [entry for entry in logs if entry["event"] == "speech_engine_failed"]
    assert told["engine"] == "piper"
    assert told["next"] == "espeak-ng"
    assert told["reason"] == "the voice failed"
    assert told["log_level"] == "warning"
    assert "secret" not in repr(logs)
    registry = CollectorRegistry()
    registry.register(SpeechMetrics(speech))
    shown = generate_latest(registry).decode()
    assert 'voiceblocks_speech_failed_total{engine="piper"} 1.0' in shown
    assert 'voiceblocks_speech_spoken_total{engine="espeak-ng"} 1.0' in shown
    assert 'voiceblocks_speech_resting{engine="piper"} 0.0' in shown
    # It failed at one text only, so the next is asked of it again.
    await who(speech, "more")
    assert piper.asked == ["secret words", "more"]


async def test_an_engine_that_is_not_well_rests() -> None:
    """It is not asked for a while, then again; what it said before is still heard."""
    server, espeak = Engine("openai"), Engine("espeak-ng")
    speech, time = all_of(server, espeak)
    assert await who(speech, "before") == "openai"
    server.fails = EngineUnavailable("away")
    for text in ("one", "two", "three"):
        assert await who(speech, text) == "espeak-ng"
    assert server.asked == ["before", "one"]
    assert await who(speech, "before") == "openai"
    assert speech.is_resting("openai")
    server.fails = None
    time.now_s += REST_S
    assert await who(speech, "four") == "openai"
    assert not speech.is_resting("openai")
    assert await who(speech, "two") == "openai", "what the other said meanwhile is not taken"


async def test_the_last_engine_never_rests() -> None:
    """Where nobody else speaks the language it is asked each time: it may be well again."""
    server = Engine("openai", fails=EngineUnavailable("away"))
    speech, _ = all_of(server)
    for _attempt in range(2):
        with pytest.raises(EngineUnavailable):
            await speech.speak("a", "en", "male")
    server.fails = None
    assert await who(speech, "a") == "openai"


async def test_text_without_sound_is_nobodys_failure() -> None:
    """Each engine may find something in it; if none does, no failure is counted."""
    piper, espeak = Engine("piper", fails=NoSound("none")), Engine("espeak-ng")
    speech, _ = all_of(piper, espeak)
    assert await who(speech, "$") == "espeak-ng"
    espeak.fails = NoSound("none")
    with capture_logs() as logs, pytest.raises(NoSound):
        await speech.speak("...", "en", "male")
    assert not logs
    assert not speech.failed
    # A real failure is what is raised, whoever else found nothing.
    espeak.fails = SynthesisError("died")
    with pytest.raises(SynthesisError, match="died"):
        await speech.speak("....", "en", "male")
