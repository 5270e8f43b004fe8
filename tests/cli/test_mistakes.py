"""``dsi mistakes``: the same as the API says, as a table, as JSON, on a sheet."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import (
    LONG,
    MARKED,
    write_checkpoints,
    write_counts,
    write_predictions,
)
from PIL import Image

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.queries.mistakes import confused_pairs, worst_mistakes
from dsi_cli.queries.records import records
from dsi_cli.store.results import Results


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Four images, of a run's samples 0 to 3."""
    folder = tmp_path_factory.mktemp("data") / "images"
    for sample in range(4):
        path = folder / f"class{sample % 2}" / f"{sample}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (28, 28), (50 * sample, 100, 0)).save(path)
    return folder


@pytest.fixture(scope="module")
def out(images, tmp_path_factory):
    out = tmp_path_factory.mktemp("answered") / "out"
    analyze([write_checkpoints(out.parent / "run", 2, MARKED)], out, Options(draws=0))
    paths = [
        str(images / f"class{sample % 2}" / f"{sample}.png") for sample in range(4)
    ]
    for epoch in (0, 1):
        write_predictions(
            out,
            [0, 1, 2, 0],
            [1, 2, 4, 0],
            score=[0.25, 0.5, 0.75, 1.0],
            path=paths,
            epoch=epoch,
        )
        counts = np.zeros((8, 8), int)
        np.add.at(counts, ([0, 1, 2, 0], [1, 2, 4, 0]), 1)
        write_counts(out, counts, epoch=epoch)
    return out


@pytest.mark.parametrize(
    ("option", "make"), [((), worst_mistakes), (("--pairs",), confused_pairs)]
)
def test_mistakes_json_equals_the_api(out, dsi, option, make):
    arguments = ("--epoch", 0, "-n", 2, "--sort", "reasonable", "--json")
    ended = dsi("mistakes", out, *arguments, *option)
    assert (ended.code, ended.err) == (0, "")
    document = json.loads(ended.out)
    selection = {"epoch": 0, "most": 2, "order": "reasonable"}
    if not option:
        pairs = confused_pairs(Results(out), **selection)
        assert document.pop("pairs") == records(pairs)
    expected = make(Results(out), **selection)
    assert document == expected.attrs | {"rows": records(expected)}


def test_mistakes_tables_equal_the_api_and_the_counts(out, images, dsi):
    ended = dsi("mistakes", out)
    assert (ended.code, ended.err) == (0, "")
    pairs, _, samples = ended.out.partition("\n\n")
    assert pairs + "\n" == dsi("mistakes", out, "--pairs").out
    expected = worst_mistakes(Results(out))
    title, legend, *head, first, second, third, place = samples.splitlines()
    assert (title, legend) == (expected.attrs["title"], expected.attrs["legend"])
    assert " ".join(" ".join(head).split()) == (
        "NCSM WordNet WordNet sample truth prediction score rank similarity rank"
    )
    assert place == f"images in {images}"
    for line, row in zip((first, second, third), records(expected), strict=True):
        assert line.startswith(f"class{row['sample'] % 2}/{row['sample']}.png ")
        for value in (f"{row['score']:.3f}", f"{row['rank']:.0f}", row["truth"]):
            assert value in line
    assert "[red]horse" in ended.out
    assert LONG[:40] + "..." in ended.out
    *_, line = dsi("mistakes", out, "--pairs", "--truth", "cat").out.splitlines()
    assert line.split()[:4] == ["cat", "dog", "1", "0.500"]


def test_mistakes_of_a_class_without_mistakes_exits_with_0(out, tmp_path, dsi):
    ended = dsi("mistakes", out, "--truth", "bee", "--sheet", tmp_path / "bee.png")
    assert (ended.code, ended.out) == (
        0,
        f"run, epoch 1, test: no mistakes of bee\nsheet: {tmp_path / 'bee.png'}\n",
    )
    assert Image.open(tmp_path / "bee.png").format == "PNG"


