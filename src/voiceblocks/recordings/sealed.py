"""Sealed recordings: a file format that only who holds the private key can hear (decision 51).

Little-endian. A header of `HEADER_BYTES`, then boxes, each sealed the moment its audio came:

```
header  8s magic "VBSEALED" | u16 version 1 | u8 law (0 PCMU, 1 PCMA) | u8 channels 1
        u32 0 | i64 time zero, UTC microseconds | i64 0
        32s recipient's X25519 public key | 32s ephemeral X25519 public key
box     u8 kind | u8 0 | u16 size | u32 index | u64 position        (the head, in clear)
        size + 16 bytes: ChaCha20-Poly1305 (RFC 8439) of the payload, and its tag
key     HKDF-SHA256(X25519(ephemeral, recipient), salt = the whole header, info = KEY_INFO)
nonce   the index as 12 bytes; additional data: the head
```

Kind 0 begins (index 0, no payload), 1 is at most 100 ms of G.711 at a sample position since time
zero, 2 ends: its position is the exact length, and what lies behind that is no part of the
recording. Indexes rise; one that is left out is a box that was lost. A box later in the file lies
over an earlier one. What no box covers is silence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voiceblocks.audio.g711 import SILENCE
from voiceblocks.recordings.errors import SealedRecordingDamaged

HEADER_BYTES = 96
HEAD_BYTES = 16
TAG_BYTES = 16
KEY_BYTES = 32
MAX_BOX_SAMPLES = 800
"100 ms at 8 kHz."
MAX_BOX_BYTES = HEAD_BYTES + MAX_BOX_SAMPLES + TAG_BYTES
KEY_INFO = b"voiceblocks sealed recording 1"

_MAGIC = b"VBSEALED"
_VERSION = 1
_HEADER = struct.Struct("<8sHBBIqq32s32s")
_HEAD = struct.Struct("<BBHIQ")
_LAWS = ("PCMU", "PCMA")
_MAX_SAMPLES = 8000 * 86_400 * 40
"More than any recording has; a position beyond it is damage, not a reason to take gigabytes."


class BoxKind(IntEnum):
    """What a box is."""

    BEGIN = 0
    AUDIO = 1
    END = 2


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """The clear part that a file begins with."""

    law: str
    '`"PCMU"` or `"PCMA"`.'
    zero_us: int
    "Time zero, UTC microseconds."
    recipient: bytes
    "Public key of who can hear it."
    ephemeral: bytes

    @classmethod
    def parse(cls, data: bytes) -> SealedHeader:
        """
        Read the first `HEADER_BYTES` of a file.

        Raises:
            SealedRecordingDamaged: When this is no sealed recording of version 1.
        """
        if len(data) < HEADER_BYTES or data[:8] != _MAGIC:
            raise SealedRecordingDamaged("This is no sealed recording.")
        _magic, version, law, channels, zero, zero_us, zero_too, recipient, ephemeral = (
            _HEADER.unpack_from(data)
        )
        if version != _VERSION:
            raise SealedRecordingDamaged(f"This sealed recording has version {version}, not 1.")
        if law >= len(_LAWS) or channels != 1 or zero or zero_too:
            raise SealedRecordingDamaged("The header of this sealed recording is damaged.")
        return cls(_LAWS[law], zero_us, recipient, ephemeral)

    def serialize(self) -> bytes:
        """Return `HEADER_BYTES` bytes."""
        law = _LAWS.index(self.law)
        return _HEADER.pack(
            _MAGIC, _VERSION, law, 1, 0, self.zero_us, 0, self.recipient, self.ephemeral
        )


@dataclass(frozen=True, slots=True)
class BoxHead:
    """The clear part of a box; it is authenticated with the rest."""

    kind: int
    size: int
    "Bytes of payload: samples."
    index: int
    position: int
    "Of the first sample; of an end box: the length of the recording."

    @classmethod
    def parse(cls, data: bytes | memoryview, offset: int = 0) -> BoxHead:
        """
        Read a head.

        Raises:
            SealedRecordingDamaged: When it is none.
        """
        kind, zero, size, index, position = _HEAD.unpack_from(data, offset)
        is_audio = kind == BoxKind.AUDIO
        good = kind <= BoxKind.END and not zero and (0 < size <= MAX_BOX_SAMPLES) is is_audio
        if not good or position > _MAX_SAMPLES or (not is_audio and size):
            raise SealedRecordingDamaged(f"A box at byte {offset} of the recording is damaged.")
        return cls(kind, size, index, position)

    def serialize(self) -> bytes:
        """Return `HEAD_BYTES` bytes."""
        return _HEAD.pack(self.kind, 0, self.size, self.index, self.position)

    @property
    def n_bytes(self) -> int:
        """Of the whole box."""
        return HEAD_BYTES + self.size + TAG_BYTES


def begin(recipient: bytes, law: str, zero_us: int) -> tuple[bytes, bytes]:
    """
    Begin a recording: return its header and the key of its boxes.

    The ephemeral private key is forgotten here, so who forgets the key too cannot read it again.

    Args:
        recipient: Public key, `KEY_BYTES` bytes, one that `check_public_key` took.
        law: `"PCMU"` or `"PCMA"`.
        zero_us: Time zero, UTC microseconds.
    """
    private = X25519PrivateKey.generate()
    ephemeral = private.public_key().public_bytes_raw()
    header = SealedHeader(law, zero_us, recipient, ephemeral).serialize()
    return header, _derive(private.exchange(X25519PublicKey.from_public_bytes(recipient)), header)


def check_public_key(recipient: bytes) -> None:
    """
    Refuse what is no key, or one with which everybody could read (a point of low order).

    Raises:
        ValueError: When it is such.
    """
    X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(recipient))


def _derive(shared: bytes, header: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=header, info=KEY_INFO).derive(shared)


def seal(key: bytes, index: int, kind: BoxKind, position: int, payload: bytes = b"") -> bytes:
    """Return one box. No index is used twice with one key."""
    head = BoxHead(kind, len(payload), index, position).serialize()
    return head + ChaCha20Poly1305(key).encrypt(_nonce(index), payload, head)


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "little")


def heads(data: memoryview, offset: int = HEADER_BYTES) -> Iterator[tuple[int, BoxHead]]:
    """
    Yield each whole box's offset and head, without a key; a torn last box is no box.

    Raises:
        SealedRecordingDamaged: At a head that is none, or an index that does not rise.
    """
    last = -1
    while offset + HEAD_BYTES <= len(data):
        head = BoxHead.parse(data, offset)
        if offset + head.n_bytes > len(data):
            return
        if head.index <= last:
            raise SealedRecordingDamaged(f"A box at byte {offset} of the recording is out of order")
        last = head.index
        yield offset, head
        offset += head.n_bytes


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What was in a sealed recording."""

    header: SealedHeader
    audio: npt.NDArray[np.uint8]
    "G.711 of the header's law, `(n_samples,)`; silence where there was nothing."
    has_end: bool
    "Whether it says itself where it ends; else its server died meanwhile, or its end was cut off."
    lost_boxes: int
    "Boxes that are not in the file: a disk refused them, or somebody took them out."


