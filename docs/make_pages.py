"""Write the pages that are made from the code: ``tables.md`` from the schema,
``cli.md`` from the commands and the keys of their JSON, and the table of
``howto/faults.md`` from the kinds of suspects.

python docs/make_pages.py writes them; the tests compare.
"""

from __future__ import annotations

import re
import runpy
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer.main

from dsi_cli.analysis.option_groups.declaration import declared_options
from dsi_cli.analysis.option_groups.groups import ANALYZE
from dsi_cli.analysis.options import Evaluation
from dsi_cli.cli.app import COMMANDS, app, command_function, split_docstring
from dsi_cli.store.schema import (
    DIFF_TABLES,
    EXTRA_CURVES,
    SCHEMA_VERSION,
    TABLES,
    Column,
)
from dsi_cli.suspect_kinds import KINDS, SuspectKind

HERE = Path(__file__).parent
NEVER_NULL = "; never null"
BEGIN = (
    "<!-- made: begin (python docs/make_pages.py writes what is between the marks) -->"
)
END = "<!-- made: end -->"
BOUNDS = re.compile(
    r" *\[(?:(default: [^];]*); )?(?:required|[0-9.]*[x<>=]+[0-9.<>=x]*)\]"
)
DSI_ALONE = (
    "`dsi --version` prints the version, and `dsi --install-completion` installs shell"
    " completion."
)

EXIT_CODES = """## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | a bug in dsi |
| 2 | wrong usage |
| 3 | nothing could be analysed |
| 4 | done, but some checkpoints could not be used |
| 5 | the results could not be written |
| 6 | `dsi suspects --fail-on` found a suspect of one of its kinds or grades |
| 130, 143 | interrupted; ended by SIGTERM |
"""
JSON = """## JSON

`--json` prints one document with the keys below; null is a missing value. `dsi scan`
and options that list something print a list of records, and `dsi demo` prints what
`dsi analyze` does. `dsi watch` prints a line for each update (`event` is "updated",
with new `epochs` and `suspects`), and at last the document below. A suspect is new once
it is strong in two successive updates, and has `run`, `epoch`, `kind` and `classes`. An
error prints on stdout, too: `error`, `hint` (what to do), `code` (its stable name),
`fields` (the values that it names) and `exit_code`.

A bold name is a part: `runs.epochs` is the list `epochs` in each of the `runs`, and
NAME is any key. The page explains a key where it first appears, and
[Tables](tables.md) explains columns."""


def tables_page() -> str:
    lines = [
        "# Tables",
        "",
        (
            "A results folder holds plain Parquet files (schema version"
            f" {SCHEMA_VERSION}). The metadata of each file has the version"
        ),
        (
            "of dsi and the options that shaped it under the key `dsi`. A column with"
            " an asterisk is never null."
        ),
        (
            "`pyarrow.parquet.read_schema(FILE)` prints all columns with their types."
            " [Method](method.md) defines the values."
        ),
        "",
        (
            "Matrices are in `csms/RUN/KIND/EPOCH.parquet`, and references in"
            " `references/ID.parquet`. If an epoch was saved"
        ),
        (
            "several times, `EPOCH-STEP.parquet` holds an earlier save. You can read a"
            " whole folder as one dataset."
        ),
        "",
        (
            "`RUN` is the name of the run. Characters that some system refuses are"
            " written as `%` and their number: `lr%3D0.1`"
        ),
        (
            "is the folder of `lr=0.1`, and `%43ON` that of `CON`. A checksum replaces"
            " the end of a part of more than 240 bytes."
        ),
        (
            "If two names differ only in case, the second run gets a number (`Net` and"
            " `net-2`), because they would be one folder"
        ),
        "on macOS and Windows.",
        "",
        (
            "`.cache` is for dsi alone: later calls read it instead of checkpoints. If"
            " you delete it, the next call moves the results to `OUT-before-1` and"
            " reads all checkpoints again; give labels and other settings again, too."
        ),
        "",
        "## Columns of several tables",
        "",
        (
            "Tables of a run have `run`, and tables of an epoch also `epoch`,"
            " `epochs_completed` and `step`."
        ),
        "",
    ]
    uses = Counter(
        column
        for table in TABLES
        for column in table.columns
        if table is not EXTRA_CURVES
    )
    # Of two meanings of a name, only the more frequent one is common.
    by_name = {
        column.name: column
        for column, count in reversed(uses.most_common())
        if count > 1
    }
    common = [column for column in uses if by_name.get(column.name) == column]
    lines += column_lines(common)
    for table in (*TABLES, *DIFF_TABLES):
        own = [column for column in table.columns if column not in common]
        lines += ["", f"## `{table.path}`", "", f"One row is {table.row}."]
        if table is EXTRA_CURVES:
            lines[-1] += " The columns are those of `curves.parquet`."
        elif own:
            lines += ["", *column_lines(own)]
    return "\n".join(lines) + "\n"


def column_lines(columns: Iterable[Column]) -> list[str]:
    """Return a list item for each meaning, with the names of the columns that have
    it.
    """
    names: dict[str, list[str]] = {}
    for column in columns:
        never_null = "*" if column.meaning.endswith(NEVER_NULL) else ""
        names.setdefault(column.meaning.removesuffix(NEVER_NULL), []).append(
            f"`{column.name}`{never_null}"
        )
    return [
        f"- {', '.join(of_meaning)}: {meaning}" for meaning, of_meaning in names.items()
    ]


