"""Kill an analysis at random moments: ``python tests/helpers/killed_processes.py RUN
OUT KILLS SEED`` prints what was found.

The analysis is ``dsi analyze`` in a child of this process, which has already imported
everything, so that a kill hits the work and not the imports, and 200 kills take
minutes. The moments are spread over the files that an analysis writes.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pyarrow.parquet as pq

from dsi_cli.analysis.cache import Cache
from dsi_cli.analysis.previous_plan import FILE
from dsi_cli.cli.app import main_with_exit_code
from dsi_cli.store.layout import CACHE, OUR_NAMES, REPORT

ANEW = 0.3
"""How often what was left is thrown away, so that beginnings are killed as often as
ends.
"""
PAUSE_SECONDS = 0.02
"""The longest pause between the file that is waited for and the kill, which hits the
work until the next file as well.
"""
QUICK = ("--permutations", "0", "--measure", "cosine", "--quiet")
FINAL = OUR_NAMES - {".lock", ".tmp"}


def arguments(run: Path, out: Path) -> list[str]:
    """Return the command that is killed, and that is called once more in the end."""
    return ["analyze", str(run), "-o", str(out), *QUICK]


def started(run: Path, out: Path, then: Callable[[], None] = lambda: None) -> int:
    """Return the number of a process that analyses, and calls a function when it
    has.
    """
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = main_with_exit_code(arguments(run, out))
            then()
        finally:
            os._exit(code)
    return child


def preload(run: Path, out: Path) -> None:
    """Load every module that an analysis loads, as a child tells that has done one."""
    read, write = os.pipe()

    def tell() -> None:
        with os.fdopen(write, "w") as pipe:
            pipe.write(json.dumps(list(sys.modules)))

    child = started(run, out, tell)
    os.close(write)
    with os.fdopen(read) as pipe:
        names = json.loads(pipe.read())
    assert ended(child) == 0
    for name in names:
        with suppress(ImportError):  # made at run time, not found by name
            import_module(name)


def wait_for_first_write(child: int, out: Path) -> bool:
    """Wait until a process has written its number into the lock; return whether it did
    before it ended.
    """
    lock, told = out / ".lock", f"process {child}".encode()
    while True:
        try:
            if lock.read_bytes() == told:
                return True
        except OSError:
            pass  # not there yet
        if is_over(child):
            return False
        time.sleep(0.0002)


def is_over(child: int) -> bool:
    """Return whether a process has ended; it can still be asked how."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ended(child: int) -> int:
    """Return how a process ended: its exit code, or the negative number of a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def torn(out: Path) -> list[str]:
    """Return what is not as it must be: files with a final name that cannot be read,
    and names that do not belong there.
    """
    wrong = []
    for path in sorted(out.rglob("*")):
        place = path.relative_to(out)
        if place.parts[0] in (".tmp", ".lock") or path.is_dir():
            continue
        if str(place) == f"{CACHE}/{FILE}":
            json.loads(path.read_text(encoding="utf-8"))
            continue
        if place.parts[0] == CACHE:
            _, kind, key = place.parts
            if Cache(out).get(kind, key) is None:
                wrong.append(f"{place}: damaged")
            continue
        if str(place) == REPORT:
            if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
                wrong.append(f"{place}: no end")
            continue
        try:
            pq.read_table(path, partitioning=None)
        except Exception as error:  # noqa: BLE001 - whatever a reader says, the file is torn
            wrong.append(f"{place}: {type(error).__name__}: {error}")
        if place.parts[0] not in FINAL or path.suffix != ".parquet":
            wrong.append(f"{place}: a stray")
    return wrong


def files(out: Path) -> int:
    """Return how many tables there are."""
    return sum(
        name.endswith(".parquet")
        for top, _, names in os.walk(out)
        if ".tmp" not in top
        for name in names
    )


def main(run: Path, out: Path, kills: int, seed: int) -> None:
    """Kill until it was done often enough; leave what the last one left."""
    dice = random.Random(seed)
    preload(run, out)
    most = files(out)
    left: list[int] = []
    wrong: list[str] = []
    while len(left) < kills:
        # Begin anew where an analysis was finished, and now and then otherwise.
        if files(out) == most or dice.random() < ANEW:
            shutil.rmtree(out)
        child = started(run, out)
        if not wait_for_first_write(child, out):
            raise RuntimeError(f"ended before it wrote anything: {ended(child)}")
        wanted = dice.randrange(files(out), most + 1)
        while files(out) < wanted and not is_over(child):
            time.sleep(0.0002)
        time.sleep(dice.random() * PAUSE_SECONDS)
        os.kill(child, signal.SIGKILL)
        was_killed = ended(child) == -signal.SIGKILL
        wrong += torn(out)
        if was_killed:
            left.append(files(out))
    print(json.dumps({"files_left": left, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
