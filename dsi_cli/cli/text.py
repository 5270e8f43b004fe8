"""Text that a terminal can print."""

from __future__ import annotations

import sys
import unicodedata

from dsi_cli.remote import local_names


def terminal_text(text: str) -> str:
    r"""Return text that a terminal can print on one line: control and direction characters are escaped.

    >>> terminal_text("epoch_4\nnew\x1b[31m")
    'epoch_4\\nnew\\x1b[31m'
    """
    safe = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else c.encode("unicode_escape").decode()
        for c in local_names.show_urls(text)
    )
    encoding = sys.stdout.encoding or "utf-8"
    return safe.encode(encoding, "backslashreplace").decode(encoding)
