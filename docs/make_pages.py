"""Write the pages that are made from the code: ``tables.md`` from the schema, ``cli.md`` from the commands.

python docs/make_pages.py writes them; the tests compare.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

from dsi_cli.store.schema import SCHEMA_VERSION, TABLES

HERE = Path(__file__).parent


def tables_page() -> str:
    lines = [
        "# Tables",
        "",
        "An output folder holds plain Parquet, schema version "
        f"{SCHEMA_VERSION}. Each file's metadata has, under the key `dsi`, the version and the options that shaped it.",
        "",
        "Matrices lie in `csms/RUN/KIND/EPOCH.parquet`; where an epoch was saved several times, that is its last save and the",
        "earlier ones are `EPOCH-STEP.parquet`. A whole folder reads as one dataset. References: `references/ID.parquet`.",
    ]
    for table in TABLES:
        lines += [
            "",
            f"## `{table.path}`",
            "",
            f"A row is {table.row}.",
            "",
            "| column | type | meaning |",
            "|---|---|---|",
        ]
        lines += [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in table.columns]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    command = [
        sys.executable,
        "-m",
        "typer",
        "dsi_cli.cli.app",
        "utils",
        "docs",
        "--name",
        "dsi",
        "--title",
        "Command line",
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return re.sub(r"\x08\nExamples:\n((?:  .*\n)+)", _examples, html.unescape(made)).strip() + "\n"


def _examples(found: re.Match[str]) -> str:
    """Return the examples of a verb as a block; on the terminal they stand below its options."""
    lines = (f"$ {line.strip()}" for line in found[1].splitlines())
    return "\n".join(["**Examples**:", "", "```console", *lines, "```", ""])


PAGES = {"tables.md": tables_page, "cli.md": cli_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
