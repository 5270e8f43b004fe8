"""The scripts of ``examples/`` as modules."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@contextmanager
def example_module(name: str) -> Iterator[ModuleType]:
    """Import a script, and remove it and the scripts that it imports at the end.

    Other tests have modules with the same names, such as ``models``.
    """
    own = {path.stem for path in EXAMPLES.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in own & sys.modules.keys()}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        yield importlib.import_module(name)
    for script in own & sys.modules.keys():
        del sys.modules[script]
    sys.modules.update(others)
