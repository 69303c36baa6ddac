"""Opens a sealed recording with PyNaCl alone: unseal.py FILE.sealed KEY_HEX > FILE.wav

The format is told in docs/sealed-recordings.md. The WAV holds G.711, as it came from the phone.
"""

import hmac
import struct
import sys
from pathlib import Path

from nacl.bindings import crypto_aead_chacha20poly1305_ietf_decrypt as decrypt
from nacl.bindings import crypto_scalarmult

data, private = Path(sys.argv[1]).read_bytes(), bytes.fromhex(sys.argv[2])
header = data[:96]
magic, version, law = struct.unpack_from("<8sHB", header)
assert (magic, version) == (b"VBSEALED", 1), "not a sealed recording of version 1"
prk = hmac.digest(header, crypto_scalarmult(private, header[64:96]), "sha256")  # HKDF: extract
key = hmac.digest(prk, b"voiceblocks sealed recording 1\x01", "sha256")  # and expand

silence = b"\xd5" if law else b"\xff"
audio, offset, length, last = bytearray(), 96, None, -1
while offset < len(data):
    kind, _, size, index, position = struct.unpack_from("<BBHIQ", data, offset)
    head, box = data[offset : offset + 16], data[offset + 16 : offset + 32 + size]
    payload = decrypt(box, head, index.to_bytes(12, "little"), key)  # raises where it is damaged
    assert index > last, "boxes are out of order"
    assert length is None, "boxes lie behind the end"
    last, offset = index, offset + 32 + size
    if kind == 2:
        length = position
    audio.extend(silence * (position + size - len(audio)))
    audio[position : position + size] = payload
if length is None:
    print("It does not say where it ends: the server died, or a part is missing", file=sys.stderr)
audio = bytes(audio[:length])
fmt = struct.pack("<HHIIHHH", 6 if law else 7, 1, 8000, 8000, 1, 8, 0)
chunks = b"WAVE" + b"".join(
    name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    for name, body in ((b"fmt ", fmt), (b"fact", struct.pack("<I", len(audio))), (b"data", audio))
)
sys.stdout.buffer.write(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
