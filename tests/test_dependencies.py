"""What dsi imports is declared and imported late; heavy packages, and what only POSIX
has, may be missing.
"""

import re
import sys
import tomllib
from pathlib import Path

from helpers import one_process
from helpers.outputs import assert_same_output
from helpers.table_comparison import write_run
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
EITHER = {"pytorch_lightning", "click", "keras"}
"""Another name of Lightning, which is imported if it is there; what Typer brings and
hands out; and what the user of a callback has imported.
"""
ARRAYS = {
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
    "rich",
    "pydantic",
    "dsi_cli.analysis.options",
}
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "nltk",
    "matplotlib",
    "ray",
    "PIL",
    "lightning",
    "transformers",
    "fsspec",
    "upath",
}
QUICK = ("--no-report",)
WITHOUT = """
# First what only POSIX has goes, then the heavy packages.
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
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision", "timm", "matplotlib", "nltk"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def imported():
    """Return the packages that the modules of dsi import, with one module that does."""
    found = {}
    statement = re.compile(
        r"^ *(?:from (\w+)[\w.]* import |import (\w+)[\w.]*(?: as \w+)?$)", re.MULTILINE
    )
    for path in (ROOT / "dsi_cli").rglob("*.py"):
        for first, second in statement.findall(path.read_text(encoding="utf-8")):
            found.setdefault(first or second, path.name)
    return {
        name: place
        for name, place in found.items()
        if name not in {*sys.stdlib_module_names, "dsi_cli"}
    }


def declared():
    """Return the names of the dependencies, those of extras included."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    texts = [
        *project["dependencies"],
        *(
            text
            for extra in project["optional-dependencies"].values()
            for text in extra
        ),
    ]
    return {Requirement(text).name.lower().replace("_", "-") for text in texts} - {
        "dsi-cli"
    }


def test_what_is_imported_is_declared_and_what_is_declared_is_used():
    used = {DISTRIBUTIONS.get(name, name) for name in imported() if name not in EITHER}
    assert used - declared() == set()
    assert declared() - used == set(NOT_IMPORTED)


