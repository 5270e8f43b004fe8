"""Print the size of the package's folders, and fail if it is too large or too dense.

    python scripts/check_size.py dsi_cli

The size is the number of nodes of the syntax tree, which no layout changes. The density
is the number of nodes per line of code. Docstrings, comments and blank lines do not
count. A number of lines would reward long lines; these two together reward less code.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

# A new thing pays for its place with something that becomes simpler. A change that
# shrinks the package lowers these limits.
MAX_NODES = 398_000
MAX_NODES_PER_LINE = 8.4


class Size(NamedTuple):
    """The size of some files."""

    files: int
    nodes: int
    lines: int

    @property
    def density(self) -> float:
        """Nodes per line of code."""
        return self.nodes / max(self.lines, 1)


def docstrings(tree: ast.AST) -> list[ast.Expr]:
    """Return the statements of a module that are only a text: docstrings of modules,
    classes, functions and attributes.
    """
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]


def file_size(text: str) -> Size:
    r"""Return the size of one module.

    >>> file_size('"A text."\\n# a comment\\nx = 1\\n')
    Size(files=1, nodes=5, lines=1)
    """
    tree = ast.parse(text)
    texts = docstrings(tree)
    nodes = sum(1 for _ in ast.walk(tree)) - 2 * len(texts)
    without_code = set()
    for node in texts:
        without_code.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
            without_code.add(token.start[0])
    lines = [
        number
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and number not in without_code
    ]
    return Size(1, nodes, len(lines))


def total(files: list[Path]) -> Size:
    """Return the size of several modules."""
    sizes = [file_size(file.read_text(encoding="utf-8")) for file in files]
    return Size(
        len(sizes), sum(size.nodes for size in sizes), sum(size.lines for size in sizes)
    )


def main(folder: str) -> int:
    """Print a row for each folder of a package; return 1 if it is above a limit."""
    root = Path(folder)
    files = sorted(root.rglob("*.py"))
    rooms = sorted({path.relative_to(root).parts[0] for path in files})
    print(f"{'':14} {'files':>5} {'nodes':>8} {'nodes a line':>12}")
    for room in rooms:
        size = total(
            [path for path in files if path.relative_to(root).parts[0] == room]
        )
        print(f"{room:14} {size.files:5} {size.nodes:8,} {size.density:12.2f}")
    size = total(files)
    print(f"{folder:14} {size.files:5} {size.nodes:8,} {size.density:12.2f}")
    if size.nodes > MAX_NODES or size.density > MAX_NODES_PER_LINE:
        print(
            f"error: at most {MAX_NODES:,} nodes and {MAX_NODES_PER_LINE} nodes a line"
            " are allowed; remove a mechanism, or split a long expression into steps"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
