"""espeak-ng in its own process, and a stand-in for Debian's command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.adapters import espeak
from voiceblocks.adapters.espeak import (
    EspeakCommand,
    EspeakEngine,
    EspeakLibrary,
    find_engine,
    voice_name,
)
from voiceblocks.errors import SynthesisError
from voiceblocks.speech.languages import LANGUAGES, Grade

COMMAND = """#!{python}
import struct, sys, time
if "--version" in sys.argv:
    print("eSpeak NG text-to-speech: 1.51  Data at: /nowhere")
    raise SystemExit
text = sys.stdin.buffer.read().decode()
voice = sys.argv[sys.argv.index("-v") + 1]
if text == "hang":
    time.sleep(60)
if text == "crash" or voice == "nope":
    raise SystemExit(1)
if text == "junk":
    sys.stdout.write("not a WAV at all, but long enough to be taken for one")
    raise SystemExit
if "--ipa" in sys.argv:
    print(" wˈʌn\\n tˈuː\\n")
    raise SystemExit
head = b"RIFF" + struct.pack("<I", 0x7FFFF024) + b"WAVEfmt " + struct.pack(
    "<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16) + b"data" + struct.pack("<I", 0x7FFFF000)
if text:
    sys.stdout.buffer.write(head + b"\\x10\\x20" * len(text) + b"!")
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    """The engine of this machine."""
    found = find_engine()
    if found is None:
        pytest.skip("espeak-ng is not installed")
    yield found
    found.close()


@pytest.fixture(scope="module")
def library(engine: EspeakEngine) -> EspeakLibrary:
    """The engine, where it is the wheel's library."""
    if not isinstance(engine, EspeakLibrary):
        pytest.skip("espeakng-loader is not installed")
    return engine


@pytest.fixture
def command(tmp_path: Path) -> EspeakCommand:
    """A command that behaves as Debian's does, lengths of its WAV included."""
    path = tmp_path / "espeak-ng"
    path.write_text(COMMAND.format(python=sys.executable))
    path.chmod(0o755)
    return EspeakCommand(path)


@pytest.mark.parametrize("gender", ["female", "male"])
@pytest.mark.parametrize(
    "code", [language.code for language in LANGUAGES if language.espeak is not Grade.NOT]
)
def test_every_language_has_both_voices(engine: EspeakEngine, code: str, gender: str) -> None:
    """Each language that we say is spoken makes sound in both voices."""
    samples, rate_hz = engine.synthesize("12", voice_name(code, gender))
    assert samples.dtype == np.int16
    assert len(samples) / rate_hz > 0.2
    assert np.abs(samples.astype(int)).max() > 3000


def _pitch_hz(samples: np.ndarray, rate_hz: int) -> float:
    """Median of the voiced frames' autocorrelation peaks."""
    size = rate_hz // 25
    found = []
    for start in range(0, len(samples) - size, size):
        frame = samples[start : start + size].astype(float)
        frame -= frame.mean()
        likeness = np.correlate(frame, frame, "full")[size - 1 :]
        low, high = rate_hz // 400, rate_hz // 60
        best = low + int(np.argmax(likeness[low:high]))
        if frame.std() > 500 and likeness[best] > 0.5 * likeness[0]:
            found.append(rate_hz / best)
    return float(np.median(found))


@pytest.mark.parametrize("code", ["en", "en-US", "zh", "zh-HK", "ko"])
def test_genders_differ_in_pitch(engine: EspeakEngine, code: str) -> None:
    """The female voice is a woman's pitch, the male one a man's."""
    text = "1 2 3 4 5 6 7 8 9 10"
    female = _pitch_hz(*engine.synthesize(text, voice_name(code, "female")))
    male = _pitch_hz(*engine.synthesize(text, voice_name(code, "male")))
    assert 160 < female < 260
    assert 80 < male < 150


@pytest.mark.parametrize(("language", "gender"), [("ja", "male"), ("xx", "male"), ("en", "x")])
def test_voices_that_do_not_exist(language: str, gender: str) -> None:
    """What cannot be spoken has no voice."""
    with pytest.raises(SynthesisError):
        voice_name(language, gender)


def test_longer_text_is_longer(engine: EspeakEngine) -> None:
    """A thousand characters come back whole, through many messages."""
    short, rate_hz = engine.synthesize("Hello there.", "en+f2")
    long, _rate = engine.synthesize("Hello there. " * 77, "en+f2")
    assert len(long) > 40 * len(short) * 0.5
    assert len(long) / rate_hz > 40


@pytest.mark.parametrize("text", ["", " ", "...", "\0\0"])
def test_text_without_sound(engine: EspeakEngine, text: str) -> None:
    """Nothing to say is silence of whatever length, not an error of the engine."""
    samples, _rate = engine.synthesize(text, "en+f2")
    assert not np.any(samples)


def test_markup_and_phonemes_are_text(engine: EspeakEngine) -> None:
    """What looks like SSML or espeak's phonemes is read out, not obeyed."""
    plain, _rate = engine.synthesize("a b", "en+f2")
    marked, _rate = engine.synthesize("a <break time='10s'/> b", "en+f2")
    assert len(plain) < len(marked) < len(plain) + 8 * 22_050


def test_phonemes(engine: EspeakEngine) -> None:
    """Text becomes IPA clause by clause, each with the text and the punctuation it stands for."""
    clauses = engine.phonemize("Please wait, Mr. Smith: now! Ok", "en-us")
    assert "".join(ipa for ipa, _piece in clauses).startswith("plˈiːz wˈeɪt")
    if isinstance(engine, EspeakLibrary):
        assert [piece for _ipa, piece in clauses] == [
            "Please wait, ", "Mr. ", "Smith: ", "now! ", "Ok",
        ]  # fmt: skip
        chinese = engine.phonemize("您好，请留言。再见", "cmn")
        assert [piece for _ipa, piece in chinese] == ["您好，", "请留言。", "再见"]
    assert "".join(ipa for ipa, _piece in engine.phonemize("...", "en")) == ""
    with pytest.raises(SynthesisError):
        engine.phonemize("hello", "nope")


def test_unknown_voice(engine: EspeakEngine) -> None:
    """A voice that the engine lacks is a SynthesisError, and the next text is fine."""
    with pytest.raises(SynthesisError):
        engine.synthesize("hello", "nope")
    assert len(engine.synthesize("hello", "en")[0])


def test_killed_process_is_replaced(library: EspeakLibrary) -> None:
    """A process that died between two texts costs nobody an answer."""
    pid = library.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert np.any(library.synthesize("I am back", "en")[0])
    assert library.pid != pid


def test_a_hang_is_an_error_of_that_text(
    library: EspeakLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process runs into the time limit; the next text has a new one."""
    pid = library.pid
    assert pid is not None
    monkeypatch.setattr(espeak, "_TEXT_LIMIT_S", 0.05)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(SynthesisError, match="too long"):
        library.synthesize("hello", "en")
    monkeypatch.undo()
    assert np.any(library.synthesize("hello", "en")[0])
    assert library.pid != pid


def test_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    """A broken library is a SynthesisError at the start, with no process left."""
    (tmp_path / "broken.so").write_bytes(b"not ELF")
    with pytest.raises(SynthesisError):
        EspeakLibrary(tmp_path / "broken.so", tmp_path)


def test_gpl_code_stays_in_its_process() -> None:
    """Neither the engine's module nor the pool imports the GPL wheel."""
    code = (
        "import sys, voiceblocks.adapters.espeak as e, voiceblocks.adapters.render.rendering;"
        "x = e.find_engine(); x and x.close();"
        "maps = open('/proc/self/maps').read();"
        "sys.exit('espeakng_loader' in sys.modules or 'libespeak' in maps)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_command(command: EspeakCommand) -> None:
    """The command's version and the WAV from its pipe are read."""
    assert command.version == "1.51"
    samples, rate_hz = command.synthesize("h\u00e9llo", "en")
    assert rate_hz == 16_000
    assert samples.tolist() == [0x2010] * 5
    assert len(command.synthesize("", "en")[0]) == 0
    assert command.phonemize("one, two?", "en") == [("wˈʌn", ", "), ("tˈuː", "?")]
    command.close()


@pytest.mark.parametrize(("text", "voice"), [("crash", "en"), ("junk", "en"), ("a", "nope")])
def test_command_that_fails(command: EspeakCommand, text: str, voice: str) -> None:
    """Whatever the command does wrong is a SynthesisError."""
    with pytest.raises(SynthesisError):
        command.synthesize(text, voice)


def test_command_that_hangs(command: EspeakCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command has a time limit, too."""
    monkeypatch.setattr(espeak, "_TEXT_LIMIT_S", 0.3)
    with pytest.raises(SynthesisError):
        command.synthesize("hang", "en")


def test_no_command(tmp_path: Path) -> None:
    """A command that is not there is a SynthesisError."""
    with pytest.raises(SynthesisError):
        EspeakCommand(tmp_path / "missing")


def test_engine_choice(
    command: EspeakCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the wheel the command is used; without either there is no engine."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_engine()
    assert isinstance(found, EspeakCommand)
    assert found.version == command.version
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert find_engine() is None


@given(st.binary(max_size=80))
def test_wav_from_a_pipe(data: bytes) -> None:
    """Any bytes are samples or a SynthesisError."""
    try:
        samples, _rate = espeak._parse_streamed_wav(data)
    except SynthesisError:
        return
    assert samples.dtype == np.int16
