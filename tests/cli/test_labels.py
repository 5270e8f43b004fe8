"""``dsi labels``, and the mapping of one's own in the verbs that take one."""

import json
import shlex

import pandas as pd
import pytest
import torch
from helpers.outputs import ANIMALS

from dsi_cli.labels.presets import PRESETS


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("crane\nheron\nstork\nelefant\naquarium_fish\n", encoding="utf-8")
    return path


def test_labels_table_marks_uncertain_senses(dsi, listed):
    ended = dsi("labels", listed)
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].split() == ["label", "synset", "sure", "meaning"]
    assert [line.split()[0] for line in lines if line[:1] == "?"] == ["?", "?"]
    assert lines[1].split()[:3] == ["0", "crane", "crane.n.05"]
    assert "its head is used: fish (context: aquarium)" in ended.out
    assert ended.err.splitlines() == [
        "4 of 5 labels in WordNet 3.0, from labels.txt; 2 uncertain (?)",
        "warning: the least certain: 'elefant' (no synset), 'aquarium_fish' (fish.n.01)",
        (
            "To choose their senses, edit the file that this command writes, then add"
            " --map map.csv:"
        ),
        f"  dsi labels {listed} --write-map map.csv",
    ]
    listed.write_text("run\njump\nswim\n", encoding="utf-8")
    assert dsi("labels", listed, "--pos", "verb").out.splitlines()[3].split()[:5] == [
        "?",
        "2",
        "swim",
        "swim.v.01",
        "0.84",
    ]


def test_labels_and_wordnet_list_the_same_uncertain_senses(dsi, listed, tmp_path):
    one, other = (
        dsi("labels", listed, "--uncertain"),
        dsi("wordnet", listed, "-o", tmp_path / "x.parquet"),
    )
    assert other == (0, f"{one.out}matrix (5 x 5): {tmp_path / 'x.parquet'}\n", one.err)
    listed.write_text("crane\nheron\nelefant\n", encoding="utf-8")
    (tmp_path / "own.json").write_text('{"bird": ["crane", "heron"]}', encoding="utf-8")
    ended = dsi(
        "wordnet",
        listed,
        "--taxonomy",
        tmp_path / "own.json",
        "-o",
        tmp_path / "x.parquet",
    )
    assert ended.err == "2 of 3 labels in own.json; unknown: 'elefant'\n"
    assert (
        "2 of 3 labels in WordNet 3.0, from labels.txt; 1 uncertain (?)\n"
        in dsi("labels", listed).err
    )


def test_labels_hint_can_be_pasted(dsi, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my actions.txt").write_text(
        "ride_horse\nswimming\nrun.v.01\nwalk\n", encoding="utf-8"
    )
    command = dsi(
        "wordnet", "my actions.txt", "--pos", "verb", "-o", "x.parquet"
    ).err.splitlines()[-1]
    assert command == "  dsi labels 'my actions.txt' --pos verb --write-map map.csv"
    assert dsi(*shlex.split(command)[1:]).code == 0
    assert pd.read_csv("map.csv")["synset"].to_list() == [
        "ride.v.01",
        "swim.v.01",
        "run.v.01",
        "walk.v.01",
    ]
    (tmp_path / "own.csv").write_text("name,synset\nwalk,walk.v.01\n", encoding="utf-8")
    ended = dsi("labels", "my actions.txt", "--pos", "verb", "--map", "own.csv")
    assert ended.err.endswith(
        "labels 'my actions.txt' --map own.csv --pos verb --write-map map.csv\n"
    )


def test_labels_uncertain_json_has_only_uncertain_rows(dsi, listed):
    ended = dsi("labels", listed, "--uncertain", "--json")
    found = json.loads(ended.out)["labels"]
    assert ([row["label"] for row in found], found[0]["candidates"][0]) == (
        ["elefant", "aquarium_fish"],
        "elephant.n.01",
    )
    assert found[1]["confidence"] < 0.85
    assert sum(found[1]["scores"]) == pytest.approx(1, abs=1e-3)
    assert all(row["uncertain"] for row in found)
    assert ended.err == ""


