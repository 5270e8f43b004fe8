"""``file.py:NAME`` or ``module:NAME`` -> what the user's code has under that name. The user asked for it: it is run."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from modulefinder import ModuleFinder
from pathlib import Path
from typing import Any

from dsi_cli.errors import UsageError

_SPEC = re.compile(r"(?P<place>.+):(?P<name>[^\W\d]\w*)")


def is_function(spec: str) -> bool:
    """Return whether a text is ``module:NAME`` or ``file.py:NAME``.

    Examples
    --------
    >>> is_function("my.data:test_set"), is_function("data/test")
    (True, False)
    """
    return _SPEC.fullmatch(spec) is not None


def file_of(spec: str) -> Path | None:
    """Return the file that a specification names, None where it names a module."""
    place = _parts(spec)[0]
    return Path(place) if place.endswith(".py") else None


def code_of(spec: str) -> Path | None:
    """Return the file whose code a specification names; None where there is none that can be found. Within `findable`.

    Nothing is run, the packages that a module lies in included: ``importlib.util.find_spec`` alone would import these.
    """
    file = file_of(spec)
    if file is None:
        first, *rest = _parts(spec)[0].split(".")
        try:
            found, name = importlib.util.find_spec(first), first
            for part in rest:
                name = f"{name}.{part}"
                folders = None if found is None else found.submodule_search_locations
                found = None if folders is None else PathFinder.find_spec(name, [*folders])
        except (ImportError, ValueError):  # an empty part, or a module that was made by hand
            return None
        file = Path(found.origin) if found is not None and found.origin is not None else None
    return file if file is not None and file.is_file() else None


def files_of(spec: str) -> list[Path]:
    """Return the files of the user's code that a specification names: the module's own, and those in its folder that it imports.

    Imports are followed from file to file, those within functions included. Nothing is run, and what is installed does not count.
    The list is empty if no file is found.
    """
    with findable(spec):
        file = code_of(spec)
    if file is None:
        return []
    finder = ModuleFinder(path=[str(_folder(spec))])
    with contextlib.suppress(Exception):  # a syntax error, for one: the function itself will report it when it is run
        if file_of(spec) is not None:
            finder.load_file(str(file))
        else:
            finder.import_hook(_parts(spec)[0])
    paths = (getattr(module, "__file__", None) for module in finder.modules.values())
    return sorted({file, *(Path(path) for path in paths if path is not None)})


@contextlib.contextmanager
def findable(spec: str) -> Iterator[None]:
    """Let the user's code import the modules next to its file, or in the working folder, also those written a moment ago."""
    place = str(_folder(spec))
    sys.path.insert(0, place)
    importlib.invalidate_caches()  # a folder is listed again only where its time has changed, which has a grain
    try:
        yield
    finally:
        sys.path.remove(place)


def _folder(spec: str) -> Path:
    """Return the folder that the modules of a specification are looked for in."""
    file = file_of(spec)
    return (file.parent if file is not None else Path()).absolute()


def find(spec: str) -> Callable[..., Any]:
    """Return the object that a specification names, something to call; within `findable`.

    The folder of the code stays on the path, as its last part: a data set may import a module when it is asked for an image, and
    dsi and the libraries find their own modules as before.

    Raises
    ------
    UsageError
        There is no such file, module or name, or importing it fails.
    """
    place, name = _parts(spec)
    file = file_of(spec)
    if file is not None and not file.is_file():
        raise UsageError(f"{spec}: expected a Python file, found nothing at {place}; check the path")
    if sys.path.count(str(_folder(spec))) < 2:  # the first is that of `findable`
        sys.path.append(str(_folder(spec)))
    with call_user_code(spec, "a module that can be imported"):
        module = _from_file(file) if file is not None else importlib.import_module(place)
        function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"{spec}: expected a function {name!a} in {place}, found none; check its name")
    return function  # type: ignore[no-any-return]


@contextlib.contextmanager
def call_user_code(spec: str, wanted: str) -> Iterator[None]:
    """Run the user's code in this: whatever it raises, an exit included, is a `UsageError`, see `failed`."""
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise failed(spec, wanted, error) from error


def failed(spec: str, wanted: str, error: BaseException) -> UsageError:
    """Return the error for the user's code that raised something."""
    text = " ".join(str(error).split())
    return UsageError(f"{spec}: expected {wanted}, found that it fails ({type(error).__name__}: {text}); correct it")


def _parts(spec: str) -> tuple[str, str]:
    match = _SPEC.fullmatch(spec)
    assert match is not None
    return match["place"], match["name"]


def _from_file(path: Path) -> Any:
    name = _name_of_module(path)
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


def _name_of_module(path: Path) -> str:
    """Return the name that a file gets as a module: its stem, unless another module has it, such as Python's own `random`."""
    there = sys.modules.get(path.stem)
    is_same = there is not None and Path(getattr(there, "__file__", None) or "").absolute() == path.absolute()
    is_taken = path.stem in sys.stdlib_module_names or (there is not None and not is_same)
    return f"{path.stem}_{zlib.crc32(str(path.absolute()).encode(errors='surrogateescape')):08x}" if is_taken else path.stem
