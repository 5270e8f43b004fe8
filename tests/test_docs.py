"""The commands and examples of the README and the docs do what they say."""

import ast
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from helpers.outputs import suspect, write_suspects

from dsi_cli.checkpoints.formats import FORMATS
from dsi_cli.checkpoints.trainers import TRAINERS
from dsi_cli.labels.presets import PRESETS, load_preset

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
ELSEWHERE = ("cli.md", "README.md", "index.md")
"""Pages without examples, or that test_packaging follows in a clean environment."""
TARGETS = set(
    re.findall(
        r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
Programs = Mapping[str, list[str]]
OURS: Programs = {"python": [sys.executable], "dsi": [sys.executable, "-m", "dsi_cli"]}


def blocks(page: Path, language: str) -> list[str]:
    return [
        text
        for kind, text in BLOCK.findall(page.read_text(encoding="utf-8"))
        if kind == language
    ]


def commands_of(text: str) -> list[str]:
    return [
        line.split("  #")[0].split(" # ")[0].strip()
        for line in text.splitlines()
        if line
    ]


def commands(page: Path) -> list[str]:
    return [command for text in blocks(page, "sh") for command in commands_of(text)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The results of ``dsi demo``."""
    folder = tmp_path_factory.mktemp("demo")
    run([*OURS["dsi"], "demo", "--quiet"], folder, None)
    return folder / "dsi-demo"


def run(
    command: list[str], folder: Path, environment: dict[str, str] | None
) -> list[str]:
    """Run a command, and return what it prints to both streams."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}\n{done.stderr}"
    return [done.stdout, done.stderr]


def follow(
    page: Path,
    folder: Path,
    programs: Programs = OURS,
    environment: dict[str, str] | None = None,
    shell: str = "sh",
) -> None:
    """Run the commands and the Python examples of a page in their order, and compare
    what they print with the text below them.

    Of the targets of make, only the demo is made. A line of three dots in a text stands
    for lines that are left out, and lines may be wrapped.
    """
    content, printed, end = page.read_text(encoding="utf-8"), list[str](), 0
    for block in BLOCK.finditer(content):
        kind, text = block.groups()
        is_output = (
            kind == "text" and printed and not content[end : block.start()].strip()
        )
        for part in text.split("...\n") if is_output else []:
            assert " ".join(part.split()) in " ".join(" ".join(printed).split())
        printed, end = [], block.end()
        if kind == "python":
            printed += run(
                [*programs["python"], "-W", "error:::__main__", "-c", text],
                folder,
                environment,
            )
        for command in commands_of(text) if kind == shell else []:
            name, *arguments = shlex.split(os.path.expandvars(command))
            if name == "make":
                assert arguments[0] in TARGETS, (
                    f"{command}: the Makefile has no such target"
                )
            if [name, *arguments] == ["make", "demo"]:
                printed += run([*programs["dsi"], "demo"], folder, environment)
            elif name != "make":
                printed += run(
                    [*programs.get(name, [name]), *arguments], folder, environment
                )


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name not in ELSEWHERE],
    ids=lambda page: page.name,
)
def test_every_command_and_example_runs_in_its_order(page, demo, tmp_path):
    """The reader has checkpoints in ``ckpts``, and the demo's results unless the page
    makes them.
    """
    shutil.copytree(
        str(files("dsi_cli.demo") / "runs" / "cifar100-cnn"), tmp_path / "ckpts"
    )
    if not {"make demo", "dsi demo"} & set(commands(page)):
        shutil.copytree(demo, tmp_path / "dsi-demo")
    follow(page, tmp_path)


@pytest.mark.slow
def test_example_with_planted_faults_prints_what_its_page_shows(tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    follow(ROOT / "docs/howto/faults.md", tmp_path, shell="bash")


@pytest.mark.parametrize("name", ["tables.md", "cli.md", "howto/faults.md"])
def test_pages_made_from_the_code_are_up_to_date(name):
    made = runpy.run_path(str(ROOT / "docs/make_pages.py"))["PAGES"][name]()
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made, (
        "run python docs/make_pages.py"
    )


def texts_of_the_package() -> Iterator[str]:
    """Yield each text in the code of the package, with ``N`` for a value in it."""
    for path in sorted((ROOT / "dsi_cli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            if isinstance(node, ast.JoinedStr):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "N"
                    for part in node.values
                )


def test_every_message_on_the_page_of_troubleshooting_exists():
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    headings = re.findall(r"^\*\*(`.+`)\.\*\*", page, re.MULTILINE)
    quoted = {part for heading in headings for part in re.findall("`(.+?)`", heading)}
    known = "\n".join(texts_of_the_package())
    parts = {part for text in quoted for part in re.split(r"\b(?:\d+|N)\b", text)}
    assert len(quoted) > 10
    assert {part for part in parts if part.strip(" ,") not in known} == set()


def test_keys_of_json_are_those_on_their_page(dsi, make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a", "b", "a2", "b2")):
        run = make_run(f"runs/{name}", seed=seed)
        np.save(run / "preds.npy", [np.arange(40) // 7] * 4)
        np.save(run / "targets.npy", np.arange(40) // 5)
    made = runpy.run_path(str(ROOT / "docs/json_keys.py"))
    for call, parts in made["JSON"].values():
        if call.startswith("suspects"):
            write_suspects(tmp_path / "out", [suspect("duplicate", 0, 1, run="a")])
        printed = dsi(*call.split(), "--json").out
        parts.pop("changes", None)  # four epochs have no phases, and so no changes
        assert {path: made["keys_at"](printed, path) for path in parts} == {
            path: made["keys"](*parts[path]) for path in parts
        }


def test_every_container_trainer_and_preset_is_on_the_page_of_what_is_read():
    formats, labels = (
        " ".join((ROOT / "docs" / name).read_text("utf-8").split())
        for name in ("formats.md", "labels.md")
    )
    assert [one.name for one in FORMATS if f"`{one.name}`" not in formats] == []
    assert [one.name for one in TRAINERS if one.name not in formats.lower()] == []
    for preset in PRESETS:
        left_out = sum(wnid is None for wnid in load_preset(preset.name).wnids)
        assert (
            f"`{preset.name}` ({preset.classes:,}{f', {left_out}' if left_out else ''})"
            in labels
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_of_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if (
            "://" not in target and target != "demo/report.html"
        ):  # the site has the report
            assert (page.parent / target).exists(), target


def test_the_pictures_that_are_made_are_the_gallerys_and_small():
    made = runpy.run_path(str(ROOT / "docs/make_figures.py"))
    shown = re.findall(
        r"\]\(images/([^)]+)\)", (ROOT / "docs/figures.md").read_text(encoding="utf-8")
    )
    assert sorted(shown) == sorted(one.path.name for one in made["PICTURES"])
    for path in [made["ALIGNMENT"], *(one.path for one in made["PICTURES"])]:
        assert 0 < path.stat().st_size <= 200_000, path


def test_the_makefile_shows_what_the_continuous_check_runs():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    called = re.findall(r"\bmake ([\w-]+)", script)
    assert called == ["demo", "check", "docs", "test", "test-all", "test-shared"]
    assert set(called) <= TARGETS


def test_recipes_for_clusters_are_well_formed_and_name_options_that_exist():
    yaml = pytest.importorskip("yaml")
    examples = ROOT / "examples/cluster"
    job = yaml.safe_load((examples / "rayjob.yaml").read_text(encoding="utf-8"))
    assert job["kind"] == "RayJob"
    subprocess.run(["bash", "-n", examples / "slurm.sh"], check=True)
    (script,) = blocks(ROOT / "docs/remote.md", "bash")
    calls = re.findall(
        r"dsi analyze .*", "\n".join([script, job["spec"]["entrypoint"]])
    )
    known = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert [
        option
        for option in re.findall(r"--[\w-]+", " ".join(calls))
        if option not in known
    ] == []
