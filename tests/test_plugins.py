"""The plug-ins of ``examples/plugins``, installed as a user installs them, and broken
ones.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from helpers.outputs import ANIMALS, heads
from numpy.testing import assert_allclose
from scipy.io import savemat

import dsi_cli
from dsi_cli import plugins
from dsi_cli.errors import UsageError
from dsi_cli.metrics.alignment import alignments
from dsi_cli.queries.findings import run_findings
from dsi_cli.report import page_data

EXAMPLES = Path(__file__).resolve().parents[1] / "examples/plugins"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a folder with the example packages, built and installed without the
    network.
    """
    if not EXAMPLES.is_dir():
        pytest.skip("needs a checkout")
    pytest.importorskip("hatchling", reason="builds the example packages")
    target = tmp_path_factory.mktemp("plugins")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", target]
    packages = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))
    assert len(packages) == 4
    subprocess.run([*pip, *packages], check=True)
    return target


def write_plugin(folder, group, code, name="broken"):
    """Write an installed package whose module ``broken`` has some code."""
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0")
    target = name if group == plugins.FORMATS else f"{name}:made"
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    return folder


@pytest.fixture
def use(monkeypatch):
    """Return ``use(folder)``: the packages of a folder are installed in this test."""

    def used(folder):
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "broken", raising=False)
        plugins.load.cache_clear()

    yield used
    monkeypatch.undo()
    plugins.load.cache_clear()


def environment(folder):
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def run(tmp_path):
    """Return a run of MATLAB files, which dsi itself does not read."""
    folder = tmp_path / "ckpts"
    folder.mkdir()
    for epoch, weight in enumerate(heads(3)):
        savemat(folder / f"epoch_{epoch}.mat", {"fc_weight": weight.numpy()})
    (folder / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
    return folder


def test_analyze_with_all_example_plugins_uses_each_of_them(
    installed, run, tmp_path, dsi_process
):
    out, logged = tmp_path / "out", tmp_path / "curves.csv"
    options = ["--no-report", "--quiet", "--measure", "concordance"]
    options += ["--measure", "pearson", "--permutations", "5"]
    options += ["--reference", "spelling", "--log-to", f"csv:{logged}"]
    ended = dsi_process("analyze", run, "-o", out, *options, env=environment(installed))
    assert (ended.code, ended.err) == (0, "")
    results = dsi_cli.open_results(out)
    assert set(results.checkpoints["format"]) == {"matlab"}
    ncsm, reference = results.csm(epoch=2), results.csm("scsm")
    assert results.references() == ["spelling"]
    assert reference.loc["cat", "cat"] == 1
    assert_allclose(reference.loc["cat", "bee"], 0)
    # Of seven pairs of letters, "dog" and "frog" have "og" and the last g in common.
    assert_allclose(reference.loc["dog", "frog"], 2 / 7, rtol=1e-6)
    curves = results.curves.query("of == 'ncsm,scsm' and epoch == 2")
    row = curves.query("metric == 'sai' and variant == 'concordance'").iloc[0]
    kept = np.triu(np.ones(ncsm.shape, dtype=bool), 1)
    x, y = (scaled(matrix.to_numpy()[kept]) for matrix in (ncsm, reference))
    expected = 2 * np.cov(x, y, ddof=0)[0, 1]
    expected /= x.var() + y.var() + (x.mean() - y.mean()) ** 2
    assert_allclose(row["value"], expected, rtol=1e-5)
    assert_allclose(
        row["excess"], (expected - row["null_mean"]) / (1 - row["null_mean"]), rtol=1e-5
    )
    rows = list(csv.DictReader(logged.open(encoding="utf-8")))
    agreement = [row for row in rows if row["name"] == "dsi/agreement"]
    assert [int(row["epoch"]) for row in agreement] == [0, 1, 2]
    assert_allclose(
        [float(row["value"]) for row in agreement],
        results.curve("agreement")["value"],
    )


def test_a_measure_of_a_plugin_is_in_summary_report_and_curves(
    installed, run, tmp_path, dsi_process
):
    out = tmp_path / "out"
    options = ["--measure", "concordance", "--permutations", "5"]
    ended = dsi_process("analyze", run, "-o", out, *options, env=environment(installed))
    assert ended.code == 0
    assert "SAI by concordance (excess) with WordNet" in ended.out
    # The results can be read where the plug-in is not installed.
    results = dsi_cli.open_results(out)
    rows = results.curves.query("variant == 'concordance' and of == 'ncsm,scsm'")
    for name, column in (("sai", "value"), ("excess", "excess")):
        curve = results.curve(f"{name}_concordance")
        assert_allclose(curve["value"], rows[column])
    drawn = page_data.curves(results, [run_findings(out, "ckpts")])
    assert list(drawn["sai"]) == ["concordance"]
    names = [entry["name"] for entry in drawn["quantities"]]
    assert names == ["excess_concordance", "sai_concordance"]
    assert dsi_process("plot", out, "--measure", "concordance").code == 0


def scaled(values):
    values = values.astype(np.float64)
    return (values - values.min()) / (values.max() - values.min())


def test_files_of_a_plugin_without_it_are_no_checkpoints(run, tmp_path, dsi):
    assert dsi("scan", run).code == 3


def test_damaged_file_of_a_plugin_fails_with_a_reason(installed, run, dsi_process):
    path = run / "epoch_1.mat"
    path.write_bytes(path.read_bytes()[:200])
    ended = dsi_process("scan", run, env=environment(installed))
    assert ended.code == 4
    assert "Traceback" not in ended.out + ended.err


def test_a_measure_has_the_chance_level_of_all_relabellings(installed, use):
    """The chance level over all relabellings of four classes, by a slow loop."""
    from itertools import permutations

    use(installed)
    random = np.random.default_rng(0)
    a, b = random.random((2, 4, 4))
    a, b = a + a.T, b + b.T
    entry = alignments(a, b, ["concordance"])["concordance"]
    kept = ~np.eye(4, dtype=bool)
    x, y = (scaled(matrix[kept]) for matrix in (a, b))
    square = np.zeros((4, 4))
    square[kept] = y

    def concordance(x, y):
        distance = (x.mean() - y.mean()) ** 2
        return 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + distance)

    values = [
        concordance(x, square[np.ix_(order, order)][kept])
        for order in map(list, permutations(range(4)))
    ]
    assert_allclose(entry.value, concordance(x, y))
    assert_allclose(entry.null_mean, np.mean(values), atol=1e-12)
    assert_allclose(entry.null_std, np.std(values))


