"""``dsi scan --history``: repeated checkpoints, and checkpoints that do not fit the order
of their run.
"""

import json

import numpy as np
import pytest
import torch
from helpers.trained_heads import trained, write

from dsi_cli.analysis.classifiers.heads import Heads
from dsi_cli.analysis.history import history_facts
from dsi_cli.analysis.scan import find_runs, head_reader, scan_paths, scan_resolved
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.figures import curves
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.style import SCREEN, using
from dsi_cli.queries.facts import BREAK
from dsi_cli.queries.findings import headline, run_findings
from dsi_cli.report import overview
from dsi_cli.store.results import Results

CLASSES, WIDTH = 6, 12


def head(share: float) -> np.ndarray:
    """Return a head on the way from a first to a last one."""
    first, last = np.random.default_rng(0).normal(size=(2, CLASSES, WIDTH))
    return ((1 - share) * first + share * last).astype(np.float32)


@pytest.fixture
def history(tmp_path):
    """Return a function that saves a run, and returns the facts of its history."""

    def scanned(shares: list[float]) -> dict[str, dict]:
        for epoch, share in enumerate(shares, start=1):
            weights = {"fc.weight": torch.tensor(head(share))}
            torch.save(weights, tmp_path / f"epoch_{epoch}.pt")
        ((run, _),) = scan_paths([tmp_path], HeadOptions(), history=True)
        return {one.code: dict(one.fields) for one in run.facts}

    return scanned


def test_history_of_a_run_in_order_has_no_facts(history):
    assert history([0.1, 0.3, 0.5, 0.8, 1.0]) == {}


def test_history_names_a_head_at_several_epochs_once(history):
    assert history([0.1, 0.4, 0.4, 0.8, 1.0]) == {
        "heads-repeated": {"checkpoints": ["epoch_2.pt", "epoch_3.pt"]}
    }


def test_history_names_the_checkpoint_whose_angle_to_the_last_head_rises(history):
    def angle(share: float) -> float:
        pairs = zip(head(share), head(1.0), strict=True)
        cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
        return float(np.degrees(np.arccos(cosines)).mean())

    found = history([0.1, 0.6, 0.3, 0.8, 1.0])
    expected = f"epoch_3.pt ({angle(0.3):.2f}° after {angle(0.6):.2f}°)"
    fields = {"checkpoints": [expected], "last": "epoch_5.pt"}
    assert found == {"angle-rises": fields}


def test_history_names_the_checkpoint_whose_angle_is_too_small(history):
    (one,) = history([0.1, 0.9, 0.3, 0.5, 0.8, 1.0])["angle-rises"]["checkpoints"]
    assert one.startswith("epoch_2.pt (")
    assert "° before " in one


def test_history_reads_a_head_again_that_is_not_in_memory(history, tmp_path):
    expected = history([0.1, 0.6, 0.3, 0.8, 1.0])
    (run,), _ = scan_resolved(find_runs([tmp_path]), HeadOptions(), None)
    (one,) = history_facts(run, head_reader(run, Heads(), HeadOptions()))
    assert {one.code: dict(one.fields)} == expected


def test_scan_with_history_prints_the_facts_and_has_them_in_json(
    history, tmp_path, dsi
):
    history([0.1, 0.4, 0.4, 0.8, 1.0])
    shown = dsi("scan", tmp_path, "--history")
    assert "epoch_2.pt, epoch_3.pt have the same head" in " ".join(shown.err.split())
    assert "same head" not in dsi("scan", tmp_path).err
    printed = json.loads(dsi("scan", tmp_path, "--history", "--json").out)
    (fact,) = printed["facts"]
    assert (fact["run"], fact["code"]) == (tmp_path.name, "heads-repeated")
    assert len(printed["checkpoints"]) == 5


FIRST, SECOND = trained(0), trained(1)
UNTRAINED = np.random.default_rng(9).normal(size=FIRST.heads[0].shape)


