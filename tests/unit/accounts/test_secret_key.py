"""The key file is made once, for its owner alone, and damage is told in a sentence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voiceblocks.accounts.secret_key import load_keys, load_or_create
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.errors import StartupError


def test_first_start_makes_a_private_key(tmp_path: Path) -> None:
    """A new key has mode 0600, whatever the umask, and leaves no draft behind."""
    path = tmp_path / "data" / "secret.key"
    key = load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert load_or_create(path) == key


def test_concurrent_starts_get_one_key(tmp_path: Path) -> None:
    """Server and command line that start together agree."""
    path = tmp_path / "secret.key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: load_or_create(path), range(64)))
    assert len(keys) == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The sentence says how to mend it."""
    path = tmp_path / "secret.key"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(StartupError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        load_or_create(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"abcd\n", b"zz" * 32, b"\xff\xfe", b"00" * 33])
def test_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """A damaged file is never silently replaced: its tokens would be lost."""
    path = tmp_path / "secret.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StartupError, match="is damaged"):
        load_or_create(path)
    assert path.read_bytes() == content


def test_former_keys_follow_the_current_one(tmp_path: Path) -> None:
    """The first line is the current key; those below are former ones."""
    current, former = SecretKey.generate(), SecretKey.generate()
    path = tmp_path / "secret.key"
    path.write_text(f"{current.key.hex()}\n{former.key.hex()}\n")
    path.chmod(0o600)
    assert load_keys(path) == (current, former)
    assert load_or_create(path) == SecretKey(current.key, former=(former,))


def test_missing_file_is_told(tmp_path: Path) -> None:
    """Only `load_or_create` makes a key."""
    with pytest.raises(StartupError, match=r"cannot be read: No such file"):
        load_keys(tmp_path / "secret.key")


def test_impossible_place_is_told(tmp_path: Path) -> None:
    """A folder that cannot be made gives a sentence."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match=r"cannot be made"):
        load_or_create(tmp_path / "file" / "secret.key")
