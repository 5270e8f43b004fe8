"""An output folder behind a URL, by a folder of this machine that stands in for it.

What is there is fetched, all else happens here, and what changed is put back: every `FLUSH_SECONDS` while the work goes on, and
at its end. The files of an epoch come before the tables that are made from them, as they were written, and each is put in one step;
so whoever reads sees whole files, and a call that is killed loses what it finished since the last time.

The lock is a file with the writer's name. An object store cannot promise more than this: who starts while it is there and young is
refused, and a writer stops as soon as it finds another's. Two that start in the same second may both go on until then.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread

from dsi_cli.errors import BusyError, NothingToAnalyseError, OutputError, UsageError
from dsi_cli.remote import connecting, copies, places, urls
from dsi_cli.store import output
from dsi_cli.store.schema import CHECKPOINTS

FLUSH_SECONDS = 20.0
STALE_SECONDS = 300.0
"""A lock that was not renewed for so long is that of a dead process."""
_LOCK, _SCRATCH = ".lock", ".tmp"
_LEFT_THERE = (_LOCK, _SCRATCH, "figures")
"""What no call reads."""

Mark = tuple[int, int, int]
"""Size, time of change and inode: what tells a file from the one before it."""


class Mirror:
    """One output behind a URL.

    Parameters
    ----------
    url : of the folder
    below : a folder of this machine; see `dsi_cli.remote.copies.path_of`
    wanted : whether a file of the output is needed here, by its way from the folder

    Attributes
    ----------
    path : Path
        The folder that stands in for it.

    Raises
    ------
    UsageError
        The bucket is not there.
    OutputError
        The server does not answer, or denies access.
    """

    def __init__(self, url: str, below: Path, wanted: Callable[[str], bool] = lambda _: True) -> None:
        self.url = urls.shown(url).rstrip("/")
        self.path = copies.path_of(url, below)
        self._flushing = Lock()
        self._owner = f"process {os.getpid()} on {socket.gethostname()} {uuid.uuid4().hex}"
        try:
            self._place = places.listed(url)
            self._require_folder()
            there = copies.fetch_below(self._place, self.path, lambda name: _is_read(name) and wanted(name))
        except NothingToAnalyseError as error:
            raise OutputError(str(error)) from None
        except OSError as error:
            raise OutputError(f"{self.url} cannot be read: {error.strerror or error}") from None
        self._put: dict[str, Mark] = {name: _mark(self.path / name) for name in there}

    def _require_folder(self) -> None:
        if self._place.is_file():
            raise UsageError(f"the output {self.url} is a file; -o wants a folder")
        names = {one.name for one in self._place.iterdir()}
        if CHECKPOINTS.path not in names and not names <= output.OUR_NAMES:
            raise UsageError(f"the output folder {self.url} holds other things; choose an empty or new one with -o")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out, as far as that can be, and put what changes until the block ends, however it ends.

        Raises
        ------
        BusyError
            Another process writes there.
        OutputError
            It could not be written; what was put is whole.
        """
        self._lock()
        over = Event()
        thread = Thread(target=self._flush_until, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        except OutputError:
            with suppress(OutputError):  # it would only say the same again
                self._end(over, thread)
            raise
        except BaseException:
            self._end(over, thread)
            raise
        self._end(over, thread)

    def _end(self, over: Event, thread: Thread) -> None:
        over.set()
        thread.join()
        self.flush()
        self._remove(_LOCK)

    def flush(self) -> None:
        """Put what is new or changed, and remove what is gone; errors as `writing`."""
        with self._flushing:
            if not self._holds_lock():
                raise BusyError(f"another dsi has begun to write to {self.url} meanwhile: run the same command again")
            self.put_changes()

    def put_changes(self) -> None:
        """Put what is new or changed, and remove what is gone; `OutputError` where that cannot be."""
        now = {name: _mark(self.path / name) for name in self._names()}
        changed = sorted((name for name in now if self._put.get(name) != now[name]), key=lambda name: now[name][1])
        tables = [name for name in changed if "/" not in name]
        with ThreadPoolExecutor(connecting.WORKERS) as pool:
            list(pool.map(self._put_one, (name for name in changed if "/" in name)))
        for name in tables:
            self._put_one(name)
        for name in set(self._put) - set(now):
            self._remove(name)
        self._put = now

    def _names(self) -> list[str]:
        """Return the files here that belong to the output, by their way from the folder."""
        found = []
        for here, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if name != _SCRATCH]
            found += [Path(here, name).relative_to(self.path).as_posix() for name in names if name != _LOCK]
        return found

    def _put_one(self, name: str) -> None:
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:  # replaced or removed since it was listed: the next time finds what there is
            return
        self._ask(lambda: self._place.server.fs.pipe_file(self._key(name), data))

    def _remove(self, name: str) -> None:
        self._ask(lambda: self._place.server.fs.rm_file(self._key(name)))

    def _lock(self) -> None:
        """Take the lock; `BusyError` where another holds it."""
        there = (self._place / _LOCK).info
        if there is not None and time.time() - there.modified_ns / 1e9 < STALE_SECONDS:
            who = self._read_lock().rpartition(" ")[0] or "unknown process"
            raise BusyError(
                f"another dsi ({who}) is writing to {self.url}: wait for it; if it is dead, delete {self.url}/{_LOCK}"
            )
        self._write_lock()

    def _write_lock(self) -> None:
        self._ask(lambda: self._place.server.fs.pipe_file(self._key(_LOCK), self._owner.encode()))

    def _read_lock(self) -> str:
        try:
            return (self._place / _LOCK).read_bytes()[:200].decode(errors="replace")
        except OSError:
            return ""

    def _holds_lock(self) -> bool:
        """Return whether nobody else has taken the lock."""
        return self._read_lock() in (self._owner, "")

    def _flush_until(self, over: Event) -> None:
        """Put what changes from time to time; a failure is left to the last time, which says it."""
        while not over.wait(FLUSH_SECONDS):
            try:
                self.flush()
                self._write_lock()
            except OutputError:
                continue

    def _key(self, name: str) -> str:
        return (self._place / name).key

    def _ask(self, request: Callable[[], object]) -> None:
        try:
            self._place.server.ask(request)
        except FileNotFoundError:
            return  # nothing is left to remove
        except OSError as error:
            raise OutputError(
                f"{self.url} could not be written: {error.strerror or error}; run the same command again to go on"
            ) from None


def _is_read(name: str) -> bool:
    return name.partition("/")[0] not in _LEFT_THERE


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ino
