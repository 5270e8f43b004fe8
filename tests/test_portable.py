"""dsi without what only POSIX has: commands run in a process in which these names are missing."""

from __future__ import annotations

import subprocess
import sys

from helpers.outputs import ANIMALS, contents

pytest_plugins = ("helpers.analysed_runs",)

WITHOUT_POSIX = """
import asyncio, os, signal, sys, warnings  # on POSIX, asyncio itself imports fcntl
warnings.filterwarnings("ignore", "only soft file lock is available")
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for module, names in (
    (os, "pread pwrite preadv fork forkpty sysconf sched_getaffinity posix_fallocate getuid"),
    (signal, "pthread_sigmask pthread_kill SIGKILL SIGHUP SIGALRM alarm setitimer"),
):
    for name in names.split():
        delattr(module, name)
from dsi_cli.cli import main
main()
"""


def without_posix(*arguments):
    """Return what a command printed on stdout; it has to end with 0."""
    command = [sys.executable, "-c", WITHOUT_POSIX, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


def test_commands_without_posix_give_the_same_tables(make_run, dsi, tmp_path):
    run, out = make_run(), tmp_path / "out"
    (tmp_path / "animals.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
    assert "epoch_3.pt" in without_posix("scan", run)
    assert f"Tables     {out}" in without_posix("analyze", run, "-o", out, "--draws", 0, "--no-report")
    assert dsi("analyze", run, "-o", tmp_path / "plain", "--draws", 0, "--no-report").code == 0
    assert set(contents(out)) == set(contents(tmp_path / "plain"))
    assert "report.html" in without_posix("report", out)
    watched = without_posix("watch", run, "-o", tmp_path / "watched", "--draws", 0, "--every", "0.05s", "--idle", "0.2s")
    assert f"Tables     {tmp_path / 'watched'}" in watched
    assert "cat" in without_posix("labels", tmp_path / "animals.txt")
    without_posix("wordnet", tmp_path / "animals.txt", "-o", tmp_path / "animals.csv")
    assert "cat" in (tmp_path / "animals.csv").read_text(encoding="utf-8")
