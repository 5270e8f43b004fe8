"""The complete matrices of a page: as many as fit, at the epochs between which most changes."""

from types import SimpleNamespace

import numpy as np
import pytest

from dsi_cli.report import matrices
from dsi_cli.report.matrices import MANY_CLASSES, MAX_COMPLETE_EPOCHS, RunMatrices, block_count, shares
from dsi_cli.report.matrix_codec import LEVELS


def run_of(epochs, classes, kinds=1, values=None):
    """Return a run with symmetric matrices, which have ``values`` values that are not 0."""
    frames = SimpleNamespace(kind=SimpleNamespace(is_symmetric=True))
    series = [SimpleNamespace(frames=frames, most_values=classes**2 if values is None else values)] * kinds
    return RunMatrices("run", list(range(epochs)), classes, series, [])


def used_bytes(run, share):
    """Return the bytes as text of all codes of a run, which are not compressed."""
    complete = share.complete * run.classes * (run.classes - 1) / 2 * (2 if share.levels > 255 else 1)
    blocks = (len(run.epochs) - share.complete) * 2 * block_count(run.classes) ** 2
    return (complete * 4 / 3 + blocks) * len(run.series)


def test_shares_of_small_runs_are_complete_and_fine_and_of_many_classes_have_20_epochs():
    assert shares([run_of(31, 100, 2), run_of(16, 10)]) == [(31, LEVELS[0]), (16, LEVELS[0])]
    (share,) = shares([run_of(100, MANY_CLASSES + 1)])
    assert share == (MAX_COMPLETE_EPOCHS, LEVELS[0])


def test_shares_of_the_promised_sizes_keep_every_epoch_or_20_epochs():
    assert shares([run_of(400, 100, 3)]) == [(400, LEVELS[0])]
    (share,) = shares([run_of(100, 1000)])
    assert share == (MAX_COMPLETE_EPOCHS, LEVELS[1])
    assert shares([run_of(100, 1000, values=30_000)]) == [(MAX_COMPLETE_EPOCHS, LEVELS[0])]


def test_shares_with_little_space_are_coarser_before_they_have_fewer_epochs():
    run = run_of(100, 200)
    assert (shares([run], 5_400_000), shares([run], 5_300_000)) == ([(100, LEVELS[0])], [(100, LEVELS[1])])
    ((complete, levels),) = shares([run], 2_600_000)
    assert (0 < complete < 100, levels) == (True, LEVELS[1])


def test_shares_of_a_small_run_leave_bytes_to_a_large_run():
    large, small = run_of(100, 200), run_of(10, 10)
    assert shares([large, small], 5_400_000)[0] == (100, LEVELS[0])
    assert shares([large, large], 5_400_000)[0] == (100, LEVELS[1])


@pytest.mark.parametrize("seed", range(20))
def test_shares_never_exceed_the_maximum(seed):
    rng = np.random.default_rng(seed)
    runs = [run_of(*map(int, rng.integers((1, 2, 1), (120, 3000, 4)))) for _ in range(rng.integers(1, 8))]
    result = shares(runs)
    assert sum(used_bytes(run, share) for run, share in zip(runs, result, strict=True)) <= matrices.MAX_BYTES
    assert all(0 <= share.complete <= len(run.epochs) for run, share in zip(runs, result, strict=True))
