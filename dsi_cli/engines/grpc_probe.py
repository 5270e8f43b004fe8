"""A test whether a gRPC server responds at an address. Ray itself tries for minutes, and prints each attempt."""

from __future__ import annotations

import os
import socket

TIMEOUT_S = 5.0
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""The connection preface of HTTP/2 with an empty SETTINGS frame (RFC 9113, section 3.4); a server replies with its SETTINGS."""
_SETTINGS = 0x04


def reason_no_response(host: str, port: int) -> str | None:
    """Return why no gRPC server responds, or None if one responds within `TIMEOUT_S`."""
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("1", "true"):
                return None  # a TLS server does not respond to plain text
            connection.sendall(_PREFACE)
            reply = connection.recv(4)
    except TimeoutError:
        return f"no response within {TIMEOUT_S:g} seconds"
    except OSError as error:
        return str(error.strerror or error)
    return None if reply[3:4] == bytes([_SETTINGS]) else "the server there is not Ray"
