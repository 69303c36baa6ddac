"""Piper's voices: what of a folder can be used, and small real networks that speak."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.piper_voices import (
    IPA_SYMBOLS,
    PHONEME_SAMPLES,
    RATE_HZ,
    TEXT_SYMBOLS,
    write_config,
    write_voice,
)
from voiceblocks.adapters import piper
from voiceblocks.adapters.espeak import EspeakEngine, find_engine
from voiceblocks.adapters.piper import (
    PiperEngine,
    VoiceConfig,
    find_voices,
    has_voices,
    join_clauses,
    phoneme_ids,
)
from voiceblocks.audio.level import goertzel_level_dbfs
from voiceblocks.errors import NoSound, SynthesisError

pytest.importorskip("onnxruntime")


def config(symbols: str = TEXT_SYMBOLS) -> VoiceConfig:
    """A configuration with these phonemes."""
    ids = {symbol: [number] for number, symbol in enumerate("_^$" + symbols)}
    return VoiceConfig(audio=piper._Audio(RATE_HZ), phoneme_id_map=ids)


@pytest.fixture
def espeak() -> Iterator[EspeakEngine]:
    """For phonemes."""
    engine = find_engine()
    if engine is None:
        pytest.skip("espeak-ng is not installed")
    yield engine
    engine.close()


def test_a_folder_of_voices(tmp_path: Path) -> None:
    """Language by configuration, gender by folder; what cannot be used has its sentence."""
    assert not has_voices(tmp_path)
    write_voice(tmp_path, "female/en_GB-alba-low")
    for name, language, more in (
        ("es_MX-ald-low", "es_MX", {}),
        ("male/old/zh_CN-huayan-low", "", {}),
        ("th_TH-text-low", "th_TH", {}),
        ("ja_JP-bad-low", "ja_JP", {"phoneme_type": "espeak"}),
        ("zh_CN-pinyin-low", "zh_CN", {"phoneme_type": "pinyin"}),
        ("tlh-worf-low", "tlh", {}),
        ("en_US-mute-low", "en_US", {"phoneme_type": "espeak", "espeak": {}}),
        ("en_US-rate-low", "en_US", {"audio": {"sample_rate": 3}}),
        ("en_US-map-low", "en_US", {"phoneme_id_map": {"_": [0]}}),
        ("en_US-ids-low", "en_US", {"phoneme_id_map": {"_": ["x"], "^": [1], "$": [2]}}),
    ):
        path = tmp_path / f"{name}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not looked at yet")
        write_config(path, language=language, **more)  # type: ignore[arg-type]
    (tmp_path / "en_US-alone-low.onnx").write_bytes(b"")
    (tmp_path / "en_US-junk-low.onnx").write_bytes(b"")
    (tmp_path / "en_US-junk-low.onnx.json").write_bytes(b"{")
    assert has_voices(tmp_path)
    found, complaints = find_voices(tmp_path)
    assert [(voice.name, voice.language, voice.gender) for voice in found] == [
        ("es_MX-ald-low", "es", ""),
        ("female/en_GB-alba-low", "en-GB", "female"),
        ("male/old/zh_CN-huayan-low", "zh-CN", "male"),
        ("th_TH-text-low", "th", ""),
    ]
    assert len(complaints) == 9
    told = "\n".join(complaints)
    for sentence in (
        "ja_JP-bad-low: its phonemes are espeak-ng's, which reads Japanese wrong",
        "zh_CN-pinyin-low: its phonemes are of the type 'pinyin', which needs Piper",
        "tlh-worf-low: its language 'tlh' is none of ours",
        "en_US-mute-low: it does not say whose phonemes",
        "en_US-rate-low: an absurd sample rate",
        "en_US-map-low: its phoneme_id_map has no '^'",
    ):
        assert sentence in told


def test_a_changed_voice_has_another_version(tmp_path: Path) -> None:
    """Configuration and network each count, and nothing else does."""
    path = write_voice(tmp_path, "en_GB-a-low")

    def version() -> str:
        return find_voices(tmp_path)[0][0].version

    first = version()
    assert version() == first
    write_config(path, language="en_GB", inference={"length_scale": 1.2})
    second = version()
    os.utime(path, ns=(1, 1))
    assert len({first, second, version()}) == 3


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Voices without what runs them are no voices, and the log says what to install."""
    write_voice(tmp_path, "en_GB-a-low")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    found, (complaint,) = find_voices(tmp_path)
    assert found == []
    assert "pip install 'voiceblocks[piper]'" in complaint


def test_a_voice_speaks_its_characters(tmp_path: Path) -> None:
    """As many samples as ids, at the voice's length scale, with a pause between sentences."""
    write_voice(tmp_path, "en_GB-a-low", frequency_hz=700, inference={"length_scale": 1.5})
    engine = PiperEngine(tmp_path, None)
    samples, rate_hz = engine.synthesize("abc. Ab!", "en_GB-a-low")
    # "^ a b c . $" and "^ b ! $" with padding: the capital is no symbol of this voice.
    ids = (2 + 2 * 4 + 1) + (2 + 2 * 2 + 1)
    pause = int(piper.SENTENCE_PAUSE_S * RATE_HZ)
    assert rate_hz == RATE_HZ
    assert samples.dtype == np.int16
    assert len(samples) == ids * PHONEME_SAMPLES * 1.5 + pause
    assert goertzel_level_dbfs(samples[:8000], 700, sample_rate_hz=RATE_HZ) > -10
    assert np.abs(samples).max() == pytest.approx(16384, abs=10)


