"""Small voices of Piper's format: real networks that say each phoneme as a tone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PHONEME_SAMPLES = 800
"Of each id, at a length scale of 1."
RATE_HZ = 16_000
TEXT_SYMBOLS = " abcdefghijklmnopqrstuvwxyz.,?!"
IPA_SYMBOLS = " abcdefhijklmnopqrstuvwxzæɑɐɒɔəɛɜɪɡŋɹɾʃʊʌʒˈˌːθð.,?!:;"


def write_voice(
    folder: Path,
    name: str,
    *,
    language: str = "en_GB",
    frequency_hz: float = 600.0,
    phoneme_type: str = "text",
    speakers: int = 1,
    symbols: str = TEXT_SYMBOLS,
    **config: Any,
) -> Path:
    """
    Write `NAME.onnx` and `NAME.onnx.json`.

    The network has Piper's inputs and output. It gives `PHONEME_SAMPLES` samples of its tone
    times the length scale for each id it gets; speaker 1 of several is an octave higher.
    """
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    tone = onnx.TensorProto

    def constant(label: str, value: Any, kind: type) -> Any:
        return numpy_helper.from_array(np.array(value, kind), label)

    node = helper.make_node
    nodes = [
        node("ReduceMax", ["input_lengths"], ["ids"], keepdims=0),
        node("Cast", ["ids"], ["ids_f"], to=tone.FLOAT),
        node("Gather", ["scales", "one"], ["length_scale"]),
        node("Mul", ["ids_f", "per_id"], ["plain"]),
        node("Mul", ["plain", "length_scale"], ["count_f"]),
        node("Cast", ["count_f"], ["count"], to=tone.INT64),
        node("Range", ["zero", "count", "step"], ["index"]),
        node("Cast", ["index"], ["index_f"], to=tone.FLOAT),
        node("Mul", ["index_f", "angle"], ["phase"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", tone.INT64, ["batch", "phonemes"]),
        helper.make_tensor_value_info("input_lengths", tone.INT64, ["batch"]),
        helper.make_tensor_value_info("scales", tone.FLOAT, [3]),
    ]
    sung = "phase"
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", tone.INT64, [1]))
        nodes += [
            node("Cast", ["sid"], ["sid_f"], to=tone.FLOAT),
            node("Add", ["sid_f", "one_f"], ["octave"]),
            node("Mul", ["phase", "octave"], ["high_phase"]),
        ]
        sung = "high_phase"
    nodes += [
        node("Sin", [sung], ["wave"]),
        node("Mul", ["wave", "half"], ["quieter"]),
        node("Reshape", ["quieter", "shape"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "voice",
        inputs,
        [helper.make_tensor_value_info("output", tone.FLOAT, ["batch", 1, "time"])],
        [
            constant("one", 1, np.int64),
            constant("zero", 0, np.int64),
            constant("step", 1, np.int64),
            constant("per_id", PHONEME_SAMPLES, np.float32),
            constant("angle", 2 * np.pi * frequency_hz / RATE_HZ, np.float32),
            constant("one_f", 1, np.float32),
            constant("half", 0.5, np.float32),
            constant("shape", [1, 1, -1], np.int64),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    path = folder / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    write_config(
        path, language=language, phoneme_type=phoneme_type, speakers=speakers, symbols=symbols,
        **config,
    )  # fmt: skip
    return path


def write_config(
    network: Path,
    *,
    language: str,
    phoneme_type: str = "text",
    speakers: int = 1,
    symbols: str = TEXT_SYMBOLS,
    **config: Any,
) -> None:
    """Write what stands beside a network; `config` replaces or adds fields."""
    ids = {symbol: [number] for number, symbol in enumerate("_^$" + symbols)}
    described = {
        "audio": {"sample_rate": RATE_HZ, "quality": "small"},
        "espeak": {"voice": "en-us"},
        "language": {"code": language},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": phoneme_type,
        "phoneme_id_map": ids,
        "num_symbols": len(ids),
        "num_speakers": speakers,
        "piper_version": "1.0.0",
        **config,
    }
    network.with_name(f"{network.name}.json").write_text(json.dumps(described), encoding="utf-8")
