"""Who speaks on this node, by the settings; what is wrong there stops the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.openai_speech import OpenAiServer
from voiceblocks.adapters.render.pool import SpeechSetup
from voiceblocks.blocks.urls import split_web_url
from voiceblocks.errors import StartupError
from voiceblocks.settings import Settings
from voiceblocks.speech.engine_order import parse_engine_order
from voiceblocks.speech.server_voices import parse_server_voices

T = TypeVar("T")


def speech_setup(settings: Settings, http: GuardedHttp) -> SpeechSetup:
    """
    Read the settings of speech.

    Raises:
        StartupError: With a sentence that says which is wrong, and what to write.
    """
    server = _speech_server(settings)
    return SpeechSetup(
        order=_read("SPEECH_ENGINES", parse_engine_order, settings.speech_engines),
        voices_dir=settings.effective_voices_dir,
        server=None if server is None else (server, http),
    )


def _speech_server(settings: Settings) -> OpenAiServer | None:
    url = settings.openai_speech_url
    if not url:
        return None
    if split_web_url(url) is None:
        raise StartupError(
            "VOICEBLOCKS_OPENAI_SPEECH_URL is not a web address: write it as "
            "https://api.openai.com/v1, without user name or password"
        )
    return OpenAiServer(
        url=url,
        voices=_read("OPENAI_SPEECH_VOICES", parse_server_voices, settings.openai_speech_voices),
        model=settings.openai_speech_model,
        key=_key(settings),
        timeout_s=settings.openai_speech_timeout_s,
    )


def _key(settings: Settings) -> str:
    name, file = "VOICEBLOCKS_OPENAI_SPEECH_KEY_FILE", settings.openai_speech_key_file
    if file is None:
        name, key = "VOICEBLOCKS_OPENAI_SPEECH_KEY", settings.openai_speech_key.get_secret_value()
    else:
        try:
            key = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StartupError(f"{name}: {file} cannot be read") from error
        if not key:
            raise StartupError(f"{name}: {file} is empty; put the speech server's key into it")
    # What a header cannot carry would fail at each text.
    if not (key.isascii() and (key.isprintable() or not key)):
        raise StartupError(f"{name} has characters that no key has: write it on one line")
    return key


def _read(name: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise StartupError(f"VOICEBLOCKS_{name}: {error}") from error
