"""`voiceblocks unseal`: a sealed recording becomes a WAV, wherever the private key is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from voiceblocks.adapters.wav_writer import WavWriter
from voiceblocks.audio.codecs import codec_named
from voiceblocks.cli.output import Json, fail, tell
from voiceblocks.errors import EncodeError, StoreError
from voiceblocks.recordings.sealed import Unsealed
from voiceblocks.recordings.sealed import unseal as open_seal
from voiceblocks.recordings.sealing_keys import read_private_key

_AT_ONCE = 1 << 20


def unseal(
    file: Annotated[Path, typer.Argument(help="As it was downloaded: rec-….sealed.")],
    key: Annotated[Path, typer.Option(help="The private key: PEM without password, or hex.")],
    out: Annotated[
        Path | None, typer.Option(help="The WAV; FILE with .wav at its end if omitted.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Decrypt a sealed recording to a WAV. Needs no server and no data folder."""
    target = file.with_suffix(".wav") if out is None else out
    try:
        opened = open_seal(file.read_bytes(), read_private_key(key.read_bytes()))
        _write_wav(opened, target)
    except (EncodeError, OSError, StoreError, ValueError) as error:
        fail(as_json, error)
    facts = {
        "file": str(target),
        "ms": len(opened.audio) // 8,
        "complete": opened.has_end and not opened.lost_boxes,
        "has_end": opened.has_end,
        "lost_boxes": opened.lost_boxes,
    }
    said = f"{target} holds {len(opened.audio) / 8000:.1f} s"
    if not opened.has_end:
        said += (
            ". It does not say where it ends: either the server died while it recorded, or "
            "somebody cut its end off"
        )
    if opened.lost_boxes:
        said += f". {opened.lost_boxes} pieces of at most 100 ms are missing, and silent"
    tell(as_json, facts, said)


def _write_wav(opened: Unsealed, target: Path) -> None:
    writer = WavWriter(target)
    codec = codec_named(opened.header.law)
    # A WAV of nothing is none: as without a seal, it then holds one silent sample.
    audio = opened.audio if len(opened.audio) else np.array([codec.silence_byte], np.uint8)
    for start in range(0, len(audio), _AT_ONCE):
        writer.write(codec.decode(audio[start : start + _AT_ONCE]))
    writer.finish()
