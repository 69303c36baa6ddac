"""The keeper: appends what the workers placed to spools on disk (decision 16).

`python -m voiceblocks.engine.media.keeper FD`, by `ipc.spawn`. Once a second the settled
slots of every kept row (older than 500 ms) are appended to its spool and synced; a row that is
flushed is completed at once. Syncing happens in threads, so that a slow disk delays no flush
of another row and no copying: the rings hold ten seconds. A flush that the disk refuses is tried
again at each pass, with the row kept: it is told when all of it is written, and never cut short.

A keeper that died leaves spools that end somewhere; the next one goes on after the last whole
slot. It exits when its channel closes, after everything that has settled is
written; what is newer stays in the ring for `salvage`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.ring import SETTLED_SLOTS, Arena
from voiceblocks.engine.media.sealing import SealedRow
from voiceblocks.errors import StartupError, StoreError
from voiceblocks.recordings.sealed_spool import SealedSpoolWriter
from voiceblocks.recordings.spool import SLOT_SAMPLES, SpoolWriter

PASS_INTERVAL_S = 1.0
SYNC_WHOLE_DISK_ABOVE = 16
"Files; measured: one syncfs for 600 files 10-25 ms, 600 fdatasyncs 130 ms."

_SYNC_THREADS = 4

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class KeptRow:
    """A row and the spool that it goes to."""

    arena: Arena
    row: int
    name: str
    spool: SpoolWriter
    broken: bool = field(default=False)
    "The disk refused; what the ring still holds is tried again at the flush."

    @property
    def n_written_samples(self) -> int:
        """Samples that the spool has."""
        return self.spool.n_slots * SLOT_SAMPLES

    def append_until(self, end_slot: int) -> None:
        """Append slots up to `end_slot` as far as they are missing, and as the disk takes them."""
        try:
            self._append(end_slot)
        except StoreError:
            self.broken = True
        else:
            self.broken = False

    def _append(self, end_slot: int) -> None:
        first = self.spool.n_slots
        if end_slot > first:
            header = self.arena.headers[self.row]
            self.spool.set_zero(int(header["zero_us"]), float(header["zero_s"]))
            self.spool.append(self.arena.records(self.row, first, end_slot))

    def append_settled(self) -> None:
        """Append what does not change any more."""
        header = self.arena.headers[self.row]
        settled = int(header["clock"]) // SLOT_SAMPLES - SETTLED_SLOTS
        n_final = int(header["n_final"])
        if n_final >= 0:
            settled = min(settled, -(-n_final // SLOT_SAMPLES))
        self.append_until(settled)

    def complete(self, n_samples: int | None) -> int:
        """
        Append all that belongs to the tap and note its length, which is returned.

        Raises:
            StoreError: When the disk does not take it. Nothing was put in the place of audio
                that the ring still holds, so this may be tried again.
        """
        if n_samples is None:
            header = self.arena.headers[self.row]
            n_final = int(header["n_final"])
            n_samples = n_final if n_final >= 0 else int(header["placed"])
        self._append(-(-n_samples // SLOT_SAMPLES))
        self.broken = False
        self.spool.finish(n_samples)
        return n_samples


def keep_row(arena: Arena, row: int, name: str, path: Path) -> KeptRow | SealedRow:
    """
    Open the spool of a row.

    Raises:
        StoreError: When it cannot be written, or is something else.
    """
    if arena.is_sealed(row):
        return SealedRow(arena, row, name, SealedSpoolWriter(path))
    return KeptRow(arena, row, name, SpoolWriter(path, arena.law_of(row)))


class Keeper:
    """All rows of all arenas; driven by `run`."""

    def __init__(self, channel: ipc.Channel[m.KeeperCommand]) -> None:
        self._channel = channel
        self._arenas: dict[int, Arena] = {}
        self._rows: dict[tuple[int, int], KeptRow | SealedRow] = {}
        self._unopened: dict[tuple[int, int], m.KeepRow] = {}
        self._refused: dict[tuple[int, int], m.FlushRow] = {}
        self._threads = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="sync")
        self._synced: SimpleQueue[tuple[m.FlushRow, KeptRow | SealedRow, int]] = SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._syncing = False
        self._next_pass = time.monotonic() + PASS_INTERVAL_S

    def run(self) -> None:
        """Serve until the channel closes."""
        poller = select.poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while True:
            wait_ms = max(0.0, self._next_pass - time.monotonic()) * 1000
            poller.poll(wait_ms)
            if not self._serve():
                break
            if time.monotonic() >= self._next_pass:
                self._next_pass = time.monotonic() + PASS_INTERVAL_S
                if not self._pass():
                    break
        self._threads.shutdown()
        for kept in self._rows.values():
            kept.append_settled()
            with contextlib.suppress(OSError):
                os.fdatasync(kept.spool.fileno())

    def _serve(self) -> bool:
        while not self._synced.empty():
            self._release(*self._synced.get())
        if select.select([self._wake], [], [], 0)[0]:
            os.eventfd_read(self._wake)
        while True:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return True
            if received is None or isinstance(received[0], m.Shutdown):
                return False
            self._obey(received[0])

    def _obey(self, command: m.KeeperCommand) -> None:
        match command:
            case m.WatchArena():
                self._arenas[command.worker] = Arena.open(Path(command.path))
            case m.KeepRow():
                self._keep(command)
            case m.FlushRow():
                self._flush(command)

    def _keep(self, command: m.KeepRow) -> None:
        key = command.worker, command.row
        self._unopened.pop(key, None)
        try:
            arena = self._arenas[command.worker]
            self._rows[key] = keep_row(arena, command.row, command.name, Path(command.spool_path))
        except StoreError:
            # The ring holds ten seconds: it is tried again at each pass and at the flush.
            self._unopened[key] = command

    def _flush(self, command: m.FlushRow) -> None:
        key = command.worker, command.row
        self._refused.pop(key, None)
        unopened = self._unopened.get(key)
        if unopened is not None:
            self._keep(unopened)
            if key in self._unopened:
                self._refused[key] = command
                return
        kept = self._rows.get(key)
        if kept is None or kept.name != command.name:
            self._rows.pop(key, None)
            self._arenas[command.worker].release(command.row)
            self._channel.send(m.RowFlushed(command.worker, command.row, command.name, 0))
            return
        try:
            n_samples = kept.complete(command.n_samples)
        except StoreError:
            self._refused[key] = command
            return
        del self._rows[key]
        self._threads.submit(self._sync_flushed, command, kept, n_samples)

    def _sync_flushed(self, command: m.FlushRow, kept: KeptRow | SealedRow, n_samples: int) -> None:
        # A disk that cannot sync has been told to write all the same.
        with contextlib.suppress(OSError):
            os.fdatasync(kept.spool.fileno())
        self._synced.put((command, kept, n_samples))
        os.eventfd_write(self._wake, 1)

    def _release(self, command: m.FlushRow, kept: KeptRow | SealedRow, n_samples: int) -> None:
        kept.spool.close()
        kept.arena.release(kept.row)
        self._channel.send(m.RowFlushed(command.worker, command.row, command.name, n_samples))

    def _pass(self) -> bool:
        """Append what has settled in every row; flushes that come meanwhile go first."""
        inbox = select.poll()
        inbox.register(self._channel.fileno(), select.POLLIN)
        for command in list(self._unopened.values()):
            self._keep(command)
        for key in list(self._rows):
            if inbox.poll(0) and not self._serve():
                return False
            kept = self._rows.get(key)
            if kept is not None:
                kept.append_settled()
        for refused in list(self._refused.values()):
            self._flush(refused)
        if self._rows and not self._syncing:
            self._syncing = True
            # Descriptors of our own: a spool may be closed while the threads still sync it.
            kept_fds = [kept.spool.fileno() for kept in self._rows.values()]
            if len(kept_fds) > SYNC_WHOLE_DISK_ABOVE:
                kept_fds = kept_fds[:1]
                self._threads.submit(self._sync, [os.dup(fd) for fd in kept_fds], whole_disk=True)
            else:
                self._threads.submit(self._sync, [os.dup(fd) for fd in kept_fds], whole_disk=False)
        return True

    def _sync(self, fds: list[int], *, whole_disk: bool) -> None:
        for fd in fds:
            with contextlib.suppress(OSError):
                if whole_disk:
                    _libc.syncfs(fd)
                else:
                    os.fdatasync(fd)
            os.close(fd)
        self._syncing = False


def main(argv: list[str]) -> None:
    """Run the process."""
    channel: ipc.Channel[m.KeeperCommand] = ipc.Channel(ipc.child_socket(argv), m.KeeperCommand)
    channel.send(m.Hello(m.PROTOCOL_VERSION, os.getpid()))
    channel.setblocking(False)
    gc.freeze()
    keeper = Keeper(channel)
    try:
        keeper.run()
    except (BrokenPipeError, ConnectionResetError):
        return
    except StartupError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv)