def test_labels_of_synonyms_lists_them_and_what_dsi_did(dsi, listed):
    listed.write_text("car\nautomobile\nheron\ncar.n.01\n", encoding="utf-8")
    ended = dsi("labels", listed)
    assert "synonyms: 'car' and 'automobile' and 'car.n.01' mean car.n.01;" in ended.err
    (group,) = json.loads(dsi("labels", listed, "--json").out)["synonyms"]
    assert group == {"synset": "car.n.01", "indices": [0, 1, 3]}
    assert json.loads(dsi("labels", "cifar10", "--json").out)["synonyms"] == []


def test_labels_presets_are_listed(dsi):
    assert [
        line.split()[0] for line in dsi("labels", "--presets").out.splitlines()
    ] == [preset.name for preset in PRESETS]
    assert [
        row["name"] for row in json.loads(dsi("labels", "--presets", "--json").out)
    ] == [p.name for p in PRESETS]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (),
            "expected a label file or a preset; dsi labels --presets lists the presets",
        ),
        (
            ("cifar10", "--presets"),
            "--presets lists the presets and takes no label list\nhint: leave out 'cifar10'",
        ),
    ],
)
def test_labels_wrong_usage_is_one_line(dsi, arguments, message):
    assert dsi("labels", *arguments) == (2, "", f"error: {message}\n")


def test_analyze_mapping_decides_senses(dsi, make_run, tmp_path):
    run, out, path = make_run(epochs=2), tmp_path / "out", tmp_path / "map.csv"
    path.write_text(
        f"name,synset\n{ANIMALS[0]},dog.n.01\n{ANIMALS[1]},\n", encoding="utf-8"
    )
    assert dsi("analyze", run, "-o", out, "--no-report", "--map", path).code == 0
    rows = pd.read_parquet(out / "classes.parquet")
    assert (rows["resolved_by"][:2].to_list(), rows["synset"][0]) == (
        ["map", "map"],
        "dog.n.01",
    )
    assert pd.isna(rows["synset"][1])
    curves = pd.read_parquet(out / "curves.parquet").query(
        "metric == 'sai' and of == 'ncsm,scsm'"
    )
    assert set(curves["classes_used"]) == {len(ANIMALS) - 1}


def test_labels_without_a_synset_in_the_map_are_not_called_certain(dsi, tmp_path):
    (tmp_path / "names.txt").write_text("cat\ndog\nqzx\n", encoding="utf-8")
    dsi("labels", tmp_path / "names.txt", "--write-map", tmp_path / "map.csv")
    ended = dsi(
        "labels", tmp_path / "names.txt", "--map", tmp_path / "map.csv", "--uncertain"
    )
    assert ended.out == "No label of 3 is uncertain.\n"
    assert (
        ended.err.splitlines()[0]
        == "2 of 3 labels in WordNet 3.0, from names.txt; the mapping leaves out the"
        " others"
    )
    again = ("labels", tmp_path / "names.txt", "--write-map", tmp_path / "map.csv")
    assert dsi(*again).code == 0
    (tmp_path / "map.csv").write_bytes((tmp_path / "map.csv").read_bytes() + b"\r\n")
    assert (dsi(*again).code, dsi(*again, "--map", tmp_path / "map.csv").code) == (2, 0)


QUICK = ("--no-report",)