def unseal(data: bytes, private_key: bytes) -> Unsealed:
    """
    Open a whole file. Every bit of it is authenticated.

    Raises:
        SealedRecordingDamaged: When it is none, is of another key, or is not as it was written.
    """
    header = SealedHeader.parse(data)
    private = X25519PrivateKey.from_private_bytes(private_key)
    if private.public_key().public_bytes_raw() != header.recipient:
        raise SealedRecordingDamaged("This recording is sealed for another key, or is damaged.")
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(header.ephemeral))
    except ValueError:
        raise SealedRecordingDamaged("The header of this sealed recording is damaged.") from None
    cipher = ChaCha20Poly1305(_derive(shared, bytes(data[:HEADER_BYTES])))
    view = memoryview(data)
    pieces: list[tuple[int, bytes]] = []
    n_boxes = last = n_samples = 0
    end = HEADER_BYTES
    has_end = False
    for offset, head in heads(view):
        if has_end or (head.kind == BoxKind.BEGIN) is not (head.index == 0):
            raise SealedRecordingDamaged(f"A box at byte {offset} is where none may be.")
        body = view[offset + HEAD_BYTES : offset + head.n_bytes]
        try:
            payload = cipher.decrypt(_nonce(head.index), body, view[offset : offset + HEAD_BYTES])
        except InvalidTag:
            raise SealedRecordingDamaged(
                f"The box at byte {offset} of the recording is not as it was written."
            ) from None
        n_boxes, last, end = n_boxes + 1, head.index, offset + head.n_bytes
        if head.kind == BoxKind.END:
            has_end, n_samples = True, head.position
        elif head.kind == BoxKind.AUDIO:
            pieces.append((head.position, payload))
            n_samples = max(n_samples, head.position + head.size)
    if end != len(data) or not n_boxes:
        raise SealedRecordingDamaged("The recording ends within a box: a part is missing.")
    audio = np.full(n_samples, SILENCE[header.law], np.uint8)
    for position, payload in pieces:
        part = audio[position : position + len(payload)]
        part[:] = np.frombuffer(payload, np.uint8)[: len(part)]
    return Unsealed(header, audio, has_end, last + 1 - n_boxes)
