"""``dsi scan``: the same choice and the same messages as ``dsi analyze``, and what it
prints.
"""

import json

import pytest
import torch

LABELS = ("cat", "dog", "horse", "ship", "truck")


@pytest.fixture
def two_heads(tmp_path):
    """Return a folder with checkpoints of two equally good heads, of 5 and of 7
    classes.
    """
    (tmp_path / "run").mkdir()
    for epoch in (1, 2):
        generator = torch.Generator().manual_seed(epoch)
        heads = {
            "classifier.weight": torch.randn(7, 8, generator=generator),
            "fc.weight": torch.randn(5, 8, generator=generator),
        }
        torch.save(heads, tmp_path / f"run/epoch_{epoch}.pt")
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    return tmp_path


def test_scan_labels_decide_between_heads_as_in_analyze(two_heads, dsi):
    assert dsi("scan", two_heads / "run").code == 3
    found = dsi(
        "scan", two_heads / "run", "--labels", two_heads / "labels.txt", "--json"
    )
    assert (found.code, {record["head"] for record in json.loads(found.out)}) == (
        0,
        {"fc.weight"},
    )
    analysed = dsi(
        "analyze",
        two_heads / "run",
        "-l",
        two_heads / "labels.txt",
        "-o",
        two_heads / "out",
        "--json",
        "--no-report",
    )
    assert json.loads(analysed.out)["runs"][0]["heads"] == ["fc.weight"]


@pytest.mark.parametrize("command", ["scan", "analyze"])
def test_scan_and_analyze_print_one_line_for_each_cause(command, two_heads, dsi):
    torch.save({"fc.weight": torch.randn(5, 8)}, two_heads / "run/good.pt")
    options = ["-o", two_heads / "out", "--no-report"] if command == "analyze" else []
    found = dsi(command, two_heads / "run", *options)
    lines = [
        line
        for line in (found.out + found.err).splitlines()
        if "2 tensors could be the classifier" in line
    ]
    assert (found.code, len(lines)) == (4, 1)


def test_scan_shows_finished_epochs_beside_the_trainers_own_number(tmp_path, dsi):
    for epoch in (0, 1):
        contents = {
            "pytorch-lightning_version": "2.5.0",
            "state_dict": {"fc.weight": torch.randn(5, 8)},
            "epoch": epoch,
        }
        torch.save(contents, tmp_path / f"e{epoch}.ckpt")
    found = dsi("scan", tmp_path)
    rows = [line.split() for line in found.out.splitlines() if ".ckpt" in line]
    assert "finished" in found.out
    assert [row[:3] for row in rows] == [["e0.ckpt", "0", "1"], ["e1.ckpt", "1", "2"]]
    assert "epoch from contents" in found.out
    # The epochs of many files are a range, whatever the order of their names.
    for epoch, name in ((2, "_2"), (3, "_3"), (1, "_1")):
        torch.save(
            {"fc.weight": torch.randn(5, 8), "epoch": epoch}, tmp_path / f"e{name}.pth"
        )
    assert [
        line.split()[4]
        for line in dsi("scan", *tmp_path.glob("*.pth")).out.splitlines()
        if "…" in line
    ] == ["1–3"]


def test_scan_why_of_a_folder_that_is_one_checkpoint_explains_its_head(tmp_path, dsi):
    (tmp_path / "checkpoint-500").mkdir()
    torch.save(
        {"fc.weight": torch.randn(5, 8)}, tmp_path / "checkpoint-500/pytorch_model.bin"
    )
    assert (
        "the head is fc.weight (5, 8)"
        in dsi("scan", "--why", tmp_path / "checkpoint-500").out
    )
    assert (
        dsi("scan", "--tensors", tmp_path).err
        == f"error: {tmp_path} is a folder\nhint: name one checkpoint in it\n"
    )


def test_scan_a_results_folder_names_what_to_give_instead(two_heads, dsi):
    dsi(
        "analyze",
        two_heads / "run",
        "-l",
        two_heads / "labels.txt",
        "-o",
        two_heads / "out",
        "--no-report",
    )
    found = dsi("scan", two_heads / "out")
    assert (found.code, found.err) == (
        3,
        (
            f"error: {two_heads}/out is a results folder\nhint: give the folder of the"
            " checkpoints\n"
        ),
    )


@pytest.mark.parametrize("command", ["scan", "analyze"])
@pytest.mark.parametrize(
    ("name", "has_labels"),
    [("mapping", False), ("mapping", True), ("fc", False), ("classifier", False)],
)
def test_head_that_nothing_confirms_is_named_in_one_line(
    command, name, has_labels, tmp_path, dsi
):
    (tmp_path / "run").mkdir()
    if has_labels:
        (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    for epoch in (1, 2):
        state = {f"{name}.weight": torch.randn(5, 8), f"{name}.bias": torch.randn(5)}
        torch.save(state, tmp_path / f"run/epoch_{epoch}.pt")
    options = ["--labels", tmp_path / "labels.txt"] if has_labels else []
    if command == "analyze":
        options += ["-o", tmp_path / "out", "--no-report"]
    found = dsi(command, tmp_path / "run", *options)
    text = " ".join((found.out + found.err).split())
    line = "the head mapping.weight (5 x 8) was taken, but nothing confirms"
    assert text.count(line) == (name == "mapping" and not has_labels)
