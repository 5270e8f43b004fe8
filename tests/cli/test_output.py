"""What the commands print: results on stdout, the rest on stderr; the same as the
notebook's functions say.
"""

import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import ANIMALS, all_curves, assert_same_output
from pandas.testing import assert_frame_equal

import dsi_cli
from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.cli import console
from dsi_cli.cli.app import main_with_exit_code
from dsi_cli.queries.epoch_summary import summary
from dsi_cli.queries.export import TABLES
from dsi_cli.queries.records import records
from dsi_cli.store.results import Results

QUICK = ("--no-report",)


PHASES = (
    "phases of the alignment: surge to epoch 50, refinement to epoch 97 (interval 87 to"
    " 107), then stabilisation"
)


@pytest.mark.parametrize(
    ("columns", "longest"), [(1, 36), (80, 78), (200, len(PHASES) + 2)]
)  # 40 columns or more
def test_print_sentence_on_a_terminal_breaks_between_words(
    monkeypatch, capsys, columns, longest
):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.print_sentence(PHASES, indent=2, hanging=4)
    first, *others = capsys.readouterr().out.splitlines()
    assert max(map(len, (first, *others))) == longest
    assert [line[:5].isspace() for line in others] == [False] * len(others)
    assert " ".join(map(str.strip, (first, *others))) == PHASES


