"""A results folder behind a URL, edited in a local folder.

dsi downloads the results, edits the local copy, and uploads the changes: every `FLUSH_SECONDS` during the work, and at its end. It
uploads the files of an epoch before the tables made from them, and each file in one step. Readers therefore see complete files,
and a killed call loses only the results since the last upload. If the server is unavailable for some time, the next upload sends
all missing files. If the last upload fails, dsi keeps the folder on this machine.

The lock is a file with the writer's name. An object store guarantees only the following: dsi refuses a call if a recent lock
exists, and a writer stops as soon as it finds another name in the lock. Two calls that start in the same second may both continue
until then.
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

from dsi_cli.errors import BusyError, NothingToAnalyseError, OutputError
from dsi_cli.remote import download, filesystem, locations, urls
from dsi_cli.remote.urls import copy_path
from dsi_cli.store import layout
from dsi_cli.store.layout import INCOMPLETE, LOCK

_log = logging.getLogger(__name__)

FLUSH_SECONDS = 20.0
LAST_UPLOAD_SECONDS = 60.0  # time for which dsi repeats the last upload while the server does not respond
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 10.0
"""The pauses between two attempts of the last upload; each pause is twice as long as the one before."""
STALE_SECONDS = 300.0  # age from which on a lock belongs to a process that no longer exists
_NOT_DOWNLOADED = (LOCK, INCOMPLETE, "figures")  # files and folders that no call reads

FileVersion = tuple[int, int, int]  # size, time of the last change and inode, which distinguish two versions of a file


class RemoteOutput:
    """One results folder behind a URL, with a copy of the needed files in a local root (`dsi_cli.remote.urls.copy_path`).

    `is_needed` returns whether to download the file with a relative path. Raise `UsageError` if the bucket does not exist. Raise
    `OutputError` if the server does not respond, or denies access.

    Attributes
    ----------
    path : the local folder.
    kept : the new path of the local folder if dsi moved it after a failed upload.
    """

    def __init__(self, url: str, local_root: Path, is_needed: Callable[[str], bool] = lambda _: True) -> None:
        self.url = urls.without_secrets(url).rstrip("/")
        self.path = copy_path(url, local_root)
        self.kept: Path | None = None
        self._is_writing = False
        self._upload_lock = Lock()
        self._owner = f"process {os.getpid()} on {socket.gethostname()} {uuid.uuid4().hex}"
        try:
            self._remote = locations.open_url(url)
            is_file = self._remote.is_file()
            names = [] if is_file else [member.name for member in self._remote.iterdir()]
            layout.require_usable(self.url, names, is_file=is_file)
            downloaded = download.fetch_below(
                self._remote, self.path, lambda name: name.partition("/")[0] not in _NOT_DOWNLOADED and is_needed(name)
            )
        except NothingToAnalyseError as error:
            raise OutputError(str(error), code="unreachable") from None
        except OSError as error:
            raise OutputError(f"{self.url} cannot be read: {error.strerror or error}", code="cannot-read") from None
        self._uploaded: dict[str, FileVersion] = {name: _file_version(self.path / name) for name in downloaded}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the results as far as possible, and upload changes until the block ends or raises.

        Raise `BusyError` if another process writes to the folder, or has taken the lock in the meantime. Then dsi interrupts
        the block. Raise `OutputError` if the upload failed. Each uploaded file is complete, and all files are kept on this
        machine.
        """
        # Take the lock. A new request is necessary, because the download may have taken minutes since the listing.
        try:
            lock_info = (self._remote / LOCK).info_now()
            if lock_info is not None and time.time() - lock_info.modified_ns / 1e9 < STALE_SECONDS:
                owner = self._lock_text().rpartition(" ")[0] or "unknown process"
                problem = f"another dsi ({owner}) is writing to {self.url}"
                raise BusyError(f"{problem}: wait for it; if it is dead, delete {self.url}/{LOCK}")
            (self._remote / LOCK).write_bytes(self._owner.encode())
        except OSError as error:
            raise OutputError(f"{self.url} could not be written: {error.strerror or error}", code="cannot-write") from None
        self._is_writing = True

        # Upload changes in a thread while the block runs.
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
            self.finish(max_seconds=0.0)  # after Ctrl-C, dsi does not wait for a server that is unavailable
            raise
        except BaseException:
            self.finish()
            raise
        else:
            self.finish()
        finally:
            self._is_writing = False
            with suppress(OSError):  # a lock that stays becomes stale after `STALE_SECONDS`
                if self._lock_text() == self._owner:
                    (self._remote / LOCK).unlink(missing_ok=True)

    def finish(self, max_seconds: float | None = None) -> None:
        """Upload new and changed files; if this fails, keep the folder on this machine and raise.

        If the server does not respond, dsi repeats the upload after increasing pauses, for `max_seconds`, by default
        `LAST_UPLOAD_SECONDS`. Raise `OutputError` if the upload is not complete. The message states the local path, and how to
        upload the files by hand.
        """
        deadline = time.monotonic() + (LAST_UPLOAD_SECONDS if max_seconds is None else max_seconds)
        pause = FIRST_PAUSE_SECONDS
        try:
            while True:
                try:
                    return self._upload_changes()
                except ConnectionError:
                    if time.monotonic() + pause > deadline:
                        raise
                time.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
        except (OSError, KeyboardInterrupt) as error:
            reason = error.strerror or error if isinstance(error, OSError) else "the upload was interrupted"
            message = self._keep_local_copy(f"{self.url} could not be written: {reason}")
            raise OutputError(message, code="upload-failed") from None
        except BusyError as error:
            raise BusyError(self._keep_local_copy(str(error))) from None

    def _keep_local_copy(self, problem: str) -> str:
        """Move the local folder to a permanent path; return the message with this path."""
        with self._upload_lock:
            if not self.path.is_dir():
                return f"{problem}; no file was made yet"
            try:
                cache = download.cache_folder() / "unsent"
                cache.mkdir(parents=True, exist_ok=True)
                self.kept = Path(shutil.move(self.path, tempfile.mkdtemp(prefix="dsi-", dir=cache)))
            except OSError:  # the cache is full
                self.kept = Path(shutil.move(self.path, tempfile.mkdtemp(prefix="dsi-unsent-")))
        scheme, source, target = map(json.dumps, (urls.scheme_of(self.url), f"{self.kept}/", f"{self.url}/"))
        upload = f"import fsspec; fsspec.filesystem({scheme}).put({source}, {target}, recursive=True)"
        return f"{problem}; all files are kept in {self.kept}; upload them later: python -c {shlex.quote(upload)}"

    def _upload_changes(self) -> None:
        """Upload new and changed files, and remove deleted ones; raise `BusyError` if another process has taken the lock."""
        with self._upload_lock:
            if self.kept is not None:
                return
            if self._is_writing and self._lock_text() not in (self._owner, ""):
                raise BusyError(f"another dsi has begun to write to {self.url} meanwhile; run the same command again")
            versions: dict[str, FileVersion] = {}
            for folder, subfolders, names in os.walk(self.path):
                subfolders[:] = [name for name in subfolders if name != INCOMPLETE]
                for path in (Path(folder, name) for name in names if name != LOCK):
                    versions[path.relative_to(self.path).as_posix()] = _file_version(path)
            changed = [name for name in versions if self._uploaded.get(name) != versions[name]]
            changed.sort(key=lambda name: versions[name][1])
            # The files of an epoch come first. The tables that are made from them follow one after another.
            with ThreadPoolExecutor(filesystem.WORKERS) as pool:
                uploads = [pool.submit(self._upload, name, versions[name]) for name in changed if "/" in name]
            for upload in uploads:
                upload.result()
            for name in changed:
                if "/" not in name:
                    self._upload(name, versions[name])
            for name in set(self._uploaded) - set(versions):
                (self._remote / name).unlink(missing_ok=True)
                del self._uploaded[name]

    def _upload(self, name: str, version: FileVersion) -> None:
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:  # the file was replaced or removed after listing; the next upload handles it
            return
        (self._remote / name).write_bytes(data)
        self._uploaded[name] = version

    def _lock_text(self) -> str:
        """Return the text of the lock file; empty if it does not exist, or the server does not respond."""
        try:
            data: bytes = (self._remote / LOCK).read_bytes()
        except OSError:
            return ""
        return data[:200].decode(errors="replace")

    def _flush_until(self, is_over: Event) -> None:
        """Upload changes regularly, and interrupt the block of `writing` in the main thread if another process takes the lock."""
        while not is_over.wait(FLUSH_SECONDS):
            try:
                self._upload_changes()
                (self._remote / LOCK).write_bytes(self._owner.encode())
            except BusyError:
                if self._is_interruptible and not is_over.is_set():
                    _thread.interrupt_main()
                return
            except OSError as error:
                _log.debug("%s: %s", self.url, error)


def _file_version(path: Path) -> FileVersion:
    try:
        info = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return info.st_size, info.st_mtime_ns, info.st_ino
