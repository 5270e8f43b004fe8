"""``dsi scan``: the same choice and the same messages as ``dsi analyze``, and what it prints."""

import json

import pytest
import torch

LABELS = ("cat", "dog", "horse", "ship", "truck")


@pytest.fixture
def two_heads(tmp_path):
    """Return a folder with checkpoints of two equally good heads, of 5 and of 7 classes."""
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
    found = dsi("scan", two_heads / "run", "--labels", two_heads / "labels.txt", "--json")
    assert (found.code, {record["head"] for record in json.loads(found.out)}) == (0, {"fc.weight"})
    analysed = dsi(
        "analyze", two_heads / "run", "-l", two_heads / "labels.txt", "-o", two_heads / "out", "--json", "--no-report"
    )
    assert json.loads(analysed.out)["runs"][0]["heads"] == ["fc.weight"]


@pytest.mark.parametrize("command", ["scan", "analyze"])
def test_scan_and_analyze_print_one_line_for_each_cause(command, two_heads, dsi):
    torch.save({"fc.weight": torch.randn(5, 8)}, two_heads / "run/good.pt")
    options = ["-o", two_heads / "out", "--no-report"] if command == "analyze" else []
    found = dsi(command, two_heads / "run", *options)
    lines = [line for line in (found.out + found.err).splitlines() if "failed:" in line]
    assert found.code == 4
    assert len(lines) == 1
    assert "2 checkpoints failed: 2 tensors could be the classifier" in lines[0]


def test_scan_shows_finished_epochs_beside_the_trainers_own_number(tmp_path, dsi):
    for epoch in (0, 1):
        contents = {"pytorch-lightning_version": "2.5.0", "state_dict": {"fc.weight": torch.randn(5, 8)}, "epoch": epoch}
        torch.save(contents, tmp_path / f"e{epoch}.ckpt")
    found = dsi("scan", tmp_path)
    rows = [line.split() for line in found.out.splitlines() if ".ckpt" in line]
    assert "finished" in found.out
    assert [row[:3] for row in rows] == [["e0.ckpt", "0", "1"], ["e1.ckpt", "1", "2"]]
    assert "epoch from contents" in found.out