def test_phonemes_come_from_espeak(tmp_path: Path, espeak: EspeakEngine) -> None:
    """A voice with espeak-ng's phonemes says more for more, and stops where a sentence does."""
    write_voice(tmp_path, "v", language="en", phoneme_type="espeak", symbols=IPA_SYMBOLS)
    engine = PiperEngine(tmp_path, espeak)
    assert engine.version == espeak.version
    (one, _), (two, _) = engine.synthesize("one", "v"), engine.synthesize("one. One", "v")
    # The word is four phonemes and a full stop one.
    assert len(one) == (2 + 2 * 4 + 1) * PHONEME_SAMPLES
    pause = int(piper.SENTENCE_PAUSE_S * RATE_HZ)
    assert len(two) == 2 * len(one) + 2 * PHONEME_SAMPLES + pause


def test_a_voice_of_many_speaks_as_its_default(tmp_path: Path) -> None:
    """The speaker's number reaches the network."""
    write_voice(tmp_path, "many", frequency_hz=500, speakers=2, default_speaker_id=1)
    samples, _rate = PiperEngine(tmp_path, None).synthesize("abcdefgh", "many")
    assert goertzel_level_dbfs(samples[:8000], 1000, sample_rate_hz=RATE_HZ) > -10
    assert goertzel_level_dbfs(samples[:8000], 500, sample_rate_hz=RATE_HZ) < -40


@pytest.mark.parametrize("text", ["", " ", "...", "日本", "?! .", "12"])
def test_text_without_phonemes(tmp_path: Path, text: str) -> None:
    """What the voice has no sound for is NoSound, without asking the network."""
    write_voice(tmp_path, "v")
    with pytest.raises(NoSound):
        PiperEngine(tmp_path, None).synthesize(text, "v")


def test_voices_that_fail(tmp_path: Path) -> None:
    """No network, another network, and no espeak-ng are a SynthesisError that says so."""
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    write_config(tmp_path / "broken.onnx", language="en")
    write_voice(tmp_path, "one", speakers=1)
    # Its configuration asks for an input that the network does not have.
    write_config(tmp_path / "one.onnx", language="en", speakers=2)
    write_voice(tmp_path, "ipa", phoneme_type="espeak")
    write_voice(tmp_path, "nan", frequency_hz=float("nan"))
    engine = PiperEngine(tmp_path, None)
    assert len(engine.voices) == 4
    for voice, reason in (
        ("broken", "cannot be loaded"),
        ("one", "failed at this text"),
        ("ipa", "needs espeak-ng"),
        ("nan", "not numbers"),
    ):
        with pytest.raises(SynthesisError, match=reason):
            engine.synthesize("abc", voice)


def test_voices_in_memory_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was unused longest goes, and comes back when it is asked for."""
    monkeypatch.setattr(piper, "LOADED_MAX", 2)
    for name in "abc":
        write_voice(tmp_path, name)
    engine = PiperEngine(tmp_path, None)
    for name in "abacab":
        engine.synthesize("abc", name)
        assert len(engine._loaded) <= 2
    assert list(engine._loaded) == ["a", "b"]


def test_one_thread_and_no_import_before_it_speaks(tmp_path: Path) -> None:
    """The network runs in the thread that asks; looking at a folder loads no onnxruntime."""
    write_voice(tmp_path, "v")
    code = (
        "import sys, os, pathlib\n"
        "from voiceblocks.adapters.piper import PiperEngine\n"
        f"engine = PiperEngine(pathlib.Path({str(tmp_path)!r}), None)\n"
        "assert len(engine.voices) == 1\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "import onnxruntime\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "engine.synthesize('a' * 400, 'v')\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True
    )
    assert int(done.stdout) == 0


@pytest.mark.parametrize(
    ("clauses", "sentences"),
    [
        ([("həlˈəʊ", "Hello, "), ("wˈɜːld", "world! "), ("bˈaɪ", "Bye")],
         ["həlˈəʊ, wˈɜːld!", "bˈaɪ"]),
        ([("mˈɪstə", "Mr. "), ("smˈɪθ", "Smith.")], ["mˈɪstə smˈɪθ."]),
        ([("ni2χˈɑu2", "你好，"), ("a", "再见。"), ("b", "好？")], ["ni2χˈɑu2a", "b"]),
        ([("(en)tˈest(de)ˈabc", "Test abc; ")], ["tˈestˈabc;"]),
        ([("nə", "नमस्ते। "), ("x", "और")], ["nə", "x"]),
        ([("", "...")], ["."]),
        ([], []),
    ],
)  # fmt: skip
def test_clauses_become_sentences(clauses: list[tuple[str, str]], sentences: list[str]) -> None:
    """Punctuation is what voices were taught, in each script; titles end no sentence."""
    assert list(join_clauses(clauses)) == sentences


def test_ids() -> None:
    """Begin, padding between all, end; accents are phonemes of their own."""
    known = config("ab\u0303")
    assert phoneme_ids("ab", known) == [1, 0, 3, 0, 4, 0, 2]
    assert phoneme_ids("a\u0303x", known) == phoneme_ids("ã", known) == [1, 0, 3, 0, 5, 0, 2]
    assert phoneme_ids("xyz", known) == []


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=6))
def test_any_clauses_have_ids(clauses: list[tuple[str, str]]) -> None:
    """Whatever espeak-ng says, ids are ids of the voice."""
    known = config(IPA_SYMBOLS)
    allowed = {number for numbers in known.phoneme_id_map.values() for number in numbers}
    for sentence in join_clauses(clauses):
        assert set(phoneme_ids(sentence, known)) <= allowed