def test_results_depend_on_the_version_of_a_plugin(installed, use):
    from dsi_cli.analysis.options import Options

    use(installed)
    shaping = Options(measures=("pearson", "concordance")).shaping_curves
    assert shaping["measures"] == ["pearson", "concordance 0.1.0"]


@pytest.mark.parametrize(
    ("group", "code", "reason"),
    [
        (plugins.FORMATS, "MAGIC = 'text'\ndef read(file): pass", "is not MAGIC"),
        (plugins.FORMATS, "raise RuntimeError('no licence')", "no licence"),
        (plugins.MEASURES, "made = 1", "is not a function"),
        (plugins.MEASURES, "import no_such_module", "no_such_module"),
        (plugins.REFERENCES, "other = 1", "made"),
        (plugins.TRACKERS, "def made(", "never closed"),
    ],
)
def test_load_of_a_broken_plugin_warns_with_its_name(
    group, code, reason, tmp_path, use, caplog
):
    use(write_plugin(tmp_path, group, code))
    assert "broken" not in plugins.load(group)
    (text,) = caplog.messages
    assert text.startswith(f"warning: dsi leaves out the plug-in broken of {group}: ")
    assert reason in text


def test_command_with_a_broken_plugin_prints_its_name_and_no_traceback(
    make_run, tmp_path, dsi_process
):
    folder = write_plugin(
        tmp_path, plugins.TRACKERS, "raise RuntimeError('no licence')"
    )
    options = ["-o", tmp_path / "out", "--log-to", "broken"]
    ended = dsi_process("analyze", make_run(), *options, env=environment(folder))
    assert ended.code == 2
    warning, error = ended.err.splitlines()[:2]
    assert warning.startswith("warning: dsi leaves out the plug-in broken")
    assert error.startswith("error: --log-to takes tensorboard:DIR")


@pytest.mark.parametrize(
    ("group", "code", "options"),
    [
        (plugins.MEASURES, "def made(x, y): return no(x)", {"measures": "broken"}),
        (plugins.MEASURES, "def made(x, y): return [1, 2]", {"measures": "broken"}),
        (plugins.REFERENCES, "def made(names): raise KeyError('cat')", {"references": ["broken"]}),
        (plugins.REFERENCES, "def made(names): return 'no'", {"references": ["broken"]}),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_is_an_error_with_its_name(
    group, code, options, make_run, tmp_path, use
):
    use(write_plugin(tmp_path, group, code))
    with raises("plugin-failed", UsageError, plugin="broken"):
        dsi_cli.analyze(make_run(), tmp_path / "out", report=False, **options)


def test_a_tracker_that_fails_is_an_error_with_its_name(make_results, tmp_path, use):
    use(write_plugin(tmp_path, plugins.TRACKERS, "def made(runs, target): return 1"))
    with raises("plugin-failed", UsageError, plugin="broken"):
        dsi_cli.log_curves(make_results(), "broken")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ("np.ones((3, 4))", "reference-not-square"),
        ("np.eye(3)", "wrong-reference-size"),
        ("np.arange(64).reshape(8, 8)", "reference-not-symmetric"),
    ],
)
def test_a_reference_of_a_plugin_is_checked_as_one_of_a_file(
    values, code, make_run, tmp_path, use
):
    module = f"import numpy as np\ndef made(names): return {values}"
    use(write_plugin(tmp_path, plugins.REFERENCES, module))
    with raises(code, UsageError):
        dsi_cli.analyze(make_run(), tmp_path / "out", references=["broken"])


def test_no_plugin_is_imported_if_none_is_asked_for(make_run, tmp_path, dsi_process):
    folder = tmp_path / "plugins"
    folder.mkdir()
    for group in (plugins.FORMATS, plugins.MEASURES, plugins.TRACKERS):
        name = group.partition(".")[2]
        write_plugin(folder, group, "raise RuntimeError", name)
    ended = dsi_process(
        "analyze",
        make_run(),
        "-o",
        tmp_path / "out",
        "--quiet",
        env=environment(folder),
    )
    assert (ended.code, ended.err) == (0, "")


def test_tables_without_plugins_are_the_same_with_them(
    installed, make_run, tmp_path, use
):
    run = make_run()
    dsi_cli.analyze(run, tmp_path / "before", report=False)
    use(installed)
    dsi_cli.analyze(run, tmp_path / "after", report=False)
    before, after = (
        pd.read_parquet(tmp_path / name / "curves.parquet")
        for name in ("before", "after")
    )
    pd.testing.assert_frame_equal(before, after)