def test_mistakes_sheet_shows_the_images(out, tmp_path, dsi):
    sheet = tmp_path / "sheet.png"
    ended = dsi("mistakes", out, "--sheet", sheet)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.endswith(f"sheet: {sheet}\n")
    colours = {
        colour for _, colour in Image.open(sheet).convert("RGB").getcolors(100_000)
    }
    assert {(0, 100, 0), (50, 100, 0), (100, 100, 0)} <= colours
    assert (150, 100, 0) not in colours, "the sample that was right"


def test_mistakes_sheet_of_missing_images_warns(out, images, tmp_path, dsi):
    sheet, moved = tmp_path / "sheet.png", tmp_path / "elsewhere"
    shutil.move(images, moved)
    ended = dsi("mistakes", out, "--sheet", sheet)
    assert ended.code == 0
    reason = "No such file or directory"
    assert ended.err == f"warning: 3 of 3 images could not be opened: {reason}\n"
    assert dsi("mistakes", out, "--sheet", sheet, "--quiet").err == ""
    assert set(
        json.loads(dsi("mistakes", out, "--sheet", sheet, "--json").out)["unopened"]
    ) == {"0", "1", "2"}
    shutil.move(moved, images)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--truth", "dgo"), 2, "no class 'dgo': try dog"),
        (("-n", 0), 2, "invalid value for '--most'"),
        (
            ("--pairs", "--sheet", "x.png"),
            2,
            "a contact sheet shows samples\nhint: leave out --pairs, or --sheet",
        ),
        (
            ("--sheet", "none/x.png"),
            5,
            "none/x.png could not be written: No such file or directory",
        ),
    ],
)
def test_mistakes_wrong_usage_is_one_line(out, dsi, arguments, code, words):
    ended = dsi("mistakes", out, *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")
    assert words in ended.err
    assert ended.err.count("error: ") == 1


def test_mistakes_of_a_pair_on_train_list_the_surest_with_their_files(
    make_run, images, tmp_path, dsi
):
    run = make_run(epochs=6)
    paths = [
        str(images / f"class{sample % 2}" / f"{sample}.png") for sample in range(4)
    ]
    frames = []
    for epoch, predictions in enumerate(([1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 1]), 3):
        values = {"epoch": epoch, "split": "train", "target": 0, "path": paths}
        frames.append(pd.DataFrame(values | {"prediction": predictions}))
    pd.concat(frames).to_csv(run / "predictions.csv", index=False)
    assert dsi("analyze", run, "-o", tmp_path / "out", "--no-report").code == 0
    names = (run / "classes.txt").read_text().splitlines()
    command = ("mistakes", tmp_path / "out", "--split", "train")
    pair = ("--truth", names[0], "--prediction", names[1])
    ended = dsi(*command, *pair)
    assert ended.code == 0, ended.err
    samples = ended.out.partition("\n\n")[2].splitlines()
    (head,) = [
        number for number, line in enumerate(samples) if line.startswith("sample")
    ]
    found = [line.split()[:5] for line in samples[head + 1 : -1]]
    assert found == [
        ["0", "class0/0.png", "3", "of", "3"],
        ["2", "class0/2.png", "3", "of", "3"],
        ["1", "class1/1.png", "1", "of", "3"],
        ["3", "class1/3.png", "1", "of", "3"],
    ]
    document = json.loads(dsi(*command, *pair, "--json").out)
    columns = ("sample", "path", "epochs", "of_epochs")
    expected = [[0, 3], [2, 3], [1, 1], [3, 1]]
    assert [[row[name] for name in columns] for row in document["rows"]] == [
        [sample, paths[sample], epochs, 3] for sample, epochs in expected
    ]
    assert document["order"] == "surest"
    assert dsi(*command, "--sort", "surest").out.count(" of 3 ") == 4
    assert dsi(*command, "--sort", "surest", "--epoch", 4).code == 2
    assert dsi(*command, "--sort", "surest", "--pairs").code == 2
