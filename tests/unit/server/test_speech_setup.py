"""The settings of speech become engines, or a sentence that stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.errors import StartupError
from voiceblocks.server.speech import speech_setup
from voiceblocks.settings import Settings

SERVER = {"openai_speech_url": "http://127.0.0.1:9/v1", "openai_speech_voices": "*=nova/onyx"}


def test_nothing_set(tmp_path: Path) -> None:
    """Voices in the data folder, and no server."""
    setup = speech_setup(Settings(data_dir=tmp_path), GuardedHttp())
    assert setup.server is None
    assert setup.voices_dir == tmp_path / "voices"


def test_a_server(tmp_path: Path) -> None:
    """Address, key and voices; the file's key goes before the variable's, and neither is shown."""
    key_file = tmp_path / "key"
    key_file.write_text(" sk-file \n")
    settings = Settings(
        **SERVER, openai_speech_key="sk-variable", openai_speech_model="m", voices_dir=tmp_path
    )  # type: ignore[arg-type]
    http = GuardedHttp()
    setup = speech_setup(settings, http)
    assert setup.server is not None
    server, found = setup.server
    assert found is http
    assert server.address == "http://127.0.0.1:9/v1/audio/speech"
    assert (server.key, server.model) == ("sk-variable", "m")
    assert setup.voices_dir == tmp_path
    both = settings.model_copy(update={"openai_speech_key_file": key_file})
    with_file = speech_setup(both, http).server
    assert with_file is not None
    assert with_file[0].key == "sk-file"
    assert "sk-" not in repr(both) + repr(with_file[0]) + repr(setup)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"speech_engines": "festival"}, "VOICEBLOCKS_SPEECH_ENGINES: 'festival' is no speech"),
        ({"openai_speech_url": "ftp://x/v1"}, "OPENAI_SPEECH_URL is not a web address"),
        ({"openai_speech_url": "http://u:p@x/v1"}, "OPENAI_SPEECH_URL is not a web address"),
        ({"openai_speech_url": "http://x/v1"}, "OPENAI_SPEECH_VOICES: it says which languages"),
        ({**SERVER, "openai_speech_voices": "xx=a"}, "OPENAI_SPEECH_VOICES: 'xx' is none"),
        ({**SERVER, "openai_speech_key": "two\nlines"}, "OPENAI_SPEECH_KEY has characters"),
        ({**SERVER, "openai_speech_key_file": Path("/none")}, "KEY_FILE: /none cannot be read"),
        ({**SERVER, "openai_speech_key_file": Path("/dev/null")}, "KEY_FILE: /dev/null is empty"),
    ],
)
def test_what_is_wrong_has_a_sentence(settings: dict[str, object], sentence: str) -> None:
    """Each contradiction says which setting it is."""
    with pytest.raises(StartupError) as caught:
        speech_setup(Settings(**settings), GuardedHttp())  # type: ignore[arg-type]
    assert sentence in str(caught.value)
