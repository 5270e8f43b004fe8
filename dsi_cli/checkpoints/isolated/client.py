"""The side of dsi: one child process that reads files, restarted after a crash.

The child opens no file by itself, except for folders: it asks for ranges of bytes, which dsi reads from a `ByteRanges`. A file
within a zip archive or in a bucket is therefore read like any other. Each message is a line of JSON, then bytes if it says so.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import count
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.tensors import Storage, Tensor, contiguous, decode, itemsize, view_of
from dsi_cli.errors import PendingError, UnreadableError

LARGEST_ANSWER = 24 << 20
"""Bytes of the names, shapes and texts of one file; a state of a ViT-L/16 with Adam's has 0.5 MB."""
MOST_TENSORS = 50_000
_LONGEST_NAME = 1024
_MOST_LETTERS = 4 << 20
"""Characters of all names of one file."""
_MOST_DIMENSIONS = 32
_SMALL_TENSOR, _MOST_TIMES = 64 << 20, 4
"""A tensor may take so many bytes, or so many times the bytes of its file: compressed zeros take few."""
_MODULES = {
    "hdf5": ("h5py", "keras"),
    "onnx_model": ("onnx", "onnx"),
    "flax_msgpack": ("msgpack", "jax"),
    "orbax_folder": ("tensorstore", "jax"),
    "event_file": ("tensorboard", "tensorboard"),
}
"""By reader: the package that it needs, and the extra that installs it."""


class ByteRanges(Protocol):
    """Something that gives ranges of bytes, like a `dsi_cli.checkpoints.io.source.RandomAccessFile`."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes from ``offset`` on."""


class Limits(NamedTuple):
    """What the child may take for one request."""

    seconds: float = 20.0
    """On the clock, without the time in which dsi reads bytes for it, and of processor time. A file has a second more per 50 MB."""
    memory: int = 3 << 30
    """Bytes of address space, in addition to three times the size of the file."""


@dataclass(frozen=True)
class Request:
    """A file for one of the readers.

    Attributes
    ----------
    reader : the name of a module of this package
    file : tells this file from others, for the child keeps the last one open
    size : bytes
    options : what else the reader takes, as JSON has it
    source : answers requests for bytes; None if the reader opens files by path
    """

    reader: str
    file: int
    size: int
    options: dict[str, Any]
    source: ByteRanges | None


DEFAULT_LIMITS = Limits()
_numbers = count()


def open_isolated(
    reader: str, size: int, source: ByteRanges | None = None, limits: Limits = DEFAULT_LIMITS, **options: Any
) -> CheckpointContent:
    """Return the content of a file that a reader in the child process opens; its tree is flat.

    Parameters
    ----------
    reader : the name of a module of this package
    size : bytes of the file, or of all files of a folder
    source : the file; None if the reader opens files by path
    limits : what the child may take for one request
    options : what else the reader takes, as JSON has it

    Raises
    ------
    UnreadableError
        The library is not installed, the file is damaged, or reading it takes more than the limits.
    PendingError
        The file is incomplete.
    """
    request = Request(reader, next(_numbers), size, options, source)
    answer, _ = ask(request, None, limits)
    tree: dict[str, Any] = {}
    letters = 0
    if len(answer["tensors"]) > MOST_TENSORS:
        raise UnreadableError(f"it has {len(answer['tensors'])} tensors; dsi reads up to {MOST_TENSORS}")
    transposed = set(answer["transposed"])
    for name, dtype, shape, key in answer["tensors"]:
        letters += len(name)
        if len(name) > _LONGEST_NAME or letters > _MOST_LETTERS:
            raise UnreadableError(
                f"dsi reads names of up to {_LONGEST_NAME} letters, and {_MOST_LETTERS} in all; one has {len(name)}"
            )
        if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0 or prod(size or 1 for size in shape) >= 1 << 60:
            raise UnreadableError(f"{name[:80]!r} has no possible shape")
        tensor = contiguous(dtype, tuple(shape), Storage(key, dtype, prod(shape)))
        tree[name] = tensor.transposed if name in transposed else tensor
    tree |= answer["values"]

    def read(tensor: Tensor) -> NDArray[Any]:
        wanted = tensor.storage.size * itemsize(tensor.storage.dtype)
        most = max(_SMALL_TENSOR, _MOST_TIMES * size)
        if wanted > most:
            raise UnreadableError(f"a tensor of {wanted} bytes is more than a file of {size} bytes can hold")
        _, data = ask(request, tensor.storage.key, limits)
        if len(data) != wanted:
            raise UnreadableError(f"a tensor has {len(data)} bytes, which do not fit the {wanted} of its shape")
        stored = contiguous(tensor.storage.dtype, (tensor.storage.size,), tensor.storage)
        return view_of(tensor, decode(stored, data))

    return CheckpointContent(tree, read, outputs=answer["outputs"])


