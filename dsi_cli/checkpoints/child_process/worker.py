"""The child's side: it handles requests from standard input, one after another, until
the input is closed.
"""

from __future__ import annotations

import io
import json
import os
from importlib import import_module
from typing import IO, Any

import numpy as np

from dsi_cli.checkpoints.child_process.client import MAX_MESSAGE_BYTES
from dsi_cli.checkpoints.file_access import RangeFile
from dsi_cli.errors import CheckpointError, PendingError

# the minimum size of a request for bytes, because libraries read headers in small parts
_BUFFER_BYTES = 8 << 10


class Channel:
    """The two pipes to the parent process."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Return the next message with its bytes; exit if the parent has ended."""
        line = self._incoming.readline()
        if not line.endswith(b"\n"):
            os._exit(0)  # the library that reads the file could swallow an exception
        message = json.loads(line)
        return message, self._incoming.read(message["bytes"])

    def send(self, message: dict[str, Any], data: bytes | memoryview = b"") -> None:
        """Send a message with its bytes."""
        line = json.dumps(message).encode()
        if len(line) > MAX_MESSAGE_BYTES:
            raise ValueError(
                f"its names and texts take {len(line)} bytes; dsi reads up to"
                f" {MAX_MESSAGE_BYTES}"
            )
        self._outgoing.write(line + b"\n")
        self._outgoing.write(data)
        self._outgoing.flush()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return a range of the file, which the parent process reads."""
        self.send({"offset": offset, "bytes": size})
        return self.receive()[1]


def _set_limits(seconds: float, memory: int) -> None:
    """Limit the time and memory of the next request, if the system supports this."""
    try:
        import resource
    except ImportError:  # Windows, where the parent's clock is the only limit
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = int(used.ru_utime + used.ru_stime + seconds) + 1
    limits = (
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, soft_limit in limits:
        hard_limit = resource.getrlimit(kind)[1]
        if hard_limit != resource.RLIM_INFINITY:
            soft_limit = min(soft_limit, hard_limit)
        try:
            resource.setrlimit(kind, (soft_limit, hard_limit))
        except (OSError, ValueError):  # macOS has no limit of the address space
            continue


def main() -> None:
    """Handle requests until standard input is closed."""
    # The output of libraries that print must not get into the replies.
    channel = Channel(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    file_number: int | None = None
    contents: Any = None
    while True:
        request, _ = channel.receive()
        _set_limits(request["seconds"], request["memory"])
        try:
            reader = import_module(
                f"dsi_cli.checkpoints.child_process.{request['reader']}"
            )
            channel.send({"is_ready": True})
            channel.receive()
            # The last file stays open, because its tensors are requested one after
            # another.
            if contents is None or file_number != request["file"]:
                file_number, contents = request["file"], None
                file = io.BufferedReader(
                    RangeFile(request["size"], channel.read_at), _BUFFER_BYTES
                )
                contents = reader.open_file(file, **request["options"])
            if request["key"] is None:
                channel.send(
                    {
                        name: getattr(contents, name)
                        for name in ("tensors", "values", "outputs", "output_axes")
                    }
                )
                continue
            array = np.ascontiguousarray(contents.read(request["key"]))
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            data = array.reshape(-1).view(np.uint8).data
            channel.send({"bytes": len(data)}, data)
        except CheckpointError as error:
            channel.send(
                {
                    "error": str(error),
                    "code": error.code,
                    "is_pending": isinstance(error, PendingError),
                }
            )
        except Exception as error:  # noqa: BLE001  the errors of libraries have no common base
            first_words = (" ".join(str(error).split()) or type(error).__name__)[:200]
            text = f"damaged, or of a kind that dsi does not read: {first_words}"
            code = "damaged"
            if isinstance(error, ImportError):
                text = f"a library cannot be imported ({first_words}); install it again"
                code = "package-missing"
            elif isinstance(error, MemoryError | RecursionError):
                text = f"it asks for too much ({type(error).__name__})"
                code = "reader-failed"
            channel.send({"error": text, "code": code, "is_pending": False})


if __name__ == "__main__":
    main()
