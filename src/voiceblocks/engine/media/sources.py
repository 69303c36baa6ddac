"""Sources: clips that a leg plays, one after another, instead of silence."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from collections.abc import Sequence

from voiceblocks.recordings.spool import SILENCE_BYTE

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
    without a call; `fill` does the rest.

    Raises:
        OSError: When a clip is not there.
    """

    __slots__ = ("_index", "_loop", "_views", "clips", "data", "end", "ident", "law", "offset")

    def __init__(
        self, ident: int, clips: Sequence[str], law: str, cache: ClipCache, *, loop: bool = False
    ) -> None:
        self.ident = ident
        self.clips = list(clips)
        self.law = law
        self._loop = loop
        self._views = [view for view in map(cache.open, self.clips) if view]
        self._index = 0
        self.data = self._views[0] if self._views else memoryview(b"")
        self.offset = 0
        self.end = len(self.data)

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
            if self.offset == self.end and not self._next():
                target[filled:] = bytes([SILENCE_BYTE[self.law]]) * (len(target) - filled)
                return False
            count = min(len(target) - filled, self.end - self.offset)
            target[filled : filled + count] = self.data[self.offset : self.offset + count]
            self.offset += count
            filled += count
        return self.offset < self.end or self._next()

    def _next(self) -> bool:
        index = self._index + 1
        if index >= len(self._views):
            if not self._loop or not self._views:
                return False
            index = 0
        self._index = index
        self.data = self._views[index]
        self.offset = 0
        self.end = len(self.data)
        return True

    def dump(self) -> tuple[int, list[str], str, bool, int, int]:
        """State for a leg that moves (decision 14); `restore` takes it."""
        return self.ident, self.clips, self.law, self._loop, self._index, self.offset

    @classmethod
    def restore(cls, state: tuple[int, list[str], str, bool, int, int], cache: ClipCache) -> Source:
        """Continue where `dump` was taken."""
        ident, clips, law, loop, index, offset = state
        source = cls(ident, clips, law, cache, loop=loop)
        if index < len(source._views):
            source._index = index
            source.data = source._views[index]
            source.end = len(source.data)
            source.offset = offset
        return source
