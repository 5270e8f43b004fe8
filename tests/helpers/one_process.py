"""Several commands, one after the other, in one process of its own: starting Python for
each of them would take seconds.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

_PROGRAM = """
import sys
{before}
modules = sorted(sys.modules)
import contextlib, io, json
from dsi_cli.cli.app import main_with_exit_code
found = []
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main_with_exit_code(arguments)
    found.append((code, out.getvalue(), err.getvalue(), sorted(sys.modules)))
print(json.dumps([modules, found]))
"""


class Done(NamedTuple):
    """How a command ended, and all modules that the process has imported by then."""

    code: int
    out: str
    err: str
    modules: set[str]


def run(commands: Sequence[Sequence[object]], before: str = "") -> list[Done]:
    """Run commands of dsi in one process, after some code; the first result is that of
    the code.
    """
    arguments = json.dumps([list(map(str, command)) for command in commands])
    process = [sys.executable, "-c", _PROGRAM.format(before=before), arguments]
    ended = subprocess.run(process, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    modules, found = json.loads(ended.stdout.splitlines()[-1])
    return [
        Done(0, "", ended.stderr, set(modules)),
        *(Done(code, out, err, set(names)) for code, out, err, names in found),
    ]
