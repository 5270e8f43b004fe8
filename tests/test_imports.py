"""What takes seconds to import is not imported where it is not needed."""

from helpers import one_process

ARRAYS = {"numpy", "pandas", "pyarrow", "scipy", "rich", "pydantic", "dsi_cli.analysis.options"}
HEAVY = {"torch", "torchvision", "timm", "nltk", "matplotlib", "ray", "PIL", "lightning", "transformers", "fsspec", "upath"}


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
        [("--help",), ("analyze", "--help"), ("watch", "--help"), ("doctor", "-q")], code
    )
    assert {"dsi_cli.callbacks", "dsi_cli.cli.app"} <= imported.modules
    assert "dsi_cli.cli.analyze" not in general.modules, "a command is imported when it is called"
    for ended in (general, *helps):
        assert ended.code == 0
        assert not ended.modules & (HEAVY | ARRAYS)
    assert not doctor.modules & (HEAVY | {"numpy"})


def test_commands_that_read_no_images_load_no_heavy_package_and_plot_loads_no_torch(analysed, four_runs, tmp_path):
    """The commands run in one process, so that the first one to import a heavy package is found."""
    run, out = four_runs / "garments", tmp_path / "out"
    epoch = ("--run", "garments", "--epoch", 15)
    *ended, plotted = one_process.run(
        [
            ("scan", run),
            ("wordnet", "cifar10", "-o", tmp_path / "x.parquet"),
            ("analyze", run, "-o", out, "--epochs", "0:1"),
            ("watch", run, "-o", out, "--every", "0.1s", "--until-epoch", 15, "--draws", 0),
            ("neighbors", analysed.out, "--class", "Bag", *epoch),
            ("mistakes", analysed.out, *epoch),
            ("compare", analysed.out, "--run", "cifar100-cnn", "--run", "cifar100-vit"),
            ("plot", out, "sai", "training", "-o", tmp_path / "figures"),
        ]
    )
    for done in ended:
        assert done.code == 0, done.err
        assert not done.modules & HEAVY, done.out[:100]
    assert "numpy" in ended[-1].modules
    assert plotted.code == 0
    assert "matplotlib" in plotted.modules
    assert not plotted.modules & {"torch", "torchvision", "timm", "nltk"}
