"""What a shell proposes, asked as a shell asks."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys

import pytest

pytest_plugins = ("helpers.analysed_runs",)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Return a folder with what completion reads of an output, analysed for real."""
    from helpers.outputs import ANIMALS, heads, save_head

    from dsi_cli.analysis.analyze import analyze
    from dsi_cli.analysis.options import Options

    folder = tmp_path_factory.mktemp("completion")
    for run, first in (("fast", 0), ("slow", 10)):
        (folder / "runs" / run).mkdir(parents=True)
        (folder / "runs" / run / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
        for epoch, weight in enumerate(heads(2), start=first):
            save_head(folder / "runs" / run / f"epoch_{epoch}.pt", weight, epoch=epoch)
    analyze([folder / "runs"], folder / "out", Options(draws=0))
    return folder / "out"


def proposed(line):
    """Return what bash would be given for a line that ends where the cursor stands."""
    words = shlex.split(line)
    number = len(words) - (not line.endswith(" "))
    environment = {**os.environ, "COMP_WORDS": line, "COMP_CWORD": str(number), "_DSI_COMPLETE": "complete_bash"}
    command = [sys.executable, "-m", "dsi_cli"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dsi ana", ["analyze"]),
        ("dsi analyze x --labels cif", ["cifar10", "cifar100"]),
        ("dsi analyze x --measure s", ["ssim", "spearman"]),
        ("dsi analyze x --lab", ["--labels", "--label-column"]),
        ("dsi plot x s", ["scatter", "sai", "severity"]),
        ("dsi analyze ./x", []),
        ("dsi neighbors {out} --run ", ["fast", "slow"]),
        ("dsi neighbors {out} --run slow --epoch ", ["10", "11"]),
        ("dsi export {out} --epoch 1", ["1", "10", "11"]),
        ("dsi neighbors {out} --class c", ["cat"]),
        ("dsi neighbors {out}/gone --class c", []),
    ],
)
def test_bash_is_given(line, expected, out):
    assert proposed(line.format(out=out)) == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_that_is_shown_works_in_bash(tmp_path):
    (tmp_path / "dsi").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dsi_cli "$@"\n', encoding="utf-8")
    (tmp_path / "dsi").chmod(0o755)
    shown = subprocess.run(
        [tmp_path / "dsi", "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    asked = f'{shown}\nCOMP_WORDS=(dsi repo); COMP_CWORD=1; _dsi_completion dsi; echo "${{COMPREPLY[@]}}"'
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "--norc", "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "report\n"
