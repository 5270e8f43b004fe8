"""Write the pages that are made from the code: ``tables.md`` from the schema, ``cli.md`` from the commands.

python docs/make_pages.py writes them; the tests compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer.main

from dsi_cli.analysis.option_groups.declaration import declared_options
from dsi_cli.analysis.option_groups.groups import ANALYZE
from dsi_cli.analysis.options import Evaluation
from dsi_cli.cli.app import COMMANDS, app, command_function, split_docstring
from dsi_cli.store.schema import SCHEMA_VERSION, TABLES

HERE = Path(__file__).parent


def tables_page() -> str:
    lines = [
        "# Tables",
        "",
        f"A results folder holds plain Parquet files, schema version {SCHEMA_VERSION}. The metadata of each file has the version",
        "of dsi and the options under the key `dsi`.",
        "",
        "Matrices are in `csms/RUN/KIND/EPOCH.parquet`. If an epoch was saved several times, this file has the last save, and",
        "`EPOCH-STEP.parquet` has an earlier one. You can read a whole folder as one dataset. References are in",
        "`references/ID.parquet`.",
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
    """Return the command reference: for each command its description, its options by section, and examples."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("dsi", [], resilient_parsing=True)
    lines = ["# Command line", "", group.help, "", *usage(group, context), *option_table("Options", group.params, context)]
    lines += ["", "| command | purpose |", "|---|---|"]
    lines += [f"| [`{name}`](#dsi-{name}) | {purpose} |" for name, purpose in COMMANDS.items()]
    contexts = {
        name: group.commands[name].make_context(name, [], parent=context, resilient_parsing=True) for name in COMMANDS
    }

    # The options that all commands share are listed once.
    records = [{parameter.get_help_record(one) for parameter in one.command.params} for one in contexts.values()]
    shared = set.intersection(*records)
    common = [one for one in contexts["analyze"].command.params if one.get_help_record(contexts["analyze"]) in shared]
    lines += option_table("Options of every command", common, contexts["analyze"])

    for name, command_context in contexts.items():
        command = command_context.command
        text, examples = split_docstring(command_function(name))
        lines += ["", f"## `dsi {name}`", "", text, "", *usage(command, command_context)]
        inherited = shared
        if name == "watch":
            inherited = shared | records[list(contexts).index("analyze")]
            lines += ["", "The command also takes the options of [`dsi analyze`](#dsi-analyze)."]
        sections: dict[str, list[Any]] = {}
        for parameter in command.params:
            record = parameter.get_help_record(command_context)
            if record is None or record in inherited:  # the record of a hidden option is None
                continue
            is_argument = parameter.param_type_name == "argument"
            title = parameter.rich_help_panel or ("Arguments" if is_argument else "Options")
            sections.setdefault(title, []).append(parameter)
        for title, parameters in sections.items():
            lines += option_table(title, parameters, command_context, python_names() if name == "analyze" else {})
        lines += ["", "Examples:", "", "```sh", *(line.strip() for line in examples), "```"]
    return "\n".join(lines) + "\n"


def usage(command: Any, context: Any) -> list[str]:
    """Return the usage line of a command as a block."""
    return ["```text", " ".join([context.command_path, *command.collect_usage_pieces(context)]), "```"]


def option_table(title: str, parameters: Iterable[Any], context: Any, names: Mapping[str, str] | None = None) -> list[str]:
    """Return a section of options as a table, with the names in Python if there are any."""
    column, rule = (" Python |", "---|") if names else ("", "")
    lines = ["", f"**{title}**", "", f"| option | meaning |{column}", f"|---|---|{rule}"]
    for parameter in parameters:
        flags, text = (part.replace("|", "\\|") for part in parameter.get_help_record(context))
        if parameter.param_type_name == "argument":
            flags = flags.partition(" <")[0]
        python = names.get(parameter.name, "") if names else ""
        lines.append(f"| `{flags}` | {text} |" + (f" {python} |" if names else ""))
    return lines


def python_names() -> dict[str, str]:
    """Return the name in Python of each option of ``dsi analyze``, by the parameter of the command."""
    evaluation = {declared.field for declared in declared_options(Evaluation)}
    names = {}
    for declared in (declared for groups in ANALYZE.values() for group in groups for declared in declared_options(group)):
        if declared.field in evaluation:
            names[declared.parameter] = f"`Evaluation.{declared.field}`"
        elif not declared.option.is_terminal_only:
            names[declared.parameter] = f"`{declared.field}`"
    return names


PAGES = {"tables.md": tables_page, "cli.md": cli_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
