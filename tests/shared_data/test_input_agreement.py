"""Inputs of real trainings: those with planted faults belong together, and shuffled
lists do not.
"""

import numpy as np
import pytest

from dsi_cli import read_head, wordnet_csm
from dsi_cli.metrics import input_agreement
from dsi_cli.metrics.input_agreement import Inputs
from dsi_cli.similarity import confusion_counts, weight_similarity

CASES = range(28)


@pytest.mark.parametrize("case", CASES)
def test_contradictions_of_planted_faults_are_none_and_of_shuffled_labels_one(
    shared, case
):
    folder = shared / "data" / "faults" / f"case_{case:03}"
    names = (folder / "classes.txt").read_text(encoding="utf-8").split("\n")
    names = [name for name in names if name]
    reference = wordnet_csm(str(folder / "classes.txt")).to_numpy(np.float64)
    paths = sorted(folder.glob("epoch_*.safetensors"))
    heads = [read_head(path).astype(np.float64) for path in paths]
    predictions = np.load(folder / "preds.npy").astype(np.int64)
    targets = np.load(folder / "targets.npy").astype(np.int64)
    counts = [
        np.asarray(confusion_counts(targets, one, len(names))) for one in predictions
    ]
    assert input_agreement.shift_by_changes(heads, counts) is None

    orders = input_agreement.orders(names, None, {}, len(names))
    similarity = weight_similarity(heads[-1]).astype(np.float64)
    given = Inputs(heads[-1], similarity, reference, {"test": counts[-1]}, orders)
    assert input_agreement.contradictions(given) == []

    shuffled = np.random.default_rng(case).permutation(len(names))
    labels = reference[np.ix_(shuffled, shuffled)]
    wrong = Inputs(heads[-1], similarity, labels, {"test": counts[-1]}, {})
    (found,) = input_agreement.contradictions(wrong)
    assert found.kind == input_agreement.LABELS
