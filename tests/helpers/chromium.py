"""Where Chromium is, which the tests of pages drive."""

from __future__ import annotations

import shutil

import pytest


def require_chromium(*, module: bool = False) -> str:
    """Return the path of the distribution's Chromium; skip the test, or the whole module, if there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs the distribution's Chromium: apt-get install chromium", allow_module_level=module)
    return path