def test_commands_without_posix_and_heavy_packages_give_the_same_tables_or_name_the_package(
    make_run, dsi, tmp_path
):
    run, out, images = make_run(), tmp_path / "out", tmp_path / "images"
    for name in ("cat", "dog"):
        (images / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(images / name / "1.png")
    rows = "".join(
        f"3,{n},{n % 8},{(n + n // 20) % 8},{images}/cat/1.png\n" for n in range(40)
    )
    (tmp_path / "preds.csv").write_text(
        f"epoch,sample,target,prediction,path\n{rows}", encoding="utf-8"
    )
    works = {
        ("scan", run): "epoch_3.pt",
        (
            "analyze",
            run,
            "-o",
            out,
            *QUICK,
            "--predictions",
            tmp_path / "preds.csv",
        ): str(out),
        ("report", out, "-o", tmp_path / "report.html"): "report.html",
        (
            "watch",
            run,
            "-o",
            tmp_path / "watched",
            *QUICK,
            "--every",
            "0.05s",
            "--idle",
            "0.2s",
        ): "watched",
        ("mistakes", out): "cat",
        ("neighbors", out, "--class", "cat", "--epoch", 3): "dog",
        ("export", out, "--epoch", 3, "-o", tmp_path / "3.csv"): "3.csv",
        ("labels", run / "classes.txt"): "cat",
        ("wordnet", run / "classes.txt", "-o", tmp_path / "wordnet.csv"): "wordnet.csv",
    }
    fails = {
        ("plot", out, "wsi"): "matplotlib",
        ("mistakes", out, "--sheet", out / "sheet.png"): "matplotlib",
        (
            "analyze",
            run,
            "-o",
            tmp_path / "new",
            "--test",
            images,
            "--model",
            "timm:resnet18",
        ): "torch",
    }
    _, *ended = one_process.run([*works, *fails], WITHOUT)
    for (command, text), done in zip(works.items(), ended, strict=False):
        assert (done.code, text in done.out + done.err) == (0, True), (
            command,
            done.err,
        )
    for package, done in zip(fails.values(), ended[len(works) :], strict=True):
        assert done.code == 2
        assert done.err.startswith(
            f"error: {package} is not installed, which dsi needs for "
        )
        assert done.err.endswith(f"\nhint: run pip install {package}\n")
    assert (
        dsi(
            "analyze",
            run,
            "-o",
            tmp_path / "plain",
            *QUICK,
            "--predictions",
            tmp_path / "preds.csv",
        ).code
        == 0
    )
    assert_same_output(out, tmp_path / "plain")


def test_import_of_the_package_and_the_command_line_loads_no_array_and_leaves_the_garbage_collector():
    code = """
import gc
before = gc.get_threshold()
import dsi_cli, dsi_cli.callbacks
names = set(sys.modules)
import dsi_cli.cli.app
assert not {"numpy", "typer"} & names, names
assert gc.get_threshold() == before"""
    imported, general, *helps, doctor = one_process.run(
        [("--help",), ("analyze", "--help"), ("watch", "--help"), ("doctor", "-q")],
        code,
    )
    assert {"dsi_cli.callbacks", "dsi_cli.cli.app"} <= imported.modules
    assert "dsi_cli.cli.analyze" not in general.modules, (
        "a command is imported when it is called"
    )
    for ended in (general, *helps):
        assert ended.code == 0
        assert not ended.modules & (HEAVY | ARRAYS)
    assert not doctor.modules & (HEAVY | {"numpy"})


def test_scan_analyze_of_weights_and_an_arrow_table_load_nothing_that_only_a_report_needs(
    tmp_path,
):
    run, out = write_run(tmp_path / "run"), tmp_path / "out"
    for name in ("classes.txt", "preds.npy", "targets.npy"):
        (run / name).unlink()
    parts = ("cluster", "sparse", "spatial", "special", "stats")
    heavy = HEAVY | {"pandas", "jinja2"} | {f"scipy.{part}" for part in parts}
    _, scanned, analyzed, reported = one_process.run(
        [("scan", run), ("analyze", run, "-o", out, "--no-report"), ("report", out)]
    )
    for ended in (scanned, analyzed):
        assert ended.code == 0, ended.err
        assert not ended.modules & heavy
    assert reported.code == 0, reported.err
    assert "pandas" in reported.modules, "a later import finds pandas"
    read = f"import dsi_cli; dsi_cli.open_results({str(out)!r}).table('curves')"
    for up_to_date in one_process.run(
        [("report", out), ("analyze", run, "-o", out)], read
    ):
        assert up_to_date.code == 0, up_to_date.err
        assert not up_to_date.modules & heavy


def test_commands_that_read_no_images_load_no_heavy_package_and_plot_loads_no_torch(
    tmp_path,
):
    """The commands run in one process, so that the first one to import a heavy package
    is found.
    """
    run, other, out = (
        write_run(tmp_path / "runs/a"),
        write_run(tmp_path / "runs/b", seed=1),
        tmp_path / "out",
    )
    *ended, plotted = one_process.run(
        [
            ("scan", run),
            ("wordnet", "cifar10", "-o", tmp_path / "x.parquet"),
            ("analyze", run, other, "-o", out, "--epochs", "0:1"),
            (
                "watch",
                run,
                "-o",
                out,
                "--every",
                "0.1s",
                "--until-epoch",
                2,
            ),
            ("neighbors", out, "--run", "a", "--class", "cat"),
            ("mistakes", out, "--run", "a"),
            ("compare", out),
            ("plot", out, "agreement", "wsi", "-o", tmp_path / "figures"),
        ]
    )
    for done in ended:
        assert done.code == 0, done.err
        assert not done.modules & HEAVY, done.out[:100]
    assert "numpy" in ended[-1].modules
    assert plotted.code == 0
    assert "matplotlib" in plotted.modules
    assert not plotted.modules & {"torch", "torchvision", "timm", "nltk"}
