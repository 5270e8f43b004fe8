"""The recipe of ``docs/integrations.md`` parses, and what it calls is run."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="reads the recipe")

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/integrations.md").read_text(encoding="utf-8")
(RECIPE,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
WORKFLOW = yaml.safe_load(RECIPE)


@pytest.fixture
def called(make_run, tmp_path, dsi, monkeypatch):
    """Return a function that runs a command of the recipe in a folder with
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
