"""Reject docstrings that begin with a fragment, and public names without an example:
``python scripts/check_docstrings.py FOLDER...`` exits with 1 if there are any.

A docstring of a function begins with a verb ("Return ..."), any other with a noun
phrase ("The ..."). Fragments that continue a line above them ("Of the two ...",
"Whether ...") are not understood where documentation and editors show them alone.

A public name is one in ``__all__`` of the folder. Pytest runs its example (``>>>``).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

FRAGMENT = re.compile(
    r"(Of|That|Those|Where|Which|Whose|What|How|Why|Whether|Also|It|As of|The same)\b"
)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each docstring, those of attributes and constants
    included.
    """
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            is_text = isinstance(statement, ast.Expr) and isinstance(
                statement.value, ast.Constant
            )
            if is_text and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value.strip()


def without_example(folder: Path) -> list[str]:
    """Return the names in ``__all__`` of a package whose functions and classes have no
    example.
    """
    nodes = {
        path: ast.parse(path.read_text(encoding="utf-8")).body
        for path in sorted(folder.rglob("*.py"))
    }
    public: set[str] = set()
    for node in nodes.get(folder / "__init__.py", []):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            public = set(ast.literal_eval(node.value))
    shown = {"__version__"}
    for node in (node for of_module in nodes.values() for node in of_module):
        if isinstance(node, ast.Assign) and ast.unparse(node.value) in shown:
            shown.add(ast.unparse(node.targets[0]))  # another name of a function
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            text = ast.get_docstring(node) or ""
            shown |= {node.name} if ">>> " in text else set()
    return sorted(public - shown)


def main(folders: list[str]) -> int:
    """Print the docstrings that begin with a fragment, and the public names without an
    example; return 0 if there are none, 1 if there are, 2 without any file.
    """
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    if not paths:
        print(
            f"no Python files in {', '.join(folders) or 'no folder'}: give the folders"
            " to check"
        )
        return 2
    found = [
        f"{path}:{line}: {text.splitlines()[0]}"
        for path in paths
        for line, text in docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if FRAGMENT.match(text)
    ]
    print(*found, sep="\n", end="\n" if found else "")
    if found:
        print(
            f"{len(found)} docstrings begin with a fragment: begin with a verb"
            " (functions) or with a noun phrase"
        )
    missing = [name for folder in folders for name in without_example(Path(folder))]
    if missing:
        print(f"no example in the docstring: {', '.join(missing)}")
    return 1 if found or missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
