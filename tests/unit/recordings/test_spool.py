"""Spool v1 on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from voiceblocks.errors import ContractViolation, StoreError
from voiceblocks.recordings.spool import (
    HEADER_BYTES,
    SILENCE_BYTE,
    SpoolHeader,
    SpoolWriter,
    open_spool,
)


def records(*values: int | None) -> np.ndarray:
    """Slots filled with one byte each; `None` is an absent slot full of zero bytes."""
    out = np.zeros((len(values), 161), np.uint8)
    for row, value in zip(out, values, strict=True):
        if value is not None:
            row[0] = 1
            row[1:] = value
    return out


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_absent_slots_and_what_lies_beyond_the_end_read_as_silence(tmp_path: Path, law: str):
    """Nothing but what was present is ever heard."""
    writer = SpoolWriter(tmp_path / "a", law)
    writer.append(records(7, None, 9))
    with open_spool(tmp_path / "a") as reader:
        assert reader.law == law
        assert reader.n_slots() == 3
        slots = reader.payload(0, 5).reshape(5, 160)
        assert slots[:, 0].tolist() == [7, SILENCE_BYTE[law], 9] + [SILENCE_BYTE[law]] * 2
        assert reader.presence(1, 4).tolist() == [0, 1, 0, 0]
        assert np.array_equal(reader.read_samples(2, 1), slots[2])
        writer.append(records(4))
        assert reader.n_slots() == 4
    writer.close()


def test_a_torn_end_is_no_slot_and_is_overwritten_by_the_next_writer(tmp_path: Path):
    """A crash inside a write costs that slot only."""
    path = tmp_path / "a"
    writer = SpoolWriter(path, "PCMU")
    writer.append(records(1, 2))
    writer.close()
    with path.open("ab") as file:
        file.write(b"\1" + b"\3" * 50)
    with open_spool(path) as reader:
        assert reader.n_slots() == 2
        again = SpoolWriter(path, "PCMU")
        assert again.n_slots == 2
        again.append(records(5))
        assert reader.n_slots() == 3
        assert reader.payload(1, 2)[::160].tolist() == [2, 5]
    again.close()


@pytest.mark.parametrize(("n_samples", "n_slots"), [(320, 2), (321, 3), (161, 2), (0, 0), (800, 5)])
def test_finish_cuts_or_fills_to_the_exact_length(tmp_path: Path, n_samples: int, n_slots: int):
    """The header tells samples, the file holds the slots that cover them."""
    writer = SpoolWriter(tmp_path / "a", "PCMU")
    writer.append(records(1, 2, 3))
    with open_spool(tmp_path / "a") as reader:
        assert reader.n_final() is None
        writer.finish(n_samples)
        assert reader.n_final() == n_samples
        assert reader.n_slots() == n_slots
    writer.close()


def test_time_zero_is_kept(tmp_path: Path):
    """Time zero may come after the file was begun."""
    writer = SpoolWriter(tmp_path / "a", "PCMA")
    writer.set_zero(1_700_000_000_000_000, 12.5)
    writer.append(records(1))
    writer.close()
    with open_spool(tmp_path / "a") as reader:
        assert reader.header == SpoolHeader("PCMA", 1, 1_700_000_000_000_000, 12.5)
        assert reader.n_slots() == 1


def test_two_channels_are_kept_apart(tmp_path: Path):
    """A record holds a payload for each channel, and a presence bit for each."""
    writer = SpoolWriter(tmp_path / "a", "PCMU", channels=2)
    slots = np.zeros((2, 321), np.uint8)
    slots[0, 0], slots[1, 0] = 1, 2
    slots[:, 1:161], slots[:, 161:] = 5, 6
    writer.append(slots)
    writer.close()
    with open_spool(tmp_path / "a") as reader:
        assert reader.payload(0, 2)[::160].tolist() == [5, 0xFF]
        assert reader.payload(0, 2, channel=1)[::160].tolist() == [0xFF, 6]


@pytest.mark.parametrize(
    "content",
    [b"", b"VBSPOOL\0", b"x" * HEADER_BYTES, SpoolHeader("PCMU").serialize()[:-1]],
    ids=["empty", "short", "foreign", "cut"],
)
def test_what_is_no_spool_is_refused(tmp_path: Path, content: bytes):
    """Every file gives a reader or a StoreError."""
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(StoreError):
        open_spool(tmp_path / "a")
    with pytest.raises(StoreError):
        open_spool(tmp_path / "missing")


def test_a_writer_refuses_another_law_and_shape(tmp_path: Path):
    """One law per file, and whole records only."""
    writer = SpoolWriter(tmp_path / "a", "PCMU")
    with pytest.raises(ContractViolation):
        writer.append(np.zeros((1, 160), np.uint8))
    writer.close()
    with pytest.raises(StoreError):
        SpoolWriter(tmp_path / "a", "PCMA")


def test_a_spool_that_cannot_be_begun_keeps_no_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The keeper tries every second while a disk is full: what it opens it must close."""
    (tmp_path / "other.spool").write_bytes(b"x" * HEADER_BYTES)

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "disk full")

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    for _attempt in range(3):
        with pytest.raises(StoreError):
            SpoolWriter(tmp_path / "other.spool", "PCMU")
        with monkeypatch.context() as disk:
            disk.setattr(os, "pwrite", full)
            with pytest.raises(StoreError):
                SpoolWriter(tmp_path / "fresh.spool", "PCMU")
    assert open_files() == before
