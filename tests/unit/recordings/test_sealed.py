"""Sealed recordings: what goes in comes out for the right key alone, and every bit counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.audio.codecs import codec_named
from voiceblocks.recordings import sealed
from voiceblocks.recordings.errors import SealedRecordingDamaged
from voiceblocks.recordings.sealed import BoxKind, unseal
from voiceblocks.recordings.sealing_keys import read_private_key, read_public_key

EXAMPLE = Path(__file__).parents[3] / "examples" / "unseal.py"
PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PRIVATE_BYTES = PRIVATE.private_bytes_raw()
PUBLIC_BYTES = PRIVATE.public_key().public_bytes_raw()

Piece = tuple[int, bytes]


def sealed_file(pieces: list[Piece], end: int | None, law: str = "PCMU") -> bytes:
    """A file of these pieces, in this order."""
    header, key = sealed.begin(PUBLIC_BYTES, law, 1_700_000_000_000_000)
    boxes = [header, sealed.seal(key, 0, BoxKind.BEGIN, 0)]
    for index, (position, payload) in enumerate(pieces, 1):
        boxes.append(sealed.seal(key, index, BoxKind.AUDIO, position, payload))
    if end is not None:
        boxes.append(sealed.seal(key, len(pieces) + 1, BoxKind.END, end))
    return b"".join(boxes)


def plainly(pieces: list[Piece], end: int, law: str) -> bytes:
    """What a recording without a seal holds: the newest over the older, silence between."""
    audio = bytearray([codec_named(law).silence_byte]) * end
    for position, payload in pieces:
        for at, value in enumerate(payload, position):
            if at < end:
                audio[at] = value
    return bytes(audio)


PIECES = st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=800)), max_size=12)


@given(PIECES, st.integers(0, 6000), st.sampled_from(["PCMU", "PCMA"]))
def test_what_goes_in_comes_out(pieces: list[Piece], end: int, law: str) -> None:
    """Any order, gaps and overlaps give what a plain recording would hold, to its exact end."""
    opened = unseal(sealed_file(pieces, end, law), PRIVATE_BYTES)
    assert opened.audio.tobytes() == plainly(pieces, end, law)
    assert (opened.has_end, opened.lost_boxes) == (True, 0)


@given(PIECES)
def test_without_an_end_all_is_there(pieces: list[Piece]) -> None:
    """A file whose writer died is read to its last box, and says that it has no end."""
    opened = unseal(sealed_file(pieces, None), PRIVATE_BYTES)
    end = max((position + len(payload) for position, payload in pieces), default=0)
    assert opened.audio.tobytes() == plainly(pieces, end, "PCMU")
    assert not opened.has_end


def test_each_flipped_bit_is_found() -> None:
    """Whatever bit of header, head, payload or tag is turned over, the file is refused."""
    data = sealed_file([(0, b"hello"), (5, b"world!")], 11)
    for position in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(SealedRecordingDamaged):
            unseal(bytes(damaged), PRIVATE_BYTES)


def test_each_cut_is_found() -> None:
    """A file that is cut anywhere is refused, or says that it has no end."""
    data = sealed_file([(0, b"hello"), (5, b"world!")], 11)
    for length in range(len(data)):
        try:
            opened = unseal(data[:length], PRIVATE_BYTES)
        except SealedRecordingDamaged:
            continue
        assert not opened.has_end


def test_boxes_that_are_taken_out_or_exchanged_are_found() -> None:
    """A missing box is counted; one that is moved or repeated is refused."""
    data = sealed_file([(0, b"a" * 20), (20, b"b" * 20), (40, b"c" * 20)], 60)
    found = list(sealed.heads(memoryview(data)))
    boxes = [data[offset : offset + head.n_bytes] for offset, head in found]
    header = data[: sealed.HEADER_BYTES]
    begin, first, second, third, end = boxes
    opened = unseal(b"".join([header, begin, first, third, end]), PRIVATE_BYTES)
    assert opened.lost_boxes == 1
    assert opened.audio.tobytes() == b"a" * 20 + b"\xff" * 20 + b"c" * 20
    for wrong in ([begin, second, first, third, end], [begin, first, first, end], [*boxes, third]):
        with pytest.raises(SealedRecordingDamaged):
            unseal(b"".join([header, *wrong]), PRIVATE_BYTES)


@given(st.binary(max_size=300))
def test_nonsense_is_refused(data: bytes) -> None:
    """Any bytes are refused with the one error, also behind a good header."""
    good = sealed_file([], None)
    for made in (data, good[: sealed.HEADER_BYTES] + data, good + data[:-1] + b"\3"):
        with pytest.raises(SealedRecordingDamaged):
            unseal(made, PRIVATE_BYTES)


def test_another_key_opens_nothing() -> None:
    """Only the key that it was sealed for opens it."""
    other = X25519PrivateKey.generate().private_bytes_raw()
    with pytest.raises(SealedRecordingDamaged, match="another key"):
        unseal(sealed_file([(0, b"hello")], 5), other)


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
@pytest.mark.parametrize("end", [11, 8, None])
def test_pynacl_opens_it(law: str, end: int | None, tmp_path: Path) -> None:
    """The example needs nothing but PyNaCl, and its WAV holds the very same samples."""
    file = tmp_path / "rec.sealed"
    file.write_bytes(sealed_file([(5, b"world!"), (0, b"hello"), (0, b"j")], end, law))
    done = subprocess.run(
        [sys.executable, EXAMPLE, file, PRIVATE_BYTES.hex()], capture_output=True, check=True
    )
    wav = tmp_path / "rec.wav"
    wav.write_bytes(done.stdout)
    samples, rate = soundfile.read(wav, dtype="int16")
    expected = unseal(file.read_bytes(), PRIVATE_BYTES).audio
    assert rate == 8000
    assert np.array_equal(samples, codec_named(law).decode(expected))
    assert (b"server died" in done.stderr) is (end is None)


def test_keys_in_files() -> None:
    """OpenSSL's PEM, hex and raw bytes are read; all else is refused with what to do."""
    public, private = PRIVATE.public_key(), PRIVATE
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    own = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (pem, PUBLIC_BYTES, PUBLIC_BYTES.hex().encode() + b"\n"):
        assert read_public_key(content) == PUBLIC_BYTES
    for content in (own, PRIVATE_BYTES, PRIVATE_BYTES.hex().encode() + b"\n"):
        assert read_private_key(content) == PRIVATE_BYTES
    with pytest.raises(ValueError, match="never comes to the server"):
        read_public_key(own)
    ed25519 = Ed25519PrivateKey.generate().public_key()
    wrong = ed25519.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    # With a point of low order the secret is all zeros: everybody could read it.
    for content in (wrong, b"", b"\0" * 32, b"-----BEGIN nonsense", b"zz" * 32, b"ab" * 31):
        with pytest.raises(ValueError, match="openssl genpkey"):
            read_public_key(content)
    for content in (pem, b"", b"zz" * 32):
        with pytest.raises(ValueError, match="no private X25519 key"):
            read_private_key(content)