def moved(head, share):
    """Return a head of which a share of the direction is noise."""
    noise = np.random.default_rng(2).normal(size=head.shape) * head.std()
    return (1 - share) * head + share * noise


def test_history_names_the_epoch_at_which_another_training_begins(tmp_path, dsi):
    write(tmp_path / "run", [*FIRST.heads[:3], *SECOND.heads[3:6]])
    shown = dsi("scan", tmp_path / "run")
    assert "--epochs :3 " in shown.err
    assert "--epochs 4:" in shown.err
    printed = json.loads(dsi("scan", tmp_path / "run", "--history", "--json").out)
    (fact,) = [one for one in printed["facts"] if one["code"] == BREAK]
    assert fact["epochs"] == [4]
    assert fact["fields"]["breaks"] == [["epoch_3.pt", "epoch_4.pt"]]


def test_analyze_names_the_epoch_at_which_another_training_begins(tmp_path, dsi):
    folder = write(tmp_path / "run", [*FIRST.heads[:6], *SECOND.heads[2:8]])
    (folder / "classes.txt").write_text("\n".join(FIRST.names))
    out = tmp_path / "out"
    ended = dsi("analyze", folder, "-o", out, "--json", "--no-report")
    (fact,) = [one for one in json.loads(ended.out)["facts"] if one["code"] == BREAK]
    assert fact["epochs"] == [7]
    first, second = fact["command"].split(" && ")
    assert first == f"dsi analyze {folder} --epochs :6 -o {out}-1"
    assert second == f"dsi analyze {folder} --epochs 7: -o {out}-2"
    found = run_findings(out, "run")
    assert (found.breaks, found.phases) == ((7,), ())
    assert "several trainings" in headline([found])
    assert overview.note([found])["epoch"] == 7
    with using(SCREEN):
        figure = curves.figure("agreement", Results(out), FigureOptions())
    lines = [line.get_xdata() for line in figure.axes[0].lines]
    assert any(list(xs) == [6.5, 6.5] for xs in lines)
    watched = dsi(
        "watch",
        folder,
        "-o",
        tmp_path / "watched",
        "--idle",
        "0.3s",
        "--every",
        "0.1s",
        "--no-report",
    )
    assert "--epochs 7:" in watched.err


def test_history_of_trainings_side_by_side_names_the_files_of_each(tmp_path, dsi):
    mixed = [
        one
        for pair in zip(FIRST.heads[4:], SECOND.heads[4:], strict=True)
        for one in pair
    ]
    folder = write(tmp_path / "run", mixed)
    printed = json.loads(dsi("scan", folder, "--history", "--json").out)
    (fact,) = [one for one in printed["facts"] if one["code"] == BREAK]
    assert len(fact["fields"]["breaks"]) == len(mixed) - 1
    commands = fact["command"].split(" && ")
    for place, command in enumerate(commands, start=1):
        files = [str(folder / f"epoch_{epoch}.pt") for epoch in range(place, 9, 2)]
        assert command == " ".join(["dsi analyze", *files, f"-o dsi-out-{place}"])


@pytest.mark.parametrize(
    "heads",
    [
        [UNTRAINED, *FIRST.heads],  # before training
        [*FIRST.heads[:3], UNTRAINED, *FIRST.heads[3:]],  # the head starts again
        [*FIRST.heads[:3], 0.01 * FIRST.heads[3], 3 * FIRST.heads[4]],  # norms
        [*FIRST.heads[:3], moved(FIRST.heads[3], 0.7), *FIRST.heads[4:]],  # large rate
        [*FIRST.heads[:3], *(moved(one, 0.7) for one in FIRST.heads[3:])],  # fine-tuned
        [FIRST.heads[0][:30], FIRST.heads[1][:35], *FIRST.heads[2:]],  # it grows
    ],
)
def test_history_of_one_training_has_no_break(heads, tmp_path):
    write(tmp_path / "run", heads)
    ((run, _),) = scan_paths([tmp_path / "run"], HeadOptions(), history=True)
    assert BREAK not in [one.code for one in run.facts]
