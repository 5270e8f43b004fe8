"""An output folder behind a URL, worked on in a folder of this machine.

dsi fetches the output, works on the fetched folder, and uploads what changed: every `FLUSH_SECONDS` while the work goes on,
and at its end. The files of an epoch are uploaded before the tables that are made from them, and each file is put in one
step. So readers see whole files, and a call that is killed loses what it finished since the last upload. A server that is
away for a time costs nothing else: the next upload has all that is missing. If the last upload cannot be finished, the
folder stays on this machine.

The lock is a file with the writer's name. An object store cannot promise more than this: a call that starts while the lock
is there and young is refused, and a writer stops as soon as it finds another's name. Two calls that start in the same
second may both go on until then.
"""

from __future__ import annotations

import _thread
import json
import logging
import os
import shlex
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread, current_thread, main_thread

from dsi_cli.errors import BusyError, NothingToAnalyseError, OutputError, UsageError
from dsi_cli.remote import download, filesystem, locations, urls
from dsi_cli.remote.local_names import path_of
from dsi_cli.store import layout
from dsi_cli.store.schema import CHECKPOINTS

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 20.0
PATIENCE = 60.0
"""Seconds for which the last upload is tried while the server does not answer."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two attempts of the last upload; each pause is twice the one before."""
STALE_SECONDS = 300.0
"""A lock that was not renewed for so long is that of a dead process."""
_LOCK, _SCRATCH = ".lock", ".tmp"
_LEFT_THERE = (_LOCK, _SCRATCH, "figures")
"""What no call reads."""

Mark = tuple[int, int, int]
"""Size, time of change and inode: what tells a file from the one before it."""