def cli_page() -> str:
    """Return the command reference: for each command its description, and its options
    by section.
    """
    group: Any = typer.main.get_command(app)
    context = group.make_context("dsi", [], resilient_parsing=True)
    contexts = {
        name: (
            group.commands[name].make_context(
                name, [], parent=context, resilient_parsing=True
            )
        )
        for name in COMMANDS
    }
    lines = [
        "# Command line",
        "",
        f"`dsi COMMAND --help` prints the same, with examples. {DSI_ALONE}",
    ]

    # A parameter that several commands have with the same text is listed once.
    records = {
        name: {
            one.get_help_record(contexts[name]): one
            for one in contexts[name].command.params
        }
        for name in COMMANDS
    }
    uses = Counter(record for of_command in records.values() for record in of_command)
    shared = {record for record, count in uses.items() if record and count > 1}
    every = {record for record in shared if uses[record] == len(COMMANDS)}
    listed = {
        record: (one, name)
        for name, of_command in records.items()
        for record, one in of_command.items()
        if record in shared
    }
    lines += [
        "",
        "## Shared options",
        "",
        (
            "More of them are at [`dsi analyze`](#dsi-analyze). Most commands take"
            " `--json` ([keys](#json)) and `-q`."
        ),
        "",
    ]
    lines += [
        option_line(one, contexts[name])
        for record, (one, name) in listed.items()
        if record not in records["analyze"] or record in every
    ]

    for name, command_context in contexts.items():
        command = command_context.command
        text, _ = split_docstring(command_function(name))
        lines += ["", f"## `dsi {name}`", "", text]
        left_out = every if name == "analyze" else shared
        if name == "watch":
            left_out = shared | set(records["analyze"])
            lines += [
                "",
                "The command also takes the options of [`dsi analyze`](#dsi-analyze).",
            ]
        sections: dict[str, list[Any]] = {}
        for parameter in command.params:
            record = parameter.get_help_record(command_context)
            if (
                record is None
                or record in left_out
                or (name, parameter.name) == ("watch", "checkpoints")
            ):
                continue
            title = parameter.rich_help_panel or ""
            sections.setdefault(title, []).append(parameter)
        for title, parameters in sections.items():
            names = python_names() if name == "analyze" else {}
            of_evaluation = all(
                names.get(one.name, "").startswith("Evaluation.") for one in parameters
            )
            heading = f"**{title}**" + (
                " (in Python, fields of `Evaluation`)" if of_evaluation else ""
            )
            lines += ["", *([heading, ""] if title else [])]
            lines += [
                option_line(one, command_context, {} if of_evaluation else names)
                for one in parameters
            ]
        if name not in ("analyze", "watch"):
            flags = [
                f"`{one.opts[-1] if one.param_type_name == 'option' else record[0].partition(' <')[0]}`"
                for record, one in records[name].items()
                if record in shared - every and uses[record] < 10
            ]
            lines += ["", f"Shared: {', '.join(flags)}."] if flags else []
        if name == "analyze":
            lines += ["", "**In Python alone**", "", *python_lines()]
            lines[lines.index("## `dsi analyze`") + 2] += (
                "\n\nIn Python, an option is a parameter of `dsi_cli.analyze` with the"
                " same name, unless this page gives another\none."
            )
    keys = runpy.run_path(str(HERE / "json_keys.py"))["page"]()
    return "\n".join([*lines, "", EXIT_CODES, JSON, keys]) + "\n"


def option_line(
    parameter: Any, context: Any, names: Mapping[str, str] | None = None
) -> str:
    """Return an option as a list item, with its name in Python if this is not the name
    of the flag.
    """
    flags, text = parameter.get_help_record(context)
    if parameter.param_type_name == "argument":
        flags = flags.partition(" <")[0]
    python = (names or {}).get(parameter.name, "")
    same = {flag.strip("-").replace("-", "_") for flag in parameter.opts}
    note = f" Python: `{python}`." if python and python not in same else ""
    # The help names defaults and bounds. The page has only defaults.
    text = BOUNDS.sub(lambda match: f"  [{match[1]}]" if match[1] else "", text)
    return f"- `{flags}`: {' '.join(text.split())}{note}"


def python_lines() -> list[str]:
    """Return a list item for each option that only the Python API has."""
    evaluation = {declared.field for declared in declared_options(Evaluation)}
    lines = []
    for groups in ANALYZE.values():
        for declared in (one for group in groups for one in declared_options(group)):
            if declared.option.is_python_only:
                prefix = "Evaluation." if declared.field in evaluation else ""
                lines.append(f"- `{prefix}{declared.field}`: {declared.option.help}")
    return lines


def python_names() -> dict[str, str]:
    """Return the name in Python of each option of ``dsi analyze``, by the parameter of
    the command.
    """
    evaluation = {declared.field for declared in declared_options(Evaluation)}
    names = {}
    for declared in (
        declared
        for groups in ANALYZE.values()
        for group in groups
        for declared in declared_options(group)
    ):
        if declared.field in evaluation:
            names[declared.parameter] = f"Evaluation.{declared.field}"
        elif not declared.option.is_terminal_only:
            names[declared.parameter] = declared.field
    return names


def faults_page() -> str:
    """Return the guide to suspects with a table of their kinds."""
    lines = [
        "| question | kind | what dsi sees | next step |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {kind.question} | `{kind.name}` | {kind.sees} | {next_step(kind)}. |"
        for kind in KINDS
    ]
    page = (HERE / "howto/faults.md").read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return "\n".join([before + begin, "", *lines, "", end + after])


def next_step(kind: SuspectKind) -> str:
    """Return the next step that needs the most evidence, with letters as classes."""
    steps = [kind.next_step, *(one.next_step for one in kind.measured.values())]
    known = [step for step in steps if step is not None]
    return known[-1].format(
        all="these classes",
        first="A",
        last="B",
        quoted=["A", "B"],
        index="INDEX",
        better="SYNSET",
    )


PAGES = {
    "tables.md": tables_page,
    "cli.md": cli_page,
    "howto/faults.md": faults_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
