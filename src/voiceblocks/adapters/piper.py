"""Voices of Piper's format, run here: a folder of `NAME.onnx` with `NAME.onnx.json`.

A voice is a network (VITS, as ONNX) from phoneme numbers to samples. Phonemes come from
espeak-ng in its own process, or are the text's own characters, as the voice's
configuration says; Piper's own code, which is GPL, is not needed. The network runs in
one thread: Piper's default, a thread for each core, would fight the media workers.

Everything here belongs to the `piper` child of the render pool, except for the looking
at the folder. Installed with the extra `piper`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from voiceblocks.adapters.espeak import Clause, EspeakEngine, Samples
from voiceblocks.adapters.render.messages import FoundVoice
from voiceblocks.errors import NoSound, SynthesisError
from voiceblocks.speech.languages import GENDERS, Grade, Language, find_language_of_voice

LOADED_MAX = 6
"Voices in memory at a time: one of middling quality takes about 100 MB."
SENTENCE_PAUSE_S = 0.2
FORMAT_VERSION = "1"
"Part of the cache keys: change it when the same network would sound different here."

_BEGIN, _END, _PAD = "^", "$", "_"
_LANGUAGE_SWITCH = re.compile(r"\([^)]*\)")
# What Piper's voices were taught: common marks are phonemes, those of other scripts only end
# what they end, without a sound of their own.
_PUNCTUATION = frozenset(".,?!:;")
_ENDS = ".?!。।॥\uff1f\uff01"
_SENTENCE = re.compile(f"[^{_ENDS}]*[{_ENDS}]+|[^{_ENDS}]+")
_ABBREVIATIONS = frozenset({"mr", "mrs", "ms", "dr", "st", "prof"})
_MAX_RATE_HZ = 192_000


class _Audio(msgspec.Struct, frozen=True):
    sample_rate: int


class _Espeak(msgspec.Struct, frozen=True):
    voice: str = ""


class _LanguageCode(msgspec.Struct, frozen=True):
    code: str = ""


class _Inference(msgspec.Struct, frozen=True):
    noise_scale: float = 0.667
    length_scale: float = 1.0
    noise_w: float = 0.8


class VoiceConfig(msgspec.Struct, frozen=True):
    """What we need of a `.onnx.json`."""

    audio: _Audio
    phoneme_id_map: dict[str, list[int]]
    espeak: _Espeak = _Espeak()
    language: _LanguageCode = _LanguageCode()
    inference: _Inference = _Inference()
    phoneme_type: str = "espeak"
    num_speakers: int = 1
    default_speaker_id: int = 0

    def __post_init__(self) -> None:
        """Refuse what would fail at each text."""
        if not 1000 <= self.audio.sample_rate <= _MAX_RATE_HZ:
            raise ValueError("an absurd sample rate")
        for symbol in (_BEGIN, _END, _PAD):
            if symbol not in self.phoneme_id_map:
                raise ValueError(f"its phoneme_id_map has no {symbol!r}")


def has_voices(folder: Path) -> bool:
    """Whether somebody put voices into the folder."""
    return next(folder.rglob("*.onnx"), None) is not None


def find_voices(folder: Path) -> tuple[list[FoundVoice], list[str]]:
    """
    Look through the folder and its subfolders.

    A voice below a folder named `female` or `male` is of that gender.

    Returns:
        The voices in the order of their names, and a sentence for each that cannot be used.
    """
    found: list[FoundVoice] = []
    complaints: list[str] = []
    if importlib.util.find_spec("onnxruntime") is None:
        return [], ["Piper's voices need onnxruntime: pip install 'voiceblocks[piper]'"]
    for network in sorted(folder.rglob("*.onnx")):
        name = network.relative_to(folder).with_suffix("").as_posix()
        try:
            found.append(_describe(network, name))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            complaints.append(f"voice {name}: {error}")
    return found, complaints


def _describe(network: Path, name: str) -> FoundVoice:
    raw, config = _read_config(network)
    # Older voices say their language only in their name: en_US-amy-medium.
    code = config.language.code or network.name.partition("-")[0]
    language = find_language_of_voice(code)
    if language is None:
        raise ValueError(f"its language {code!r} is none of ours")
    _check_phonemes(config, language)
    stat = network.stat()
    digest = hashlib.sha256(raw)
    # Not its content: a folder of voices is a gigabyte, and the node is waiting.
    digest.update(f"{FORMAT_VERSION} {stat.st_size} {stat.st_mtime_ns}".encode())
    genders = [part for part in name.split("/")[:-1] if part in GENDERS]
    gender: Any = genders[-1] if genders else ""
    return FoundVoice(name, language.code, gender, digest.hexdigest()[:32])


def _read_config(network: Path) -> tuple[bytes, VoiceConfig]:
    raw = network.with_name(f"{network.name}.json").read_bytes()
    return raw, msgspec.json.decode(raw, type=VoiceConfig)


def _check_phonemes(config: VoiceConfig, language: Language) -> None:
    if config.phoneme_type not in {"espeak", "text"}:
        raise ValueError(f"its phonemes are of the type {config.phoneme_type!r}, which needs Piper")
    if config.phoneme_type == "espeak":
        if language.espeak is Grade.NOT and language.espeak_voice:
            raise ValueError(f"its phonemes are espeak-ng's, which reads {language.name} wrong")
        if not config.espeak.voice:
            raise ValueError("it does not say whose phonemes it takes (espeak.voice)")


class PiperEngine:
    """
    Speaks with the voices of a folder. Not thread-safe.

    Args:
        folder: Of the voices.
        espeak: For phonemes; `None` where it is not installed. Ours to close.
    """

    def __init__(self, folder: Path, espeak: EspeakEngine | None) -> None:
        self._folder = folder
        self._espeak = espeak
        self._loaded: OrderedDict[str, _Voice] = OrderedDict()
        self.voices, self.complaints = find_voices(folder)
        self.version = espeak.version if espeak else "without espeak-ng"
        "Of what makes the phonemes; each voice has its own besides."

    def synthesize(self, text: str, voice: str) -> tuple[Samples, int]:
        """
        Speak `text` with a voice of the folder.

        Returns:
            `int16` `(n_samples,)`, and its sample rate in Hz.

        Raises:
            NoSound: If the voice has no phoneme for anything in it.
            SynthesisError: If the voice cannot be loaded or run.
        """
        loaded = self._load(voice)
        rate_hz = loaded.config.audio.sample_rate
        pause = np.zeros(int(SENTENCE_PAUSE_S * rate_hz), np.float32)
        pieces: list[npt.NDArray[np.float32]] = []
        for phonemes in self._sentences(text, loaded.config):
            ids = phoneme_ids(phonemes, loaded.config)
            if ids:
                pieces += [loaded.run(ids), pause]
        if not pieces:
            raise NoSound("the text has no phonemes")
        spoken = np.clip(np.concatenate(pieces[:-1]), -1, 1)
        return (spoken * 32767).astype(np.int16), rate_hz

    def close(self) -> None:
        """End espeak-ng's process."""
        if self._espeak is not None:
            self._espeak.close()

    def _load(self, name: str) -> _Voice:
        found = self._loaded.get(name)
        if found is None:
            found = _Voice(self._folder / f"{name}.onnx")
            self._loaded[name] = found
        self._loaded.move_to_end(name)
        while len(self._loaded) > LOADED_MAX:
            self._loaded.popitem(last=False)
        return found

    def _sentences(self, text: str, config: VoiceConfig) -> Iterator[str]:
        if config.phoneme_type == "text":
            yield from (match[0].strip() for match in _SENTENCE.finditer(text))
        elif self._espeak is None:
            raise SynthesisError(
                "this voice needs espeak-ng: pip install 'voiceblocks[speech]', or Debian's"
            )
        else:
            yield from join_clauses(self._espeak.phonemize(text, config.espeak.voice))