class RemoteOutput:
    """One output behind a URL.

    Parameters
    ----------
    url : of the folder
    below : a folder of this machine; see `dsi_cli.remote.local_names.path_of`
    wanted : whether a file of the output is needed here, by its way from the folder

    Attributes
    ----------
    path : Path
        The folder of this machine.
    kept : Path or None
        Where that folder was moved to since it could not be uploaded.

    Raises
    ------
    UsageError
        The bucket is not there.
    OutputError
        The server does not answer, or denies access.
    """

    def __init__(self, url: str, below: Path, wanted: Callable[[str], bool] = lambda _: True) -> None:
        self.url = urls.shown(url).rstrip("/")
        self.path = path_of(url, below)
        self.kept: Path | None = None
        self._is_writing = False
        self._uploading = Lock()
        self._owner = f"process {os.getpid()} on {socket.gethostname()} {uuid.uuid4().hex}"
        try:
            self._place = locations.listed(url)
            self._require_folder()
            there = download.fetch_below(self._place, self.path, lambda name: _is_read(name) and wanted(name))
        except NothingToAnalyseError as error:
            raise OutputError(str(error)) from None
        except OSError as error:
            raise OutputError(f"{self.url} cannot be read: {error.strerror or error}") from None
        self._put: dict[str, Mark] = {name: _mark(self.path / name) for name in there}

    def _require_folder(self) -> None:
        if self._place.is_file():
            raise UsageError(f"the output {self.url} is a file; -o wants a folder")
        names = {one.name for one in self._place.iterdir()}
        if CHECKPOINTS.path not in names and not names <= layout.OUR_NAMES:
            raise UsageError(f"the output folder {self.url} holds other things; choose an empty or new one with -o")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out, as far as that can be, and upload what changes until the block ends, however it ends.

        Raises
        ------
        BusyError
            Another process writes there, or has taken the lock meanwhile; then the block is interrupted.
        OutputError
            It could not be uploaded; each uploaded file is whole, and all files are kept on this machine.
        """
        self._take_lock()
        self._is_interruptible = current_thread() is main_thread()
        is_over = Event()
        thread = Thread(target=self._flush_until, args=(is_over,), daemon=True, name="dsi-upload")
        thread.start()
        try:
            try:
                yield
            finally:
                is_over.set()
                thread.join()
        except KeyboardInterrupt:
            self.finish(patience=0.0)  # whoever presses Ctrl-C does not wait for a server that is away
            raise
        except BaseException:
            self.finish()
            raise
        else:
            self.finish()
        finally:
            self._release_lock()

    def finish(self, patience: float | None = None) -> None:
        """Upload what is new or changed; if that fails, keep the folder on this machine and raise.

        A server that does not answer is asked again, with longer and longer pauses.

        Parameters
        ----------
        patience : seconds until dsi gives up; `PATIENCE` if None

        Raises
        ------
        OutputError
            The upload is not complete. The message says where the files are, and how to upload them by hand.
        """
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        pause = FIRST_PAUSE
        try:
            while not self._is_uploaded(is_last=time.monotonic() + pause > deadline):
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        except OSError as error:
            raise OutputError(self._keep(f"{self.url} could not be written: {error.strerror or error}")) from None
        except BusyError as error:
            raise BusyError(self._keep(str(error))) from None
        except KeyboardInterrupt:
            raise OutputError(self._keep(f"{self.url} could not be written: the upload was interrupted")) from None

    def _is_uploaded(self, *, is_last: bool) -> bool:
        """Upload what is new or changed; return whether the server answered, or raise if this was the last attempt."""
        try:
            self._upload_changes()
        except ConnectionError:
            if is_last:
                raise
            return False
        return True

    def _keep(self, problem: str) -> str:
        """Move the folder to where it outlasts the call; return the message with its new path."""
        with self._uploading:
            if not self.path.is_dir():
                return f"{problem}; no file was made yet"
            self.kept = _moved(self.path)
        scheme, source, target = map(json.dumps, (urls.scheme_of(self.url), f"{self.kept}/", f"{self.url}/"))
        upload = f"import fsspec; fsspec.filesystem({scheme}).put({source}, {target}, recursive=True)"
        return f"{problem}; all files are kept in {self.kept}; upload them later: python -c {shlex.quote(upload)}"

    def _upload_changes(self) -> None:
        """Upload what is new or changed, and remove what is gone; each file that was uploaded is done, whatever comes after.

        Raises
        ------
        BusyError
            Another process has taken the lock.
        OSError
            A file could not be uploaded; the others that do not depend on it were.
        """
        with self._uploading:
            if self.kept is not None:
                return
            if self._is_writing and not self._holds_lock():
                raise BusyError(f"another dsi has begun to write to {self.url} meanwhile: run the same command again")
            now = {name: _mark(self.path / name) for name in self._names()}
            changed = sorted((name for name in now if self._put.get(name) != now[name]), key=lambda name: now[name][1])
            # The files of an epoch come first, then the tables that are made from them, one after the other.
            with ThreadPoolExecutor(filesystem.WORKERS) as pool:
                uploads = [pool.submit(self._upload, name, now[name]) for name in changed if "/" in name]
            for upload in uploads:
                upload.result()
            for name in changed:
                if "/" not in name:
                    self._upload(name, now[name])
            for name in set(self._put) - set(now):
                self._remove(name)
                del self._put[name]

    def _names(self) -> list[str]:
        """Return the files here that belong to the output, by their way from the folder."""
        found = []
        for here, folders, names in os.walk(self.path):
            folders[:] = [name for name in folders if name != _SCRATCH]
            found += [Path(here, name).relative_to(self.path).as_posix() for name in names if name != _LOCK]
        return found

    def _upload(self, name: str, mark: Mark) -> None:
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:  # replaced or removed since it was listed: the next upload has what is there then
            return
        (self._place / name).write_bytes(data)
        self._put[name] = mark

    def _remove(self, name: str) -> None:
        (self._place / name).unlink(missing_ok=True)

    def _take_lock(self) -> None:
        """Take the lock.

        Raises
        ------
        BusyError
            Another process holds it.
        OutputError
            The server does not answer, or denies access.
        """
        try:
            # The server is asked now: fetching the output may have taken minutes since it was listed.
            there = (self._place / _LOCK).info_now()
            if there is not None and time.time() - there.modified_ns / 1e9 < STALE_SECONDS:
                who = self._lock_text().rpartition(" ")[0] or "unknown process"
                raise BusyError(
                    f"another dsi ({who}) is writing to {self.url}: wait for it; if it is dead, delete {self.url}/{_LOCK}"
                )
            self._write_lock()
        except OSError as error:
            raise OutputError(f"{self.url} could not be written: {error.strerror or error}") from None
        self._is_writing = True

    def _release_lock(self) -> None:
        """Remove the lock file, unless it is another process's; one that cannot be removed is out of date in `STALE_SECONDS`."""
        self._is_writing = False
        with suppress(OSError):
            if self._lock_text() == self._owner:
                self._remove(_LOCK)

    def _write_lock(self) -> None:
        (self._place / _LOCK).write_bytes(self._owner.encode())

    def _lock_text(self) -> str:
        """Return what the lock file holds; empty if there is none, or the server does not answer."""
        try:
            data: bytes = (self._place / _LOCK).read_bytes()
        except OSError:
            return ""
        return data[:200].decode(errors="replace")

    def _holds_lock(self) -> bool:
        """Return whether nobody else has taken the lock."""
        return self._lock_text() in (self._owner, "")

    def _flush_until(self, is_over: Event) -> None:
        """Upload what changes from time to time, and interrupt the main thread if another process takes the lock.

        Any other failure is left to the next time, and in the end to `finish`.
        """
        while not is_over.wait(FLUSH_SECONDS):
            try:
                self._upload_changes()
                self._write_lock()
            except BusyError:
                self._interrupt(is_over)
                return
            except OSError as error:
                _log.debug("%s: %s", self.url, error)

    def _interrupt(self, is_over: Event) -> None:
        """Stop the block of `writing`, where that runs in the main thread; another thread finds out at its end."""
        if self._is_interruptible and not is_over.is_set():
            _thread.interrupt_main()


def _moved(folder: Path) -> Path:
    """Move a folder to the user's cache, or to `/tmp` if the cache is full, to outlast the process; return its new path."""
    try:
        cache = download.cache() / "unsent"
        cache.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(folder, tempfile.mkdtemp(prefix="dsi-", dir=cache)))
    except OSError:
        return Path(shutil.move(folder, tempfile.mkdtemp(prefix="dsi-unsent-")))


def _is_read(name: str) -> bool:
    return name.partition("/")[0] not in _LEFT_THERE


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return found.st_size, found.st_mtime_ns, found.st_ino
