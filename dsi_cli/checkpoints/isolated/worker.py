"""The side of the child process: answers requests from standard input, one after the other, until it is closed."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import IO, Any

import numpy as np

from dsi_cli.checkpoints.isolated.client import LARGEST_ANSWER
from dsi_cli.checkpoints.isolated.listing import FileContents
from dsi_cli.errors import CheckpointError, PendingError

_BUFFER = 8 << 10
"""Bytes that the child asks for at least: libraries read headers in small parts."""


class Channel:
    """The two pipes to the parent process."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the next message with its bytes; exits if the parent has ended."""
        line = self._incoming.readline()
        if not line.endswith(b"\n"):
            os._exit(0)  # an exception could be swallowed by the library that asked
        message = json.loads(line)
        return message, self._incoming.read(message["bytes"])

    def send(self, message: dict[str, Any], data: bytes | memoryview = b"") -> None:
        """Send a message with its bytes."""
        line = json.dumps(message).encode()
        if len(line) > LARGEST_ANSWER:
            raise ValueError(f"its names and texts take {len(line)} bytes; dsi reads up to {LARGEST_ANSWER}")
        self._outgoing.write(line + b"\n")
        self._outgoing.write(data)
        self._outgoing.flush()


class RemoteFile(io.RawIOBase):
    """A file whose bytes the parent process has."""

    def __init__(self, channel: Channel, size: int) -> None:
        self._channel = channel
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset from the start (0), from here (1) or from the end (2)."""
        self._at = max(0, offset + {0: 0, 1: self._at, 2: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the file goes; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        size = max(0, min(len(view), self._size - self._at))
        if size:
            self._channel.send({"offset": self._at, "bytes": size})
            view[:size] = self._channel.receive()[1]
            self._at += size
        return size


def _limit(seconds: float, memory: int) -> None:
    """Limit what the next request may take, where the system can."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock alone
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = int(used.ru_utime + used.ru_stime + seconds) + 1
    for what, most in ((resource.RLIMIT_CPU, processor), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(what)[1]
        try:
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (OSError, ValueError):  # macOS has no limit of the address space
            continue


class _Worker:
    """The file that was opened last, and the channel to the parent."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._file: int | None = None
        self._listing: FileContents | None = None

    def answer(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes | memoryview]:
        """Return the message and the bytes that a request asks for."""
        if self._file != request["file"] or self._listing is None:
            self._file = self._listing = None
            reader: Callable[..., FileContents] = import_module(
                f"dsi_cli.checkpoints.isolated.{request['reader']}"
            ).open_file
            file = io.BufferedReader(RemoteFile(self._channel, request["size"]), _BUFFER)
            self._listing = reader(file, **request["options"])
            self._file = request["file"]
        found = self._listing
        if request["key"] is None:
            named = {"tensors": found.tensors, "values": found.values, "outputs": found.outputs}
            return named | {"transposed": found.transposed}, b""
        array = np.ascontiguousarray(found.read(request["key"]))
        if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big"):
            array = array.astype(array.dtype.newbyteorder("<"))
        data = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
        return {"bytes": len(data)}, data


def main() -> None:
    """Answer requests until standard input is closed."""
    # Libraries that print do not get into the answers.
    channel = Channel(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    worker = _Worker(channel)
    while True:
        request, _ = channel.receive()
        _limit(request["seconds"], request["memory"])
        try:
            answer, data = worker.answer(request)
            channel.send(answer, data)
            continue
        except CheckpointError as error:
            problem, is_pending = str(error), isinstance(error, PendingError)
        except ImportError as error:
            problem, is_pending = f"a library cannot be imported ({_line(error)}); install it again", False
        except (MemoryError, RecursionError) as error:
            problem, is_pending = f"it asks for too much ({type(error).__name__})", False
        except Exception as error:  # noqa: BLE001  a library's own errors have no common base
            problem, is_pending = f"damaged, or of a kind that is not read: {_line(error)}", False
        channel.send({"error": problem, "is_pending": is_pending})


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:200]


if __name__ == "__main__":
    main()
