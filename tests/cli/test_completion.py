"""What a shell proposes, asked as a shell asks."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from helpers.outputs import heads, save_head, write_checkpoints

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.cli.app import main_with_exit_code


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Return a results folder with a run of the epochs 0 and 1, and one of the epochs
    10 and 11.
    """
    folder = tmp_path_factory.mktemp("completion")
    write_checkpoints(folder / "runs" / "fast", 2)
    for epoch, weight in enumerate(heads(2), start=10):
        save_head(folder / "runs" / "slow" / f"epoch_{epoch}.pt", weight, epoch=epoch)
    analyze([folder / "runs"], folder / "out", Options(draws=0))
    return folder / "out"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dsi ana", ["analyze"]),
        ("dsi analyze x --labels cif", ["cifar10", "cifar100"]),
        ("dsi analyze x --measure s", ["ssim", "spearman"]),
        ("dsi analyze x --mo", ["--model", "--model-arg"]),
        ("dsi plot x a", ["agreement", "animation"]),
        ("dsi analyze ./x", []),
        ("dsi neighbors {out} --run ", ["fast", "slow"]),
        ("dsi neighbors {out} --run slow --epoch ", ["10", "11"]),
        ("dsi export {out} --epoch 1", ["1", "10", "11"]),
        ("dsi neighbors {out} --class c", ["cat"]),
        ("dsi neighbors {out}/gone --class c", []),
    ],
)
def test_completion_of_a_line_in_bash_proposes_the_words(
    line, expected, out, monkeypatch, capfd
):
    line = line.format(out=out)
    cursor = len(shlex.split(line)) - (not line.endswith(" "))
    for name, value in {
        "COMP_WORDS": line,
        "COMP_CWORD": str(cursor),
        "_DSI_COMPLETE": "complete_bash",
    }.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main_with_exit_code([])
    assert capfd.readouterr().out.split() == expected


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_show_completion_prints_a_script_that_works_in_bash(tmp_path):
    (tmp_path / "dsi").write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dsi_cli "$@"\n',
        encoding="utf-8",
    )
    (tmp_path / "dsi").chmod(0o755)
    shown = subprocess.run(
        [tmp_path / "dsi", "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    asked = (
        f"{shown}\nCOMP_WORDS=(dsi repo); COMP_CWORD=1; _dsi_completion dsi; echo"
        ' "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "--norc", "-c", asked],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "report\n"
