"""Parts of a message become clips, or the documented status."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from voiceblocks.blocks.msg import Part, SpeechPart, TextPart, UrlPart, parse_msg
from voiceblocks.errors import (
    EngineUnavailable,
    InvalidRequest,
    StoreError,
    SynthesisError,
    UnreadableAudio,
)
from voiceblocks.speech.interfaces import Clip
from voiceblocks.speech.languages import Language
from voiceblocks.workflows.prepare_prompts import PromptPreparer

ACCOUNT = "acc_1"


def clip(name: str) -> Clip:
    """A clip that is recognised by its name."""
    return Clip(Path(f"{name}.ulaw"), Path(f"{name}.alaw"), 160)


@dataclass
class Renderer:
    """Answers after all that it expects have asked, if it expects any."""

    expected: int = 0
    asked: list[str] = field(default_factory=list)
    all_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def _ask(self, name: str) -> None:
        self.asked.append(name)
        if len(self.asked) >= self.expected:
            self.all_asked.set()
        await self.all_asked.wait()

    def speakers_of(self, language: Language) -> dict[str, str]:
        """As espeak-ng alone speaks; Tagalog has a man."""
        if language.code == "tl":
            return {"male": "piper"}
        return {} if language.code in {"ja", "th"} else {"female": "espeak-ng", "male": "espeak-ng"}

    async def render_speech(self, text: str, language: str, gender: str) -> Clip:
        await self._ask(text)
        if "unwell" in text:
            raise EngineUnavailable(text)
        if "bad" in text or not any(character.isalnum() for character in text):
            raise SynthesisError(text)
        if "broken" in text:
            raise StoreError(text)
        return clip(f"{text}|{language}|{gender}")

    async def render_audio_file(self, source: Path, extension: str) -> Clip:
        await self._ask(source.name)
        if "bad" in source.name:
            raise UnreadableAudio(source.name)
        return clip(f"{source.name}|{extension}")

    async def beep(self) -> Clip:
        return clip("beep")


@dataclass(frozen=True)
class Downloaded:
    """What a download gives."""

    path: Path


class Downloader:
    """Takes the last part of the URL as the file, or as the failure's status."""

    async def fetch(self, url: str, account_id: str) -> Downloaded:
        assert account_id == ACCOUNT
        name = url.rpartition("/")[2]
        if name.startswith("error_"):
            raise InvalidRequest(name.partition(".")[0])
        return Downloaded(Path("/downloads") / name)

    async def confirm(self, audio: Downloaded) -> None:
        if audio.path.name.startswith("deleted"):
            raise InvalidRequest("error_msg_download_failed")


async def prepare(parts: Sequence[Part], expected: int = 0) -> list[str]:
    """Names of the clips that the parts become."""
    clips = await PromptPreparer(Renderer(expected), Downloader()).prepare(parts, ACCOUNT)
    return [clip.ulaw_path.stem for clip in clips]


async def test_parts_in_order_and_at_once() -> None:
    """All parts are rendered at the same time and come back in their order."""
    parts = parse_msg(
        "Hello <speech language='zh_hk' gender='Male'>你好</speech><url>http://a.b/x.WAV</url>bye"
    )
    assert await prepare(parts, expected=4) == [
        "Hello |en|female",
        "你好|zh-HK|male",
        "x.WAV|.wav",
        "bye|en|female",
    ]


async def test_no_parts() -> None:
    """Nothing to say is nothing to play."""
    assert await prepare([]) == []


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (TextPart("bad"), "error_msg_cannot_convert_text"),
        (SpeechPart("bad", "ko", "male"), "error_msg_cannot_convert_text"),
        (SpeechPart("unwell", "ko", "male"), "error_msg_cannot_convert_text"),
        (UrlPart("http://a.b/bad.mp3"), "error_msg_invalid_file_format"),
        (UrlPart("http://a.b/error_msg_download_failed.mp3"), "error_msg_download_failed"),
        (UrlPart("http://a.b/error_msg_invalid_file_size.gsm"), "error_msg_invalid_file_size"),
        (UrlPart("http://a.b/error_msg_invalid_url.wav"), "error_msg_invalid_url"),
        (SpeechPart("hello", "ja", "female"), "error_msg_invalid_language"),
        (SpeechPart("hello", "en", "robot"), "error_msg_invalid_gender"),
        (SpeechPart("kumusta", "tl", "female"), "error_msg_invalid_gender"),
    ],
)
async def test_statuses(part: Part, status: str) -> None:
    """Each way in which a part cannot be played has its documented status."""
    with pytest.raises(InvalidRequest) as caught:
        await prepare([TextPart("fine"), part, TextPart("bad, but later")])
    assert caught.value.status == status


async def test_first_part_decides() -> None:
    """Of several failures the first part's is told, whichever is faster."""
    parts = [UrlPart("http://a.b/bad.mp3"), TextPart("bad")]
    for order, status in (
        (parts, "error_msg_invalid_file_format"),
        (parts[::-1], "error_msg_cannot_convert_text"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            await prepare(order, expected=2)
        assert caught.value.status == status


async def test_what_was_deleted_while_it_was_rendered_is_not_played() -> None:
    """The downloader has the last word, after the rendering."""
    with pytest.raises(InvalidRequest, match="error_msg_download_failed"):
        await prepare(parse_msg("<url>http://a.b/deleted.mp3</url>"))


async def test_languages_are_checked_before_anything_is_done() -> None:
    """A message that is refused costs no rendering and no download."""
    renderer = Renderer()
    with pytest.raises(InvalidRequest):
        await PromptPreparer(renderer, Downloader()).prepare(
            [TextPart("hello"), SpeechPart("hello", "th", "female")], ACCOUNT
        )
    assert renderer.asked == []


async def test_punctuation_between_parts_is_not_an_error() -> None:
    """A full stop behind a url has no sound, and need not have one."""
    assert await prepare(parse_msg("Hi <url>http://a.b/x.mp3</url>.")) == [
        "Hi |en|female",
        "x.mp3|.mp3",
    ]
    with pytest.raises(InvalidRequest) as caught:
        await prepare(parse_msg("..."))
    assert caught.value.status == "error_msg_cannot_convert_text"


async def test_our_own_failures_are_not_the_applications() -> None:
    """An error that no status describes is passed on as it is."""
    with pytest.raises(StoreError):
        await prepare([TextPart("broken")])


@pytest.mark.parametrize(
    ("speakers", "gender"),
    [({"male": "piper"}, "male"), ({"female": "piper"}, "female"), ({}, "female")],
)
async def test_plain_text_takes_whoever_speaks_english(
    speakers: dict[str, str], gender: str
) -> None:
    """Text that asks for no voice is not refused for want of a woman's, nor for its language."""

    class Few(Renderer):
        def speakers_of(self, language: Language) -> dict[str, str]:
            return speakers

    (clip,) = await PromptPreparer(Few(), Downloader()).prepare([TextPart("hello")], ACCOUNT)
    assert clip.ulaw_path.stem == f"hello|en|{gender}"
