"""What the package imports is what `pyproject.toml` declares, and what is heavy may be missing."""

import ast
import sys
import tomllib
from pathlib import Path

from helpers import one_process
from PIL import Image

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "yaml": "pyyaml",
    "mlflow": "mlflow-skinny",
    "google": "protobuf",
    "upath": "universal-pathlib",
    "huggingface_hub": "huggingface-hub",
}
"""By the name that is imported, where it differs."""
NOT_IMPORTED = {
    "s3fs": "imported by fsspec",
    "gcsfs": "imported by fsspec",
    "sqlalchemy": "imported by MLflow's local store",
    "alembic": "imported by MLflow's local store",
}
EITHER = {"pytorch_lightning", "click"}
"""Another name of Lightning, which is imported if it is there; and what Typer brings and hands out."""
WITHOUT = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "matplotlib", "nltk"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def imported():
    """Return the packages that the modules of dsi import, with the modules that do."""
    found = {}
    for path in (ROOT / "dsi_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], path.name)
    return {name: place for name, place in found.items() if name not in {*sys.stdlib_module_names, "dsi_cli"}}


def declared():
    """Return the names of the dependencies, those of extras included."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = [*project["dependencies"], *(text for extra in project["optional-dependencies"].values() for text in extra)]
    return {Requirement(text).name.lower().replace("_", "-") for text in texts} - {"dsi-cli"}


def test_what_is_imported_is_declared_and_what_is_declared_is_used():
    used = {DISTRIBUTIONS.get(name, name) for name in imported() if name not in EITHER}
    assert used - declared() == set()
    assert declared() - used == set(NOT_IMPORTED)


def test_without_heavy_packages_commands_work_or_name_the_package(make_run, tmp_path):
    run, out, images = make_run(), tmp_path / "out", tmp_path / "images"
    for name in ("cat", "dog"):
        (images / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(images / name / "1.png")
    rows = "".join(f"3,{n},{n % 8},{(n + n // 20) % 8},{images}/cat/1.png\n" for n in range(40))
    (tmp_path / "preds.csv").write_text(f"epoch,sample,target,prediction,path\n{rows}", encoding="utf-8")
    works = {
        ("scan", run): "epoch_3.pt",
        ("analyze", run, "-o", out, "--draws", 0, "--predictions", tmp_path / "preds.csv", "--no-report"): str(out),
        ("report", out): "report.html",
        ("watch", run, "-o", out, "--draws", 0, "--every", "0.05s", "--idle", "0.2s"): str(out),
        ("mistakes", out): "cat",
        ("neighbors", out, "--class", "cat", "--epoch", 3): "dog",
        ("export", out, "--epoch", 3, "-o", tmp_path / "3.csv"): "3.csv",
        ("labels", run / "classes.txt"): "cat",
        ("wordnet", run / "classes.txt", "-o", tmp_path / "wordnet.csv"): "wordnet.csv",
    }
    fails = {
        ("plot", out, "sai"): "matplotlib",
        ("mistakes", out, "--sheet", out / "sheet.png"): "matplotlib",
        ("analyze", run, "-o", tmp_path / "new", "--test", images, "--model", "timm:resnet18"): "torch",
    }
    _, *ended = one_process.run([*works, *fails], WITHOUT)
    for (command, text), done in zip(works.items(), ended, strict=False):
        assert (done.code, text in done.out + done.err) == (0, True), (command, done.err)
    for package, done in zip(fails.values(), ended[len(works) :], strict=True):
        assert done.code == 2
        assert done.err.startswith(f"dsi: {package} is not installed, which dsi needs for ")
        assert done.err.endswith(f"; run pip install {package}\n")
