"""``dsi diff`` prints the moved classes on one screen, and writes what the API
returns.
"""

import json
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import dsi_cli

CNN = files("dsi_cli.demo") / "runs" / "cifar100-cnn"
FIRST, LAST = CNN / "epoch_001.safetensors", CNN / "epoch_030.safetensors"


@pytest.fixture
def half(tmp_path):
    save_file(
        {"fc.weight": load_file(LAST)["fc.weight"].astype(np.float16)},
        tmp_path / "half.safetensors",
    )
    return tmp_path / "half.safetensors"


def test_diff_screen_has_finding_classes_pairs_and_groups(dsi):
    ended = dsi("diff", FIRST, LAST)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert len(lines) <= 25
    assert (
        max(
            map(
                len,
                (line.rstrip() for line in lines if not line.startswith("The median")),
            )
        )
        <= 80
    )
    found = dsi_cli.diff(FIRST, LAST)
    assert found.headline in lines
    assert (
        json.loads(dsi("diff", FIRST, LAST, "--json").out)["headline"] == found.headline
    )
    assert (
        "Classes that moved most   usual: neighbouring checkpoints of epochs 25–30"
        in lines
    )
    row = found.moved.iloc[0]
    shown = next(line for line in lines if line.startswith(f"  {row['name']} "))
    assert f"{row['angle']:.1f}°" in shown
    assert [
        line.split()[0] for line in lines if line.startswith(("Cl", "Pa", "Gr"))
    ] == ["Classes", "Pairs", "Groups"]
    assert len(dsi("diff", FIRST, LAST, "-n", 9).out.splitlines()) > len(lines)


def test_diff_screen_of_a_rounded_copy_has_the_bound(half, dsi):
    lines = dsi("diff", LAST, half).out.splitlines()
    assert (
        lines[3]
        == "Nothing moved beyond rounding: float32 and float16 explain every difference"
        " of 100 classes."
    )
    assert "rounding explains up to 0.028°" in lines[4]
    assert len(lines) == 5


def test_diff_json_and_files_equal_the_api(dsi, tmp_path):
    out = tmp_path / "out"
    ended = dsi("diff", CNN, "--epoch", 1, "--epoch", 30, "--json", "-o", out)
    document, found = json.loads(ended.out), dsi_cli.diff(FIRST, LAST)
    assert document["summary"] == found.summary
    assert [row["name"] for row in document["classes"]] == found.moved["name"].tolist()
    assert (
        len(document["pairs"]),
        len(document["groups"]),
        document["first"]["epoch"],
    ) == (100, len(found.groups), 1)
    names = [
        "diff_classes.parquet",
        "diff_pairs.parquet",
        "diff_groups.parquet",
        "diff.html",
    ]
    assert document["files"] == [str(out / name) for name in names]
    assert (
        sorted(path.name for path in out.iterdir()),
        len(pd.read_parquet(out / names[1])),
    ) == (sorted(names), 4950)
    page = tmp_path / "page.html"
    assert str(page) in dsi("diff", FIRST, LAST, "--html", page).out
    text = page.read_text(encoding="utf-8")
    assert f">{found.headline}</h2>" in text
    assert (
        "The 50 classes that moved most, of 100 that moved beyond rounding; usual"
        " values are those between neighbouring" in text
    )


def test_diff_networks_of_different_widths_have_no_angles(dsi):
    ended = dsi("diff", CNN, CNN.parent / "cifar100-vit")
    assert "No angles: the heads have 320 and 64 features" in ended.out
    assert "°" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((FIRST,), 2),
        ((FIRST, LAST, "--html", "a"), 2),
        ((FIRST, LAST, "-o", FIRST), 5),
        ((FIRST, CNN / "classes.txt"), 3),
    ],
)
def test_diff_wrong_input_is_one_line(arguments, code, dsi):
    ended = dsi("diff", *arguments)
    assert (ended.code, ended.out) == (code, "")
    error, *hint = ended.err.splitlines()
    assert error.startswith("error: ")
    assert all(line.startswith("hint: ") for line in hint)
    assert len(hint) <= 1
