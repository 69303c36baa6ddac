"""X25519 keys of sealed recordings, from files: OpenSSL's PEM, 64 hex digits, or 32 bytes."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from voiceblocks.recordings.sealed import KEY_BYTES, check_public_key

HOW_TO_MAKE = (
    "Make a pair with `openssl genpkey -algorithm X25519 -out private.pem` and "
    "`openssl pkey -in private.pem -pubout -out public.pem`"
)


def read_public_key(content: bytes) -> bytes:
    """
    Return the `KEY_BYTES` bytes of a public key.

    Raises:
        ValueError: When the content is none; the text says what to do.
    """
    if b"PRIVATE KEY" in content:
        raise ValueError(
            "This is a private key: it never comes to the server. Give the public one, of "
            "`openssl pkey -in private.pem -pubout`"
        )
    try:
        if content.lstrip().startswith(b"-----"):
            key = load_pem_public_key(content)
            if not isinstance(key, X25519PublicKey):
                raise ValueError("not X25519")
            raw = key.public_bytes_raw()
        else:
            raw = _raw(content)
        check_public_key(raw)
    except ValueError as error:
        raise ValueError(f"This is no public X25519 key. {HOW_TO_MAKE}") from error
    return raw


def read_private_key(content: bytes) -> bytes:
    """
    Return the `KEY_BYTES` bytes of a private key.

    Raises:
        ValueError: When the content is none, or has a password.
    """
    try:
        if content.lstrip().startswith(b"-----"):
            key = load_pem_private_key(content, None)
            if not isinstance(key, X25519PrivateKey):
                raise ValueError("not X25519")
            return key.private_bytes_raw()
        return _raw(content)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "This is no private X25519 key without a password. `openssl pkey -in KEY -out PLAIN` "
            "takes a password off"
        ) from error


def _raw(content: bytes) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    raw = bytes.fromhex(content.decode("ascii"))
    if len(raw) != KEY_BYTES:
        raise ValueError("not 32 bytes")
    return raw
