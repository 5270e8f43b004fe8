"""A plugin: modules without examples are not imported to look for doctests, which takes
seconds for some libraries.
"""

from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out modules of the package and of the helpers whose text has no example."""
    is_module = collection_path.suffix == ".py" and not collection_path.name.startswith(
        "test_"
    )
    return (
        True
        if is_module and ">>> " not in collection_path.read_text(encoding="utf-8")
        else None
    )