def test_placeholder_labels_ask_for_class_names(dsi, make_run, tmp_path, monkeypatch):
    run, out = (
        make_run(labels=[f"class_{number}" for number in range(len(ANIMALS))]),
        tmp_path / "out",
    )
    asked = (
        "the labels are placeholders (class_0, class_1, ...); give the class names with"
        " --labels FILE"
    )
    ended = dsi("analyze", run, "-o", out, *QUICK)
    assert ended.code == 0
    (line,) = (line for line in ended.err.splitlines() if "class_0" in line)
    assert line == f"warning: no agreement with WordNet: {asked}"
    assert "--write-map" not in ended.err  # no sense of a placeholder can be chosen
    classes, curves = (
        pd.read_parquet(out / f"{name}.parquet") for name in ("classes", "curves")
    )
    assert classes["synset"].isna().all()
    assert set(classes["resolved_by"]) == {"placeholder"}
    assert curves.query("metric == 'sai'")["value"].isna().all()
    monkeypatch.chdir(tmp_path)
    ended = dsi("labels", "run/classes.txt")
    assert ended.err.splitlines() == [
        "0 of 8 labels in WordNet 3.0, from classes.txt; 8 uncertain (?)",
        (
            "The labels are placeholders (class_0, class_1, ...). Replace them by the"
            " class names."
        ),
    ]
    line = (
        "none of 8 labels is known to WordNet: 'class_0' is a placeholder; give the"
        " real class name"
    )
    assert dsi("wordnet", "run/classes.txt") == (3, "", f"error: {line}\n")
    assert not list(tmp_path.glob("*.parquet"))


MAKES = """Acura,Audi,BMW,Bentley,Bugatti,Buick,Cadillac,Chevrolet,Chrysler,Eagle,Ferrari,Ford,GMC,Honda,Hyundai,Isuzu,Jaguar,Jeep,
Lamborghini,Lincoln,Mazda,Plymouth,Porsche,Ram,Suzuki,Volvo""".replace("\n", "").split(
    ","
)


def test_labels_mostly_unknown_to_wordnet_are_all_uncertain(dsi, tmp_path):
    path, run, out = tmp_path / "makes.txt", tmp_path / "run", tmp_path / "out"
    path.write_text("\n".join(MAKES), encoding="utf-8")
    said = (
        "warning: 19 of 26 labels are unknown to WordNet 3.0, so the senses of the"
        " others are uncertain, too"
    )
    assert said in dsi("labels", path).err.splitlines()
    assert said in dsi("wordnet", path, "-o", tmp_path / "x.parquet").err.splitlines()
    run.mkdir()
    for epoch in range(2):
        torch.save(
            {
                "fc.weight": torch.randn(
                    len(MAKES), 8, generator=torch.manual_seed(epoch)
                )
            },
            run / f"epoch_{epoch}.pt",
        )
    ended = dsi("analyze", run, "-o", out, "--labels", path, *QUICK)
    assert [line for line in ended.err.splitlines() if "warning" in line] == [said]
    mapped = tmp_path / "map.csv"
    mapped.write_text(
        "name,synset\n" + "".join(f"{name},car.n.01\n" for name in MAKES),
        encoding="utf-8",
    )
    assert "unknown" not in dsi("labels", path, "--map", mapped).err


def test_uncertain_senses_are_warned_of_once(dsi, make_run, tmp_path):
    labels = ("crane", "heron", "stork", "bus", "bow", "file", "whale", "bee")
    for name in ("a", "b"):
        make_run(f"runs/{name}", labels=labels)
    ended = dsi("analyze", tmp_path / "runs", "-o", tmp_path / "out", *QUICK)
    (warning,) = [line for line in ended.err.splitlines() if line.startswith("warning")]
    shown = dsi(
        "labels", tmp_path / "runs" / "a" / "classes.txt", "--uncertain", "--json"
    )
    listed = sorted(json.loads(shown.out)["labels"], key=lambda row: row["confidence"])
    rows = [(row["label"], row["synset"]) for row in listed]
    assert len(rows) > 1
    senses = ", ".join(f"{label} → {synset}" for label, synset in rows)
    assert warning.endswith(f"of {len(rows)} labels: {senses}"), "least certain first"
    sure = tmp_path / "sure.csv"
    sure.write_text(
        "name,synset\n" + "".join(f"{label},{synset}\n" for label, synset in rows),
        encoding="utf-8",
    )
    assert (
        "warning"
        not in dsi(
            "analyze", tmp_path / "runs", "-o", tmp_path / "out", "--map", sure, *QUICK
        ).err
    )
