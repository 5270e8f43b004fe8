"""Load objects of the user's code by the specification ``file.py:NAME``. This runs the
code.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from dsi_cli.errors import UsageError, wrong

_SPEC = re.compile(r"(?P<file>.+\.py):(?P<name>[^\W\d]\w*)")


def _split_spec(spec: str) -> tuple[Path, str]:
    """Return the file of a specification, and the name in it."""
    match = _SPEC.fullmatch(spec)
    assert match is not None
    return Path(match["file"]), match["name"]


def is_function(spec: str) -> bool:
    """Return True for a text ``file.py:NAME``.

    >>> is_function("data.py:test_set"), is_function("data/test")
    (True, False)
    """
    return _SPEC.fullmatch(spec) is not None


def code_files(spec: str) -> list[Path]:
    """Return the files of the user's code: the file, and those in its folder that it
    imports.

    Imports are followed from file to file, including those within functions. Installed
    packages are ignored. No code is run. The list is empty if the file is missing.
    """
    file, _ = _split_spec(spec)
    if not file.is_file():
        return []
    finder = ModuleFinder(path=[str(file.parent.absolute())])
    with contextlib.suppress(
        Exception
    ):  # for example, a syntax error, which is reported when the code is run
        finder.load_file(str(file))
    paths = (getattr(module, "__file__", None) for module in finder.modules.values())
    return sorted({file, *(Path(path) for path in paths if path is not None)})


@contextlib.contextmanager
def importable(spec: str) -> Iterator[None]:
    """Allow the user's code to import the modules next to its file, including new
    ones.
    """
    folder = str(_split_spec(spec)[0].parent.absolute())
    sys.path.insert(0, folder)
    # the import system may miss files that were created within the clock's resolution
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)


def load_object(spec: str) -> Callable[..., Any]:
    """Return the callable of a specification; call this within `importable`.

    The folder of the code stays at the end of ``sys.path``, because a data set may
    import a module when it loads an image. At the end, it does not hide modules of dsi
    and of libraries.

    Raise `UsageError` if the file or the name does not exist, or the import fails.
    """
    file, name = _split_spec(spec)
    folder = str(file.parent.absolute())
    if not file.is_file():
        raise wrong(
            spec,
            "a Python file",
            f"nothing at {file}",
            "check the path",
            code="file-missing",
            path=str(file),
        )
    if sys.path.count(folder) < 2:  # the first entry is that of `importable`
        sys.path.append(folder)
    with call_user_code(spec, "a module that can be imported"):
        function = getattr(_from_file(file), name, None)
    if not callable(function):
        raise wrong(
            spec,
            f"a function {name!a} in {file}",
            "none",
            "check its name",
            code="unknown-function",
            name=name,
        )
    return function


@contextlib.contextmanager
def call_user_code(spec: str, expected: str) -> Iterator[None]:
    """Run the user's code within this context, which converts all its exceptions and
    exits to a `UsageError`.
    """
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())
        raise wrong(
            spec,
            expected,
            f"that it fails ({type(error).__name__}: {text})",
            "correct it",
            code="user-code-failed",
            spec=spec,
        ) from error


def _from_file(path: Path) -> Any:
    # The module has the name of its file, unless another module has this name, such as
    # Python's `random`.
    name, existing = path.stem, sys.modules.get(path.stem)
    is_same = (
        existing is not None
        and Path(getattr(existing, "__file__", None) or "").absolute()
        == path.absolute()
    )
    if name in sys.stdlib_module_names or (existing is not None and not is_same):
        name = f"{name}_{zlib.crc32(str(path.absolute()).encode(errors='surrogateescape')):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
