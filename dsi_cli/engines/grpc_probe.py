"""Whether a gRPC server answers at an address: Ray itself tries for minutes, and tells of each attempt."""

from __future__ import annotations

import os
import socket

TIMEOUT_S = 5.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""HTTP/2's, with an empty SETTINGS frame (RFC 9113, section 3.4); a server sends its own SETTINGS at once."""
_SETTINGS = 0x04


def reason_no_answer(host: str, port: int) -> str | None:
    """Return why nobody can be spoken to there, None where a server of the right kind answers within `TIMEOUT_S`."""
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as line:
            if os.environ.get("RAY_USE_TLS", "0") in ("1", "true"):
                return None  # who speaks TLS says nothing to strangers
            line.sendall(_PREFACE)
            answer = line.recv(4)
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} seconds"
    except OSError as error:
        return str(error.strerror or error)
    return None if answer[3:4] == bytes([_SETTINGS]) else "what answers there is not Ray"
