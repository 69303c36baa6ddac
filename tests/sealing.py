"""What tests of sealed recordings share: a pair of keys, and a search for plain audio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from numpy.typing import NDArray

from tests.harness import Application, ServerProcess
from voiceblocks.audio.codecs import codec_named
from voiceblocks.audio.g711 import ulaw_decode, ulaw_encode
from voiceblocks.recordings.sealed import Unsealed, unseal
from voiceblocks.server.folders import make_folders
from voiceblocks.settings import Settings

PRIVATE = X25519PrivateKey.generate()
PRIVATE_HEX = PRIVATE.private_bytes_raw().hex()
_PIECE = 40
"Samples: 5 ms of noise are nowhere by chance."


async def seal(app: Application, folder: Path) -> None:
    """Have an application's recordings sealed, as an operator does."""
    path = folder / "public.pem"
    public = PRIVATE.public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    told = await app.server.cli("app", "set", app.app_id, seal_with=str(path))
    assert told["seal_with"] == public.public_bytes_raw().hex()


def opened(data: bytes) -> Unsealed:
    """What is in a sealed recording."""
    return unseal(data, PRIVATE.private_bytes_raw())


def samples_in(data: bytes) -> NDArray[np.int16]:
    """The samples of a sealed recording."""
    told = opened(data)
    return codec_named(told.header.law).decode(told.audio)


def noise(seed: int, duration_ms: int) -> NDArray[np.int16]:
    """Noise that is found again by any piece of it."""
    random = np.random.default_rng(seed)
    return random.integers(-8000, 8000, duration_ms * 8).astype(np.int16)


def places_with(server: ServerProcess, samples: NDArray[np.int16]) -> list[str]:
    """Which files of a server, on disk and in its rings, hold a piece of this audio in plain."""
    wanted = set(_pieces(samples))
    found = []
    for path in _files(server):
        content = path.read_bytes()
        if any(piece in content for piece in wanted):
            found.append(path.name)
    return found


def _pieces(samples: NDArray[np.int16]) -> Iterator[bytes]:
    codes = ulaw_encode(samples)
    pcm = ulaw_decode(codes)
    # A step that no packet or block length divides, so that a border never hides all of them.
    for start in range(0, len(samples) - _PIECE, 1597):
        yield codes[start : start + _PIECE].tobytes()
        yield pcm[start : start + _PIECE].tobytes()


def _files(server: ServerProcess) -> Iterator[Path]:
    folders = make_folders(Settings(data_dir=server.data_dir, media_workers=1))
    for root in {server.data_dir, folders.rings, *folders.earlier_rings}:
        for path in root.rglob("*"):
            if path.is_file():
                yield path
