"""The server key, and how access tokens are kept under it (decision 6).

A token is stored twice: as an HMAC to find it by, and sealed, because notifications
are signed with it. Each use has its own key, derived from the server key, so that no
output of one can serve as input to another.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voiceblocks.errors import AdapterError

KEY_BYTES = 32
_NONCE_BYTES = 12


class UnreadableSecret(AdapterError):
    """A sealed secret was not sealed with this key for this owner, or is damaged."""


@dataclass(frozen=True, slots=True)
class SecretKey:
    """
    The server key, as read from its file.

    Its text never contains the key.
    """

    key: bytes = field(repr=False)
    "32 random bytes."
    former: tuple[SecretKey, ...] = field(default=(), repr=False)
    "Those that it replaced: what they sealed is still opened, and their tokens are still found."
    key_id: str = field(init=False)
    "16 hex digits that name the key in rows and links; tells nothing about it."

    def __post_init__(self) -> None:
        if len(self.key) != KEY_BYTES:
            raise ValueError(f"a server key has {KEY_BYTES} bytes, not {len(self.key)}")
        object.__setattr__(self, "key_id", self.subkey("key id").hex()[:16])

    @classmethod
    def generate(cls) -> SecretKey:
        """Make a new key from the operating system's randomness."""
        return cls(os.urandom(KEY_BYTES))

    def subkey(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose; those of different purposes are independent."""
        return hmac.new(self.key, b"voiceblocks:" + purpose.encode(), hashlib.sha256).digest()

    @property
    def link_key(self) -> bytes:
        """The key that signs links to recordings."""
        return self.subkey("recording links")

    def lookup(self, token: str) -> bytes:
        """Return the 32 bytes by which `token` is found; any text is accepted."""
        text = token.encode("utf-8", "surrogatepass")
        return hmac.new(self.subkey("token look-up"), text, hashlib.sha256).digest()

    def lookups(self, token: str) -> list[bytes]:
        """By what `token` is found, whichever key was current when it was made; best first."""
        return [key.lookup(token) for key in (self, *self.former)]

    def seal(self, secret: str, owner_id: str) -> bytes:
        """
        Encrypt `secret` so that only `unseal` with the same owner gives it back.

        Args:
            secret: A token or a trunk's password.
            owner_id: Id of the application or trunk; a sealed value that was copied to
                another owner's row cannot be read.
        """
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(self.subkey("secrets")).encrypt(nonce, secret.encode(), owner_id.encode())
        return nonce + sealed

    def unseal(self, sealed: bytes, owner_id: str) -> str:
        """
        Return what was sealed for `owner_id`, with this key or a former one.

        Raises:
            UnreadableSecret: If it was sealed with another key or for another owner.
        """
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        for key in (self, *self.former):
            # A wrong key is told by the tag, so none gives a wrong secret.
            with contextlib.suppress(InvalidTag, ValueError):
                cipher = AESGCM(key.subkey("secrets"))
                return cipher.decrypt(nonce, text, owner_id.encode()).decode()
        raise UnreadableSecret(f"a secret of {owner_id} cannot be read with key {self.key_id}")
