"""dsi without what only POSIX has: commands run in a process in which these names are missing."""

from helpers import one_process
from helpers.outputs import ANIMALS, contents

QUICK = ("--draws", 0, "--no-report")
WITHOUT_POSIX = """
import asyncio, os, signal, warnings  # on POSIX, asyncio itself imports fcntl
warnings.filterwarnings("ignore", "only soft file lock is available")
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for module, names in (
    (os, "pread pwrite preadv fork forkpty sysconf sched_getaffinity posix_fallocate getuid"),
    (signal, "pthread_sigmask pthread_kill SIGKILL SIGHUP SIGALRM alarm setitimer"),
):
    for name in names.split():
        delattr(module, name)
"""


def test_commands_without_posix_give_the_same_tables(make_run, dsi, tmp_path):
    run, out, animals = make_run(), tmp_path / "out", tmp_path / "animals.txt"
    animals.write_text("\n".join(ANIMALS), encoding="utf-8")
    expected = {
        ("scan", run): "epoch_3.pt",
        ("analyze", run, "-o", out, *QUICK): f"Tables     {out}",
        ("watch", run, "-o", tmp_path / "watched", *QUICK, "--every", "0.05s", "--idle", "0.2s"): "watched",
        ("labels", animals): "cat",
        ("wordnet", animals, "-o", tmp_path / "animals.csv"): "animals.csv",
        ("report", out, "-o", tmp_path / "report.html"): "report.html",
    }
    _, *ended = one_process.run(list(expected), WITHOUT_POSIX)
    for done, text in zip(ended, expected.values(), strict=True):
        assert done.code == 0, done.err
        assert text in done.out
    assert dsi("analyze", run, "-o", tmp_path / "plain", *QUICK).code == 0
    assert set(contents(out)) == set(contents(tmp_path / "plain"))
    assert "cat" in (tmp_path / "animals.csv").read_text(encoding="utf-8")
