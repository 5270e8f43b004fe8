"""The parent's side: it manages one child process that reads files, and restarts the
child after a crash.

The child opens no file itself, except for folders. It requests ranges of bytes, which
the parent reads with a `ReadAt`. A file in a zip archive or in a bucket is therefore
read like any other. Each message is a line of JSON, followed by bytes if the line
states their number.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from itertools import count
from math import prod
from pathlib import Path
from typing import Any

from dsi_cli.checkpoints.formats import CheckpointContent
from dsi_cli.checkpoints.tensors import MAX_DIMENSIONS, Storage, contiguous, itemsize
from dsi_cli.errors import PendingError, UnreadableError, is_installed

MAX_MESSAGE_BYTES = 24 << 20
"""The maximum size of the names, shapes and texts of one file; the state of a ViT-L/16
with Adam has 0.5 MB.
"""
_MAX_TENSORS = 50_000
_MAX_NAME_LENGTH = 1024
# the maximum number of characters in all names of one file
_MAX_NAME_CHARACTERS = 4 << 20
_TENSOR_BYTES_LIMIT, _TENSOR_RATIO_LIMIT = 64 << 20, 4
"""The limits of one tensor, of which the larger one counts: a size, or a multiple of
the file's size.

A file can be smaller than its tensors, because compressed zeros take little space.
"""
_IMPORT_SECONDS = 120.0
"""The limit for starting the child and importing the library, which takes long from a
cold disk or on a busy machine.
"""
_PACKAGES = {
    "hdf5": ("h5py", "keras"),
    "onnx_model": ("onnx", "onnx"),
    "flax_msgpack": ("msgpack", "jax"),
    "orbax_folder": ("tensorstore", "jax"),
    "event_file": ("tensorboard", "tensorboard"),
    "plugin": ("dsi_cli", ""),
}
"""The package that each reader needs, and the extra that installs it."""
_NO_PLUGINS = {
    "HDF5_PLUGIN_PRELOAD": "::",
    "HDF5_PLUGIN_PATH": os.devnull,
    "HDF5_VOL_CONNECTOR": "",
}
"""Without this, a file that names an unknown filter makes HDF5 run code of each library
in its folder for plug-ins.
"""
ReadAt = Callable[[int, int], bytes]
"""A function from an offset and a size to exactly these bytes of a file, such as
`RandomAccessFile.read_at`.
"""
_file_numbers = count()


def open_isolated(
    reader: str,
    file_size: int,
    read_at: ReadAt | None = None,
    seconds: float = 20.0,
    memory: int = 3 << 30,
    **options: Any,
) -> CheckpointContent:
    """Return the content of a file that a reader in the child process opens; its tree
    is flat.

    Raise `UnreadableError` if the library is not installed, the file is damaged, or
    reading it exceeds the limits, and `PendingError` if the file is incomplete.

    Parameters
    ----------
    reader : the name of a module in this package.
    file_size : the size of the file in bytes, or the size of all files in a folder.
    read_at : reads bytes of the file; None if the reader opens files by path.
    seconds : the limit of wall-clock time and of processor time for one request; each
        50 MB of the file add one second. The time in which the child imports the
        library, or the parent reads bytes for it, does not count.
    memory : the limit of address space in bytes, in addition to three times the size of
        the file.
    options : further arguments of the reader that JSON can represent.
    """
    package, extra = _PACKAGES[reader]
    if not is_installed(package):
        message = (
            f"dsi reads this format with the package {package}; run pip install"
            f" 'dsi-cli[{extra}]'"
        )
        raise UnreadableError(message, code="package-missing", package=package)
    # The child keeps the file with the last number open.
    request = {
        "reader": reader,
        "file": next(_file_numbers),
        "size": file_size,
        "options": options,
    }
    request |= {"seconds": seconds + file_size / 50e6, "memory": memory + 3 * file_size}
    contents, _ = _child(os.getpid()).exchange(request | {"key": None}, read_at)
    tensors = contents["tensors"]
    if len(tensors) > _MAX_TENSORS:
        raise UnreadableError(
            f"it has {len(tensors)} tensors; dsi reads up to {_MAX_TENSORS}",
            code="too-many-tensors",
        )

    def read(key: str, dtype: str, elements: int, start: int, size: int) -> memoryview:
        expected_size = elements * itemsize(dtype)
        if expected_size > max(_TENSOR_BYTES_LIMIT, _TENSOR_RATIO_LIMIT * file_size):
            message = (
                f"a tensor of {expected_size} bytes is more than a file of {file_size}"
                " bytes can hold"
            )
            raise UnreadableError(message, code="tensor-too-large")
        _, data = _child(os.getpid()).exchange(request | {"key": key}, read_at)
        if len(data) != expected_size:
            message = (
                f"a tensor has {len(data)} bytes, which do not fit the {expected_size}"
                " of its shape"
            )
            raise UnreadableError(message, code="size-mismatch")
        return data[start : start + size]

    # List the tensors by name. A hostile file may have names and shapes of any size.
    tree: dict[str, Any] = {}
    characters = 0
    for name, dtype, shape, key in tensors:
        characters += len(name)
        if len(name) > _MAX_NAME_LENGTH or characters > _MAX_NAME_CHARACTERS:
            message = (
                f"dsi reads names of up to {_MAX_NAME_LENGTH} letters, and"
                f" {_MAX_NAME_CHARACTERS} in all"
            )
            raise UnreadableError(
                f"{message}; one has {len(name)}", code="names-too-long"
            )
        if (
            len(shape) > MAX_DIMENSIONS
            or min(shape, default=0) < 0
            or prod(size or 1 for size in shape) >= 1 << 60
        ):
            raise UnreadableError(
                f"{name[:80]!r} has no possible shape", code="impossible-shape"
            )
        storage = Storage(
            key, dtype, prod(shape), partial(read, key, dtype, prod(shape))
        )
        tensor = contiguous(dtype, tuple(shape), storage)
        axis = contents["output_axes"].get(name)
        tensor = tensor.transposed if axis == 1 else tensor
        tree[name] = tensor._replace(has_output_rows=axis is not None)
    return CheckpointContent(tree | contents["values"], outputs=contents["outputs"])


@cache
def _child(pid: int) -> _Child:  # noqa: ARG001  a forked process needs a separate child
    return _Child()


class _Child:
    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._seconds = 0.0
        """The time that the child has left for the current request."""
        atexit.register(self._stop)

    def exchange(
        self, request: dict[str, Any], read_at: ReadAt | None
    ) -> tuple[dict[str, Any], memoryview]:
        """Return the reply to a request, and the bytes that follow it."""
        with self._lock:
            process = self._running_process()
            assert process.stdin is not None
            assert process.stdout is not None
            self._seconds = _IMPORT_SECONDS
            message, data = request, b""
            try:
                while True:
                    with self._counting(process):
                        process.stdin.write(
                            json.dumps(message | {"bytes": len(data)}).encode()
                            + b"\n"
                            + data
                        )
                        process.stdin.flush()
                        line = process.stdout.readline(MAX_MESSAGE_BYTES + 1024)
                    if not line.endswith(b"\n"):
                        raise EOFError
                    reply = json.loads(line)
                    if "is_ready" in reply:
                        self._seconds, message, data = request["seconds"], {}, b""
                        continue
                    if "offset" not in reply or read_at is None:
                        break
                    # The child requests a range of the file; the time of reading it
                    # does not count.
                    message, data = {}, read_at(reply["offset"], reply["bytes"])
                array_bytes = bytearray(reply.get("bytes", 0))
                with self._counting(process):
                    if process.stdout.readinto(array_bytes) != len(array_bytes):  # type: ignore[attr-defined]
                        raise EOFError
            except BaseException as error:
                # otherwise, the next request would receive the reply to this one
                self._stop()
                if isinstance(
                    error, OSError | ValueError | KeyError | TypeError | EOFError
                ):
                    raise _exit_error(
                        process.returncode, self._seconds, request
                    ) from None
                raise
        if "error" not in reply:
            return reply, memoryview(array_bytes)
        kind = PendingError if reply["is_pending"] else UnreadableError
        raise kind(str(reply["error"]), code=str(reply["code"]))

    @contextmanager
    def _counting(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Count the time of a block; kill the child when no time is left."""
        begin = time.monotonic()
        timer = threading.Timer(max(0.0, self._seconds), process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            self._seconds -= time.monotonic() - begin

    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        root = str(Path(__file__).resolve().parents[3])
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [root, os.environ.get("PYTHONPATH")])
            ),
        }
        environment |= dict.fromkeys(
            ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MALLOC_ARENA_MAX"), "1"
        )
        environment |= _NO_PLUGINS
        # -P, because a folder of checkpoints may hold a json.py that must not be
        # imported.
        command = [
            sys.executable,
            "-P",
            "-m",
            "dsi_cli.checkpoints.child_process.worker",
        ]
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
        except OSError as error:
            message = (
                f"dsi could not start a process to read it: {error.strerror or error}"
            )
            raise UnreadableError(message, code="no-process") from None
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with suppress(OSError):  # the child did not read all bytes
                    pipe.close()


def _exit_error(
    code: int, remaining_seconds: float, request: dict[str, Any]
) -> UnreadableError:
    package, seconds = _PACKAGES[request["reader"]][0], request["seconds"]
    if remaining_seconds <= 0 or (
        hasattr(signal, "SIGXCPU") and code == -signal.SIGXCPU
    ):
        message = (
            f"{package} did not read the file within {seconds:.3g} s, the limit for its"
            " size: the file may be damaged"
        )
        return UnreadableError(message, code="time-limit", seconds=seconds)
    if -code in set(signal.Signals):
        cause = signal.Signals(-code).name
    else:
        cause = f"exit code {code}"
    message = (
        f"{package} crashed while it read the file ({cause}): the file may be damaged"
    )
    return UnreadableError(message, code="reader-crashed", cause=cause)
