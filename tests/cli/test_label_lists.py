"""Label lists as users have them, on the command line: what dsi says about them, and what it makes of them."""

import json

import pandas as pd
import torch
from helpers.outputs import ANIMALS

QUICK = ("--draws", 0, "--no-report")


def test_placeholder_labels_ask_for_class_names(dsi, make_run, tmp_path, monkeypatch):
    run, out = make_run(labels=[f"class_{number}" for number in range(len(ANIMALS))]), tmp_path / "out"
    asked = "the labels are placeholders (class_0, class_1, ...); give the class names with --labels FILE"
    ended = dsi("analyze", run, "-o", out, *QUICK)
    assert ended.code == 0
    assert [line for line in ended.err.splitlines() if "class_0" in line] == [
        f"warning: no agreement with WordNet: {asked}"
    ]
    assert "--write-map" not in ended.err  # no sense of a placeholder can be chosen
    classes, curves = (pd.read_parquet(out / f"{name}.parquet") for name in ("classes", "curves"))
    assert classes["synset"].isna().all()
    assert set(classes["resolved_by"]) == {"placeholder"}
    assert curves.query("metric == 'sai'")["value"].isna().all()
    monkeypatch.chdir(tmp_path)
    ended = dsi("labels", "run/classes.txt")
    assert ended.err.splitlines() == [
        "0 of 8 labels in WordNet 3.0, from classes.txt; 8 uncertain (?)",
        "The labels are placeholders (class_0, class_1, ...). Replace them by the class names.",
    ]
    assert dsi("wordnet", "run/classes.txt") == (
        3,
        "",
        "dsi: none of 8 labels is known to WordNet: 'class_0' is a placeholder; give the real class name\n",
    )


MAKES = """Acura,Audi,BMW,Bentley,Bugatti,Buick,Cadillac,Chevrolet,Chrysler,Eagle,Ferrari,Ford,GMC,Honda,Hyundai,Isuzu,Jaguar,Jeep,
Lamborghini,Lincoln,Mazda,Plymouth,Porsche,Ram,Suzuki,Volvo""".replace("\n", "").split(",")


def test_labels_mostly_unknown_to_wordnet_are_all_uncertain(dsi, tmp_path):
    path, run, out = tmp_path / "makes.txt", tmp_path / "run", tmp_path / "out"
    path.write_text("\n".join(MAKES), encoding="utf-8")
    said = (
        "19 of 26 labels are unknown to WordNet 3.0, so the senses of the others are uncertain, too; add --taxonomy FILE "
        "or --reference FILE, or choose the synsets with --map FILE"
    )
    found = json.loads(dsi("labels", path, "--json").out)["labels"]
    assert all(row["uncertain"] for row in found)
    (ram,) = (row for row in found if row["label"] == "Ram")
    assert ram["confidence"] <= 0.5
    assert "19 of the 26 labels are unknown to WordNet 3.0" in ram["reason"]
    assert said in dsi("labels", path).err.splitlines()
    assert said in dsi("wordnet", path, "-o", tmp_path / "x.parquet").err.splitlines()
    run.mkdir()
    for epoch in range(2):
        torch.save({"fc.weight": torch.randn(len(MAKES), 8, generator=torch.manual_seed(epoch))}, run / f"epoch_{epoch}.pt")
    ended = dsi("analyze", run, "-o", out, "--labels", path, *QUICK)
    assert [line for line in ended.err.splitlines() if "warning" in line] == [f"warning: {said}"]
    mapped = tmp_path / "map.csv"
    mapped.write_text("name,synset\n" + "".join(f"{name},car.n.01\n" for name in MAKES), encoding="utf-8")
    assert "unknown" not in dsi("labels", path, "--map", mapped).err


def test_uncertain_senses_are_warned_of_once(dsi, make_run, tmp_path):
    labels = ("crane", "heron", "stork", "bus", "bow", "file", "whale", "bee")
    for name in ("a", "b"):
        make_run(f"runs/{name}", labels=labels)
    ended = dsi("analyze", tmp_path / "runs", "-o", tmp_path / "out", *QUICK)
    (warning,) = [line for line in ended.err.splitlines() if line.startswith("warning")]
    shown = dsi("labels", tmp_path / "runs" / "a" / "classes.txt", "--uncertain", "--json")
    rows = [(row["label"], row["synset"]) for row in json.loads(shown.out)["labels"]]
    assert len(rows) > 1
    told = ", ".join(f"{label} → {synset}" for label, synset in rows)
    assert warning == f"warning: {len(rows)} labels are uncertain: {told}"
    sure = tmp_path / "sure.csv"
    sure.write_text("name,synset\n" + "".join(f"{label},{synset}\n" for label, synset in rows), encoding="utf-8")
    assert "warning" not in dsi("analyze", tmp_path / "runs", "-o", tmp_path / "out", "--map", sure, *QUICK).err
