"""The recipes of ``docs/integrations.md`` parse, and what they call is run; the
repository's own workflows are complete.
"""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="reads the recipes")

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/integrations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(yaml|snakemake)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
DVC, WORKFLOW = (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml")
(SNAKEFILE,) = (text for kind, text in BLOCKS if kind == "snakemake")


@pytest.fixture
def called(make_run, tmp_path, dsi, monkeypatch):
    """Return a function that runs a command of a recipe in a folder with
    checkpoints.
    """
    make_run("ckpts")
    monkeypatch.chdir(tmp_path)

    def call(command):
        program, *words = shlex.split(command)
        assert program == "dsi"
        ended = dsi(*words)
        assert ended.code == 0, f"{command}: {ended.err}"

    return call


def test_the_stages_of_dvc_make_what_they_say(called):
    for stage in DVC["stages"].values():
        assert all(Path(needed).exists() for needed in stage["deps"])
        called(stage["cmd"])
        outs = [
            name
            for out in stage["outs"]
            for name in ([out] if isinstance(out, str) else out)
        ]
        assert all(Path(made).exists() for made in outs)
    assert DVC["stages"]["similarity"]["outs"] == [{"dsi-out": {"persist": True}}]


def test_the_rules_of_snakemake_make_what_they_say(called):
    rules = re.findall(
        r'rule \w+:\n    input: "(.*)"\n    output: "(.*)"\n    shell: "(.*)"\n',
        SNAKEFILE,
    )
    assert len(rules) == SNAKEFILE.count("rule ") == 2
    assert rules[0][0] == rules[1][1], (
        "the first rule is the goal, and needs the second"
    )
    for needed, made, command in reversed(rules):
        assert Path(needed).exists()
        called(command.format(input=needed, output=made))
        assert Path(made).exists()


def test_the_steps_of_the_workflow_run(called):
    (job,) = WORKFLOW["jobs"].values()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]["optional-dependencies"]
    for step in job["steps"]:
        command = step.get("run", "")
        if step.get("shell") == "python":
            ended = subprocess.run(
                [sys.executable, "-c", command],
                capture_output=True,
                text=True,
                check=False,
            )
            assert re.match(r"epoch 3: z -?\d+\.\d\n", ended.stdout), ended.stderr
        elif command.startswith("pip"):
            (extra,) = re.fullmatch(
                r"pip install './dsi_cli-[\d.]+-py3-none-any.whl\[(\w+)\]'", command
            ).groups()
            assert extra in extras
        elif command:
            called(command)
    (upload,) = [
        step
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/upload-artifact")
    ]
    assert all(Path(path).exists() for path in upload["with"]["path"].split())
