"""Arrow without pandas, for commands that make no DataFrame."""

from __future__ import annotations

import sys


class _NoPandas:
    """A finder of modules that finds no pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        """Raise `ImportError` for pandas, and leave other modules to other finders."""
        if name == "pandas":
            raise ImportError(name)


def start_without_pandas() -> None:
    """Let Arrow look for pandas now, and find none.

    Arrow imports pandas for its first array, to recognise a Series. This takes half as
    long as a small analysis. A later ``to_pandas`` finds pandas as usual. Until then
    Arrow takes a Series for a sequence, in which NaN is a value unless
    ``from_pandas=True``. So this is for commands alone, not for programs that import
    dsi.
    """
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([0])
    finally:
        sys.meta_path.remove(finder)