def test_print_sentence_without_a_terminal_is_one_line(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    console.print_sentence(f"{PHASES}\x1b[31m", indent=2)
    assert capsys.readouterr().out == f"  {PHASES}\\x1b[31m\n"


def one_document(ended):
    """Return the JSON document that is all of stdout, with nothing on stderr."""
    assert ended.err == ""
    return json.loads(ended.out)


def test_analyze_command_equals_the_function(dsi, make_run, tmp_path):
    run = make_run()
    options = ("--epochs", "1:3:2", "--measure", "pearson", "--measure", "mae")
    out = tmp_path / "command"
    ended = dsi("analyze", run, "-o", out, *options, "--permutations", 30)
    assert ended.code == 0
    found = dsi_cli.analyze(
        run,
        tmp_path / "function",
        epochs="1:3:2",
        measures=["pearson", "mae"],
        permutations=30,
    )
    assert_same_output(out, tmp_path / "function")
    variants = set(found.curves.query("metric in ['sai', 'wsi']")["variant"].dropna())
    assert variants == {"pearson", "mae", "mean", "max", "min"}


def test_analyze_keywords_of_python_alone_add_their_curves(make_run, tmp_path):
    found = dsi_cli.analyze(
        make_run(), tmp_path / "out", epochs="1", centred=True, quantiles=[0.8], draws=5
    )
    variants = set(found.curves.query("metric == 'wsi'")["variant"])
    assert variants == {"mean", "max@0.8", "min@0.8"}
    assert set(found.curves.query("metric == 'sai'")["of"]) == {
        "ncsm,scsm",
        "ncsm_centred,scsm",
        "ncsm,ncsm_centred",
    }


def test_scan_command_equals_the_function(dsi, four_runs):
    folder = four_runs / "garments"
    found = one_document(dsi("scan", folder, "--json"))
    ((run, records),) = scan_paths([folder], HeadOptions())
    assert [row["path"] for row in found] == [
        str(folder / f"epoch_{epoch:03}.pt") for epoch in range(16)
    ]
    for row, record in zip(found, records, strict=True):
        assert row == {name: getattr(record, name) for name in row}
        assert (row["run"], row["head"], row["classes"], row["status"]) == (
            run.name,
            "fc.weight",
            10,
            "ok",
        )
    shown = dsi("scan", folder)
    assert "epoch_000.pt … epoch_015.pt" in shown.out
    assert len(shown.out.splitlines()) == 4
    every = dsi("scan", folder, "--all").out
    assert all(f"epoch_{epoch:03}.pt" in every for epoch in range(16))
    assert shown.err == "garments: 6 other files without weights\n"


def test_wordnet_to_stdout_writes_parquet(four_runs, capfdbinary):
    labels = four_runs / "cifar100-cnn" / "classes.txt"
    assert main_with_exit_code(["wordnet", str(labels), "-o", "-"]) == 0
    ended = capfdbinary.readouterr()
    found = pd.read_parquet(io.BytesIO(ended.out))
    expected = dsi_cli.wordnet_csm(labels.read_text(encoding="utf-8").split())
    assert list(found["name"]) == list(expected.index)
    np.testing.assert_array_equal(
        np.stack(found["similarity"]), expected.to_numpy().astype(np.float32)
    )
    assert ended.err.decode().splitlines() == [
        "100 of 100 labels in WordNet 3.0, from classes.txt (the preset"
        " cifar100); all are certain"
    ]


def test_wordnet_screen_and_mapping_name_the_senses(dsi, tmp_path):
    labels, out, mapping = (
        tmp_path / "labels.txt",
        tmp_path / "matrix.parquet",
        tmp_path / "map.csv",
    )
    labels.write_text("cat\nn02084071\nfrog.n.01\nqzx\n", encoding="utf-8")
    ended = dsi("wordnet", labels, "-o", out, "--write-map", mapping)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert [line.split()[:4] for line in lines[:2]] == [
        ["label", "synset", "sure", "meaning"],
        ["?", "3", "qzx", "-"],
    ]
    assert "'qzx' is no noun in WordNet 3.0" in lines[1]
    assert lines[2:] == [f"matrix (4 x 4): {out}"]
    assert ended.err.startswith(
        "3 of 4 labels in WordNet 3.0, from labels.txt; 1 uncertain (?)\nwarning: the"
        " least certain: 'qzx' (no synset)\nThe senses are in "
    )
    rows = pd.read_csv(mapping)
    assert list(rows.columns) == [
        "index",
        "name",
        "synset",
        "wnid",
        "confidence",
        "reason",
    ]
    assert rows["wnid"].fillna("").to_list() == [
        "n02121620",
        "n02084071",
        "n01639765",
        "",
    ]
    assert rows["reason"][0].startswith("of 8 senses, rather than big_cat.n.01: ")
    assert rows["reason"][1:3].to_list() == ["wnid", "synset"]
    matrix = np.stack(pd.read_parquet(out)["similarity"])
    expected = (
        dsi_cli.wordnet_csm(["cat", "n02084071", "frog.n.01", "qzx"])
        .to_numpy()
        .astype(np.float32)
    )
    np.testing.assert_array_equal(matrix, expected)
    assert np.isnan(matrix[3]).all()


def test_wordnet_neighbors_lists_the_nearest(dsi, tmp_path):
    ended = dsi("wordnet", "cifar10", "--neighbors", "2", "-o", tmp_path / "x.parquet")
    assert (ended.code, ended.out.splitlines()[-1]) == (
        0,
        f"the nearest 2 of each of 10 labels: {tmp_path / 'x.parquet'}",
    )
    row = (
        dsi_cli.wordnet_csm("cifar10")
        .loc["cat"]
        .drop("cat")
        .sort_values(ascending=False, kind="stable")
    )
    rows = pd.read_parquet(tmp_path / "x.parquet").query("name == 'cat'")
    assert (rows["neighbor_name"].to_list(), rows["similarity"].to_list()) == (
        list(row.index[:2]),
        list(row[:2]),
    )
    ended = dsi(
        "wordnet",
        "cifar10",
        "--neighbors",
        "2",
        "--whole",
        "-o",
        tmp_path / "y.parquet",
    )
    message = "--whole and --neighbors 2 exclude each other\nhint: leave one out"
    assert (ended.code, ended.out, ended.err) == (2, "", f"error: {message}\n")
    assert not (tmp_path / "y.parquet").exists()
    assert (
        one_document(dsi("wordnet", "cifar10", "-o", tmp_path / "x.parquet", "--json"))[
            "neighbors"
        ]
        is None
    )


def test_analyze_json_equals_the_tables(dsi, make_run, tmp_path):
    run, out = make_run(epochs=3), tmp_path / "out"
    found = one_document(dsi("analyze", run, "-o", out, *QUICK, "--json"))
    assert (found["out"], found["exit_code"], found["facts"]) == (str(out), 0, [])
    (told,) = found["runs"]
    assert (told["name"], told["folder"], told["statuses"], told["read"]) == (
        "run",
        str(run),
        {"ok": 3},
        3,
    )
    assert told["epochs"] == records(summary(Results(out)))


def test_scan_tensors_lists_shapes_as_json_and_text(dsi, make_run):
    path = make_run(epochs=1) / "epoch_0.pt"
    assert one_document(dsi("scan", "--tensors", path, "--json")) == [
        {"name": "fc.weight", "shape": [8, 8], "dtype": "float32", "weights": "raw"},
        {"name": "fc.bias", "shape": [8], "dtype": "float32", "weights": "raw"},
    ]
    lines = [
        line.split(maxsplit=3)
        for line in dsi("scan", "--tensors", path).out.splitlines()
    ]
    assert lines == [
        ["fc.weight", "float32", "raw", "(8, 8)"],
        ["fc.bias", "float32", "raw", "(8,)"],
    ]


def test_quiet_commands_print_only_results(dsi, make_run, tmp_path):
    run = make_run(epochs=2, labels=(*ANIMALS[:-3], "qzx", "qzy", "qzz"))
    (run / "more").mkdir()
    told = dsi("analyze", run, "-o", tmp_path / "told", *QUICK)
    quiet = dsi("analyze", run, "-o", tmp_path / "quiet", *QUICK, "--quiet")
    assert told.err.count("\n") > 2
    assert (quiet.code, quiet.err, quiet.out) == (
        0,
        "",
        told.out.replace("told", "quiet"),
    )
    for arguments in (
        ("scan", run),
        ("wordnet", run / "classes.txt", "-o", tmp_path / "x.parquet"),
    ):
        told, quiet = dsi(*arguments), dsi(*arguments, "--quiet")
        assert told.err != ""
        assert quiet == told._replace(err="")


def test_analyze_screen_names_what_was_found(dsi, four_runs, tmp_path):
    ended = dsi(
        "analyze",
        four_runs / "garments",
        "-o",
        tmp_path / "out",
        "--epochs",
        "0:1",
        *QUICK,
    )
    assert (
        "garments  2 checkpoints, epochs 0–1  fc.weight, 10 classes  ✓ fashion-mnist"
        in ended.out
    )
    (used,) = [line for line in ended.err.splitlines() if line.startswith("dsi uses ")]
    assert (
        used
        == "dsi uses classes.txt (the preset fashion-mnist), log.csv, preds.npy (2 epochs,"
        " 10,000 samples), truth from targets.npy"
    )


def test_analyze_screen_of_runs_with_different_classes_shows_the_range_of_chance_levels(
    dsi, four_runs, tmp_path
):
    runs = (four_runs / "garments", four_runs / "cifar100-cnn")
    call = ("analyze", *runs, "-o", tmp_path / "out", "--epochs", "2:2", *QUICK)
    first = dsi(*call)
    assert (
        "nearer to the truth than this share of classes (chance 44 % to 49 %)"
        in first.out
    )
    assert all(
        f"for {name}, dsi uses classes.txt" in first.err
        for name in ("garments", "cifar100-cnn")
    )
    assert dsi(*call).out == "Nothing new: 2 of 2 checkpoints.\n"


@pytest.mark.parametrize(
    ("epochs", "line"), [(2, "accuracy  epoch"), (4, "at epoch 2")]
)
def test_analyze_screen_names_the_epoch_of_values_before_the_last_one(
    dsi, make_run, tmp_path, epochs, line
):
    truth, predictions = np.arange(40) % 8, np.tile(np.arange(40) % 8, (epochs, 1))
    predictions[:3, 0] = 5
    np.savez(
        tmp_path / "made.npz",
        predictions=predictions,
        targets=truth,
        epochs=np.arange(epochs),
    )
    ended = dsi(
        "analyze",
        make_run(),
        "-o",
        tmp_path / "out",
        "--predictions",
        tmp_path / "made.npz",
        *QUICK,
    )
    assert line in ended.out.partition("Mistakes on test")[2]


def test_analyze_progress_is_drawn_on_a_terminal(make_run, dsi_on_terminal, tmp_path):
    ended = dsi_on_terminal("analyze", make_run(), "-o", tmp_path / "out", *QUICK)
    assert ended.code == 0, ended.err[-2000:]
    for said in ("reading classifiers", "comparing matrices", "4/4"):
        assert said in ended.err
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    "arguments",
    [("export", "--table", "curves"), ("neighbors", "--run", "cifar100-cnn")],
)
def test_output_into_a_closed_pipe_exits_with_0(analysed, arguments):
    command = [sys.executable, "-m", "dsi_cli", *arguments, str(analysed.out)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")


def test_dsi_without_a_command_shows_the_help(dsi, dsi_process):
    assert dsi("--version") == (0, f"dsi {dsi_cli.__version__}\n", "")
    ended = dsi("--help")
    assert (ended, ended.code, ended.err) == (dsi(), 0, "")
    assert dsi_process() == ended, "python -m dsi_cli is the command"


@pytest.fixture
def exported(dsi, analysed, tmp_path):
    """Return ``exported(format, *arguments)``: the file that the command wrote."""

    def written(kind, *arguments):
        path = tmp_path / f"matrix.{kind}"
        ended = dsi("export", analysed.out, "-o", path, *arguments)
        assert (ended.code, ended.out) == (0, "")
        assert ended.err.endswith(f": {path}\n")
        return path

    return written


@pytest.mark.parametrize("ranked", [False, True])
@pytest.mark.parametrize(
    ("kind", "split"), [("ncsm", None), ("scsm", None), ("ccsm", "test")]
)
def test_export_of_a_matrix_in_each_format(kind, split, ranked, exported, analysed):
    where = ["--run", "garments", "--epoch", 3, "--kind", kind]
    where += ["--split", split] * (split is not None) + ["--sorted"] * ranked
    one = analysed.run.sorted if ranked else analysed.run.csm
    expected = one(kind, epoch=3, split=split, run="garments")
    for found in (
        pd.read_parquet(exported("parquet", *where)).set_index("class"),
        pd.read_csv(exported("csv", *where))
        .set_index("class")
        .astype(int if ranked else np.float32),
    ):
        np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
        assert (list(found.index), list(found.columns)) == (
            list(expected.index),
            list(map(str, expected.columns)),
        )
    assert_frame_equal(
        one(f"{kind}-test" if split else kind, epoch=3, run="garments"), expected
    )
    found = np.load(exported("npy", *where), allow_pickle=False)
    np.testing.assert_array_equal(found, expected.to_numpy())
    assert found.dtype == expected.to_numpy().dtype


@pytest.mark.parametrize("table", ["curves", "checkpoints", "classes"])
def test_export_of_a_table(table, exported, analysed):
    whole = (
        all_curves(analysed.out)
        if table == "curves"
        else pd.read_parquet(analysed.out / f"{table}.parquet")
    )
    found = pd.read_parquet(exported("parquet", "--table", table))
    assert_frame_equal(found, whole, check_dtype=False)
    found = pd.read_csv(exported("csv", "--table", table, "--run", "cifar100-vit"))
    assert (len(found), set(found["run"])) == (
        (whole["run"] == "cifar100-vit").sum(),
        {"cifar100-vit"},
    )


def test_export_to_stdout_writes_csv_or_npy(capfdbinary, analysed):
    where = ["export", str(analysed.out), "--run", "garments"]
    expected = analysed.run.csm(run="garments").to_numpy()
    assert main_with_exit_code(where) == 0
    out, err = capfdbinary.readouterr()
    assert err == b""
    np.testing.assert_array_equal(
        pd.read_csv(io.BytesIO(out)).set_index("class").astype(np.float32), expected
    )
    assert main_with_exit_code([*where, "--format", "npy"]) == 0
    np.testing.assert_array_equal(
        np.load(io.BytesIO(capfdbinary.readouterr().out)), expected
    )


def test_export_to_a_terminal_escapes_control_characters(
    make_run, monkeypatch, capfdbinary, tmp_path
):
    run = make_run("\x1b[31mred\x07", epochs=1)
    assert (
        main_with_exit_code(
            ["analyze", str(run), "-o", str(tmp_path / "out"), "--quiet"]
        )
        == 0
    )
    capfdbinary.readouterr()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert (
        main_with_exit_code(
            [
                "export",
                str(tmp_path / "out"),
                "--table",
                "checkpoints",
                "--format",
                "csv",
            ]
        )
        == 0
    )
    out, _ = capfdbinary.readouterr()
    assert b"\\x1b[31mred\\x07" in out
    assert not set(b"\x1b\x07") & set(out)


def test_export_to_a_terminal_shows_ten_rows(analysed, monkeypatch, capfd):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    where = ["export", str(analysed.out), "--run", "cifar100-cnn"]
    assert main_with_exit_code(where) == 0
    out, err = capfd.readouterr()
    assert [line.count(",") for line in out.splitlines()] == [10] * 11
    assert err.startswith("10 of 100 rows and 10 of 100 columns, 6 digits; -o FILE or")
    assert max(map(len, out.splitlines()[1].split(","))) <= len("-0.000355524")
    assert main_with_exit_code([*where, "--format", "csv"]) == 0
    out, err = capfd.readouterr()
    assert (len(out.splitlines()), err) == (101, "")


def test_export_refuses_a_terminal_for_bytes(analysed, dsi, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    hint = "add -o FILE, or --format csv"
    error = f"error: stdout is a terminal, which cannot show Parquet or NPY: {hint}\n"
    assert dsi("export", analysed.out, "--format", "npy") == (2, "", error)


ALL = "cifar100-cnn, cifar100-vit, collapsed, garments"
STORED = "its epochs are 0, 1, ... 15, its matrices ccsm-test, ncsm"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            (),
            (
                f"{{out}} has 4 runs: {ALL}\nhint: add --run cifar100-cnn, or another"
                " of them"
            ),
        ),
        (
            ("--run", "garments", "--epoch", 77),
            f"no ncsm of epoch 77 in run 'garments': {STORED}",
        ),
        (
            ("--run", "garments", "--epoch", 3, "--step", 7),
            f"no ncsm of epoch 3, step 7, in run 'garments': {STORED}",
        ),
        (
            ("--table", "stages"),
            f"no table 'stages': expected one of {', '.join(TABLES)}",
        ),
        (
            ("--table", "curves", "--epoch", 3),
            (
                "--table curves writes all rows and columns of the table\nhint: leave out"
                " --epoch"
            ),
        ),
        (("--table", "curves", "--run", "x"), f"no run 'x': {{out}} has 4 runs: {ALL}"),
        (("--run", "garments", "--split", "x"), "no split 'x': expected test or train"),
        (
            ("--format", "xls"),
            "cannot export as 'xls': expected one of parquet, csv, npy",
        ),
        (
            ("-o", "x.npy", "--table", "curves"),
            "NPY holds matrices: export a table as parquet or csv",
        ),
        (
            ("-o", "nowhere/x.csv", "--table", "curves"),
            (
                "nowhere/x.csv could not be written: No such file or directory\nhint:"
                " choose another output with -o"
            ),
        ),
    ],
)
def test_export_wrong_usage_is_one_line(
    arguments, line, dsi, analysed, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ended = dsi("export", analysed.out, *arguments)
    code = 5 if "written" in line else 2
    assert ended == (code, "", f"error: {line.format(out=analysed.out)}\n")
    assert list(tmp_path.iterdir()) == []


def test_export_of_another_folder_is_refused(dsi, tmp_path):
    (tmp_path / "x").mkdir()
    ended = dsi("export", tmp_path / "x")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {tmp_path}/x is not a results folder")
