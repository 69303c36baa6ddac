"""Sources: clips that a leg plays, one after another, instead of silence."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

from voiceblocks.audio.mixing import transcode
from voiceblocks.recordings.spool import SILENCE_BYTE

SourceState: TypeAlias = tuple[int, list[str], str, bool, int, int, str, bool]

MAX_MAPPED_CLIPS = 512
"Clips stay mapped for the next caller who hears them; the oldest go."


class ClipCache:
    """Mapped clip files, by path. Clips never change, so a path is an identity."""

    def __init__(self) -> None:
        self._mapped: OrderedDict[str, memoryview] = OrderedDict()

    def open(self, path: str) -> memoryview:
        """
        Map a clip; the kernel is asked to read it ahead, so that the tick does not wait.

        Raises:
            OSError: When it is not there.
        """
        view = self._mapped.get(path)
        if view is not None:
            self._mapped.move_to_end(path)
            return view
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            if size == 0:
                return memoryview(b"")
            mapping = mmap.mmap(fd, size, prot=mmap.PROT_READ)
        finally:
            os.close(fd)
        mapping.madvise(mmap.MADV_WILLNEED)
        view = self._mapped[path] = memoryview(mapping)
        if len(self._mapped) > MAX_MAPPED_CLIPS:
            self._mapped.popitem(last=False)
        return view


class Source:
    """
    Plays clips in order.

    `data`, `offset` and `end` are public so that the transmitter can copy the next packet
    without a call; `fill` does the rest, also all that is to be heard in another law.

    Args:
        ident: Of the playback.
        clips: Files of headerless G.711.
        law: Of the clips.
        cache: Maps them.
        loop: Whether the first comes again after the last.
        plays_as: The law in which they are heard; that of the clips if omitted.
        then_recorded: Whether a recording begins where it is over.

    Raises:
        OSError: When a clip is not there.
    """

    __slots__ = (
        "_index", "_length", "_loop", "_views", "clips", "data", "end", "ident", "last_samples",
        "law", "offset", "plays_as", "then_recorded",
    )  # fmt: skip

    def __init__(
        self,
        ident: int,
        clips: Sequence[str],
        law: str,
        cache: ClipCache,
        *,
        loop: bool = False,
        plays_as: str | None = None,
        then_recorded: bool = False,
    ) -> None:
        self.ident = ident
        self.clips = list(clips)
        self.law = law
        self.plays_as = plays_as or law
        self.then_recorded = then_recorded
        self.last_samples = 0
        "How much of the packet that `fill` was asked for last is not the silence after the end."
        self._loop = loop
        self._views = [view for view in map(cache.open, self.clips) if view]
        self._begin(0)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to play."""
        return not self._views

    def play_as(self, law: str) -> None:
        """From the next packet on it is heard in this law, wherever it is."""
        self.plays_as = law
        # Nothing is copied plainly that must be changed.
        self.end = self._length if law == self.law else 0

    def _begin(self, index: int) -> None:
        self._index = index
        self.data = self._views[index] if self._views else memoryview(b"")
        self.offset = 0
        self._length = len(self.data)
        self.play_as(self.plays_as)

    def fill(self, target: memoryview) -> bool:
        """
        Copy the next packet across the end of a clip.

        Args:
            target: Payload of the packet, writable; after the last clip it is silence.

        Returns:
            Whether there is more to play after this packet.
        """
        filled = 0
        while filled < len(target):
            if self.offset == self._length and not self._next():
                target[filled:] = bytes([SILENCE_BYTE[self.plays_as]]) * (len(target) - filled)
                self.last_samples = filled
                return False
            count = min(len(target) - filled, self._length - self.offset)
            piece = bytes(self.data[self.offset : self.offset + count])
            target[filled : filled + count] = transcode(piece, self.law, self.plays_as)
            self.offset += count
            filled += count
        self.last_samples = filled
        return self.offset < self._length or self._next()

    def _next(self) -> bool:
        index = self._index + 1
        if index >= len(self._views):
            if not self._loop or not self._views:
                return False
            index = 0
        self._begin(index)
        return True

    def dump(self) -> SourceState:
        """State for a leg that moves (decision 14); `restore` takes it."""
        return (
            self.ident, self.clips, self.law, self._loop, self._index, self.offset, self.plays_as,
            self.then_recorded,
        )  # fmt: skip

    @classmethod
    def restore(cls, state: SourceState, cache: ClipCache) -> Source:
        """Continue where `dump` was taken."""
        ident, clips, law, loop, index, offset, plays_as, then_recorded = state
        source = cls(
            ident, clips, law, cache, loop=loop, plays_as=plays_as, then_recorded=then_recorded
        )
        if index < len(source._views):
            source._begin(index)
            source.offset = offset
        return source
