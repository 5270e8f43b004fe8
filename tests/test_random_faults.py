"""The script that plants random faults: its files, and that the truth matches them."""

import json

import numpy as np
import pytest
import torch
from helpers.errors import raises
from helpers.example_scripts import example_module
from helpers.pictures import encoded
from PIL import Image
from safetensors.numpy import load_file

CLASSES, IMAGES, EPOCHS = 12, 10, 3


@pytest.fixture(scope="module")
def script():
    with example_module("random_faults") as module:
        yield module


@pytest.fixture(scope="module")
def written(script, tmp_path_factory):
    """A case with two faults or more, and its folder."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("faults") / "case_000"
    source = script.drawn_source()
    case = script.write_case(folder, source, 0, 0, (CLASSES, CLASSES), IMAGES, EPOCHS)
    script.write_held_out(folder, case, 2, EPOCHS)
    return case, folder


def sound(script, seed=0):
    generator = np.random.default_rng(seed)
    source = script.drawn_source()
    return script.sound_case(source, (CLASSES, CLASSES), IMAGES, generator)


def images_of(case, member):
    return (case.targets == member).sum(), (case.test_targets == member).sum()


def has_patch(images):
    """Return True if the images have the same values at the same place."""
    is_same = (images == images[:1]).all((0, 1))
    return is_same.any(0).sum() >= 7 and is_same.any(1).sum() >= 7


@pytest.mark.parametrize("seed", range(4))
def test_planters_concern_different_classes_and_make_what_the_truth_says(script, seed):
    case, before = sound(script, seed), sound(script, seed)
    faults = {kind: plant(case) for kind, plant in script.PLANTERS.items()}
    members = [member for fault in faults.values() for member in fault.members]
    assert len(members) == len(set(members))
    assert len(set(case.names)) == len(case.names) == CLASSES + 1

    first, second = faults["duplicate"].members
    assert second == CLASSES
    assert images_of(case, first) == images_of(case, second) == (IMAGES / 2, IMAGES / 2)

    fault = faults["mislabelled-images"]
    assert 0.2 <= fault.share <= 0.4
    moved = np.flatnonzero(case.is_moved)
    assert len(moved) == round(fault.share * IMAGES)
    assert set(case.targets[moved]) == {fault.members[1]}
    assert [images_of(case, member) for member in fault.members] == [
        (IMAGES - len(moved), IMAGES),
        (IMAGES + len(moved), IMAGES),
    ]

    fault = faults["shortcut"]
    assert 3 <= len(fault.members) <= 4
    for images, targets in (
        (case.images, case.targets),
        (case.test_images, case.test_targets),
    ):
        assert has_patch(images[np.isin(targets, fault.members)])
        assert not has_patch(images[~np.isin(targets, fault.members)])

    changed = {
        index for index in range(CLASSES) if case.names[index] != before.names[index]
    }
    assert changed == set(faults["wrong-label"].members)

    (dead,) = faults["dead-class"].members
    assert images_of(case, dead) == (0, IMAGES)


def test_duplicate_has_a_synonym_or_the_name_of_an_absent_class(script):
    kinds = set()
    for seed in range(12):
        case = sound(script, seed)
        absent = set(case.absent)
        first, second = script.plant_duplicate(case).members
        name = case.names[second]
        is_synonym = script.SYNONYMS.get(case.names[first]) == name
        assert is_synonym or name in absent
        kinds.add(is_synonym)
    assert kinds == {True, False}


def test_planted_every_fifth_case_has_no_fault(script):
    numbers = [
        len(script.planted(sound(script, number), number)) for number in range(10)
    ]
    assert numbers[4] == numbers[9] == 0
    assert all(2 <= number <= 5 for number in numbers[:4] + numbers[5:9])


def test_write_case_writes_the_files_of_a_training(script, written):
    case, folder = written
    classes = len(case.names)
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    assert {path.name for path in folder.iterdir()} == {
        *(f"epoch_{epoch:03}.safetensors" for epoch in range(EPOCHS + 1)),
        *(f"{name}.npy" for name in arrays),
        "classes.txt",
        "log.csv",
        "truth.json",
    }
    assert {
        name: (array.shape, str(array.dtype)) for name, array in arrays.items()
    } == {
        "preds": ((EPOCHS + 1, len(case.test_targets)), "int16"),
        "targets": ((len(case.test_targets),), "int16"),
        "preds_train": ((3, len(case.targets)), "int16"),
        "targets_train": ((len(case.targets),), "int16"),
        "moved_train": ((case.is_moved.sum(),), "int32"),
        "probabilities_train": ((len(case.targets), classes), "float16"),
    }
    assert (arrays["targets_train"] == case.targets).all()
    assert (arrays["targets"] == case.test_targets).all()
    assert np.allclose(arrays["probabilities_train"].astype(float).sum(1), 1, atol=0.01)
    assert (folder / "classes.txt").read_text().split() == case.names
    head = load_file(folder / f"epoch_{EPOCHS:03}.safetensors")
    assert head["fc.weight"].shape[0] == head["fc.bias"].shape[0] == classes
    log = (folder / "log.csv").read_text().splitlines()
    assert len(log) == EPOCHS + 2
    accuracy = (arrays["preds"][-1] == arrays["targets"]).mean()
    assert float(log[-1].split(",")[2]) == pytest.approx(accuracy)


def test_truth_of_a_written_case_matches_its_files(script, written):
    _, folder = written
    records = json.loads((folder / "truth.json").read_text())
    assert [script.Fault(**record) for record in records] == script.faults_of(folder)
    kinds = {record["kind"] for record in records}
    assert len(kinds) == len(records) >= 2
    labels = np.load(folder / "targets_train.npy")
    moved = np.load(folder / "moved_train.npy")
    assert bool(len(moved)) == ("mislabelled-images" in kinds)
    for record in records:
        if record["kind"] == "mislabelled-images":
            assert set(labels[moved]) == {record["members"][1]}
        elif record["kind"] == "dead-class":
            assert record["members"][0] not in labels
        else:
            assert set(record["members"]) <= set(labels)


def test_folder_source_gives_images_of_the_class_and_the_split(script, tmp_path):
    values = {("train", "cat"): 10, ("train", "dog"): 20, ("test", "cat"): 30}
    values[("test", "dog")] = 40
    for (split, name), value in values.items():
        folder = tmp_path / split / name
        folder.mkdir(parents=True)
        for number in range(3):
            pixels = np.full((32, 32, 3), value, np.uint8)
            picture = encoded(Image.fromarray(pixels), "png")
            (folder / f"{number}.png").write_bytes(picture)
    source = script.folder_source(tmp_path)
    assert source.names == ("cat", "dog")
    for (split, name), value in values.items():
        for count, expected in ((2, 2), (5, 3)):
            rng = np.random.default_rng(0)
            images = source.images(name, count, rng, split == "train")
            assert images.shape == (expected, 3, 32, 32)
            assert np.allclose(images, value / 255)


def test_folder_source_with_different_classes_raises(script, tmp_path):
    picture = encoded(Image.new("RGB", (32, 32)), "png")
    for split, name in (("train", "cat"), ("test", "dog")):
        (tmp_path / split / name).mkdir(parents=True)
        (tmp_path / split / name / "0.png").write_bytes(picture)
    with raises("different-classes", folder=str(tmp_path)):
        script.folder_source(tmp_path)


@pytest.mark.parametrize(
    ("kind", "members", "listed", "expected"),
    [
        ("duplicate", [1, 2], [2, 1], True),
        ("duplicate", [1, 2], [1, 3], False),
        ("mislabelled-images", [1, 2], [2, 1], True),
        ("shortcut", [1, 2, 3, 4], [1, 2], True),
        ("shortcut", [1, 2, 3], [1, 5], False),
        ("shortcut", [1, 2, 3], [1, 2, 3, 5, 6, 7, 8], False),
        ("wrong-label", [1, 2], [2], True),
        ("wrong-label", [1], [1, 2], False),
        ("dead-class", [1], [1], True),
    ],
)
def test_is_same_compares_the_classes_by_kind(script, kind, members, listed, expected):
    assert script.is_same(script.Fault(kind, members), listed) is expected


def test_found_rank_is_the_best_of_the_rows_of_the_fault(script):
    fault = script.Fault("duplicate", [1, 2])
    ranked = [(1, [3, 4], "strong"), (2, [2, 1], "strong"), (3, [1, 2], "ordinary")]
    assert script.found_rank(fault, ranked) == 2
    assert script.found_rank(fault, ranked[:1]) is None


def test_measure_counts_the_planted_faults_of_all_cases(script, written):
    _, folder = written
    lines = list(script.measure(folder.parent))
    cells = [line.strip("| ").split(" | ") for line in lines[2:]]
    assert [row[0] for row in cells] == list(script.PLANTERS)
    planted = {fault.kind for fault in script.faults_of(folder)}
    for kind, number, first, three, others in cells:
        assert int(number) == (kind in planted)
        assert int(first) <= int(three) <= int(number)
        assert int(others) == 0


@pytest.mark.parametrize("classes", ["5-20", "30-48", "40-30"])
def test_train_with_a_wrong_span_ends_with_2(script, tmp_path, classes, capsys):
    with pytest.raises(SystemExit, match="2"):
        script.main(["train", str(tmp_path / "out"), "--classes", classes])
    assert "--classes" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_train_into_a_used_folder_ends_with_2(script, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match="2"):
        script.main(["train", str(tmp_path)])