def ask(request: Request, key: str | None, limits: Limits = DEFAULT_LIMITS) -> tuple[dict[str, Any], memoryview]:
    """Return the child's answer: what the file holds, or the bytes of the tensor with a key; errors as for `open_isolated`."""
    package, extra = _MODULES[request.reader]
    if not _is_installed(package):
        raise UnreadableError(f"dsi reads this format with the package {package}; run pip install 'dsi-cli[{extra}]'")
    return _child(os.getpid()).ask(request, key, limits)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):
        return False


@cache
def _child(pid: int) -> _Child:  # noqa: ARG001  a forked process needs its own child
    return _Child()


class _Child:
    """The child process of this process; it is started for the first request."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        atexit.register(self._stop)

    def ask(self, request: Request, key: str | None, limits: Limits) -> tuple[dict[str, Any], memoryview]:
        with self._lock:
            try:
                answer, data = self._exchange(request, key, limits)
            except BaseException:
                self._stop()  # in the middle of an exchange: the next answer would not be that of the next request
                raise
        if "error" in answer:
            raise (PendingError if answer["is_pending"] else UnreadableError)(str(answer["error"]))
        return answer, data

    def _exchange(self, request: Request, key: str | None, limits: Limits) -> tuple[dict[str, Any], memoryview]:
        process = self._started()
        memory = limits.memory + 3 * request.size
        message = {"reader": request.reader, "file": request.file, "size": request.size, "options": request.options}
        seconds = limits.seconds + request.size / 50e6
        with _watched(process, seconds) as clock:
            try:
                _send(process, message | {"key": key, "seconds": seconds, "memory": memory})
                answer = _receive(process)
                while "offset" in answer and request.source is not None:
                    # The child wants a range of the file. The time that this takes is not the child's.
                    with clock.paused():
                        data = request.source.read_at(answer["offset"], answer["bytes"])
                    _send(process, {}, data)
                    answer = _receive(process)
                return answer, _payload(process, answer.get("bytes", 0))
            except (OSError, ValueError, KeyError, TypeError, EOFError):
                process.kill()
                raise UnreadableError(_reason(process, clock, limits, _MODULES[request.reader][0])) from None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            # -P: a folder of checkpoints may hold a json.py that must not be imported.
            root = str(Path(__file__).resolve().parents[3])
            where = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
            limited = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
            command = [sys.executable, "-P", "-m", "dsi_cli.checkpoints.isolated.worker"]
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=where | limited
                )
            except OSError as error:
                raise UnreadableError(f"dsi could not start a process to read it: {error.strerror or error}") from None
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                try:
                    assert pipe is not None
                    pipe.close()
                except OSError:  # bytes that the child did not take
                    pass


class _Clock:
    """The time that the child still has, and whether it ran out."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds
        self.ran_out = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        begin = time.monotonic()
        self.ends += 1e9
        try:
            yield
        finally:
            self.ends += time.monotonic() - begin - 1e9


@contextmanager
def _watched(process: subprocess.Popen[bytes], seconds: float) -> Iterator[_Clock]:
    """Kill the child if it takes longer within this block."""
    clock, done = _Clock(seconds), threading.Event()

    def watch() -> None:
        while not done.wait(min(1.0, max(0.01, clock.ends - time.monotonic()))):
            if time.monotonic() >= clock.ends:
                clock.ran_out = True
                process.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield clock
    finally:
        done.set()
        watcher.join()


def _send(process: subprocess.Popen[bytes], message: dict[str, Any], data: bytes = b"") -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message | {"bytes": len(data)}).encode() + b"\n" + data)
    process.stdin.flush()


def _receive(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline(LARGEST_ANSWER + 1024)
    if not line.endswith(b"\n"):
        raise EOFError
    answer: dict[str, Any] = json.loads(line)
    return answer


def _payload(process: subprocess.Popen[bytes], size: int) -> memoryview:
    assert process.stdout is not None
    data = memoryview(bytearray(size))
    left = data
    while left:
        read = process.stdout.readinto(left)  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        left = left[read:]
    return data


def _reason(process: subprocess.Popen[bytes], clock: _Clock, limits: Limits, package: str) -> str:
    """Return why the child ended, as the reason of a checkpoint that cannot be used."""
    code = process.wait()
    if clock.ran_out or (hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU):
        return f"{package} took more than {limits.seconds:g} s to read it; the file may be damaged"
    ended = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else f"exit code {code}"
    return f"{package} crashed while it read the file ({ended}); the file may be damaged"