class _Voice:
    """A network in memory."""

    def __init__(self, path: Path) -> None:
        # Here, and not at the top: it takes a third of a second and 40 MB.
        import onnxruntime

        # Microsoft's builds may have some; Linux's have none today.
        onnxruntime.disable_telemetry_events()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            _raw, self.config = _read_config(path)
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has no common base of its exceptions
            raise SynthesisError(f"the voice {path.name} cannot be loaded") from error

    def run(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """
        Speak one sentence.

        Returns:
            Samples, 1.0 being full scale.

        Raises:
            SynthesisError: If the network fails at it.
        """
        scales = self.config.inference
        inputs = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(
                [scales.noise_scale, scales.length_scale, scales.noise_w], np.float32
            ),
        }
        if self.config.num_speakers > 1:
            inputs["sid"] = np.array([self.config.default_speaker_id], np.int64)
        try:
            output = np.asarray(self._session.run(None, inputs)[0], np.float32).reshape(-1)
        except Exception as error:  # onnxruntime has no common base of its exceptions
            raise SynthesisError("the voice failed at this text") from error
        if not np.all(np.isfinite(output)):
            raise SynthesisError("the voice's samples are not numbers")
        return output


def join_clauses(clauses: Sequence[Clause]) -> Iterator[str]:
    """Phonemes of one sentence at a time, with the punctuation that voices were taught."""
    sentence = ""
    before = ""
    for ipa, piece in clauses:
        words = (before + piece).split()
        mark = piece.rstrip()[-1:]
        if words and words[-1].endswith(".") and words[-1][:-1].lower() in _ABBREVIATIONS:
            mark = ""
        sentence += _LANGUAGE_SWITCH.sub("", ipa) + (mark if mark in _PUNCTUATION else "")
        before = piece
        if mark and mark in _ENDS:
            yield sentence
            sentence = ""
        elif mark in _PUNCTUATION or not mark:
            sentence += " "
    if sentence.strip():
        yield sentence.strip()


def phoneme_ids(phonemes: str, config: VoiceConfig) -> list[int]:
    """
    The numbers that a voice takes: each phoneme's, with padding between; unknown ones left out.

    Returns:
        Empty if there is nothing but punctuation.
    """
    ids_of = config.phoneme_id_map
    # A letter and its accents are phonemes of their own.
    known = [each for each in unicodedata.normalize("NFD", phonemes) if each in ids_of]
    if not any(unicodedata.category(each)[0] in "LMN" for each in known):
        return []
    ids = [*ids_of[_BEGIN], *ids_of[_PAD]]
    for each in known:
        ids += [*ids_of[each], *ids_of[_PAD]]
    return [*ids, *ids_of[_END]]
