"""The output of the real runs, held against the published contract by a script that
knows nothing of dsi.
"""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import ANIMALS

import dsi_cli


def check(shared, out):
    script = shared / "checks" / "contract.py"
    return subprocess.run(
        [sys.executable, script, out], capture_output=True, text=True, check=False
    )


def test_the_contract_holds(shared, analysed):
    ended = check(shared, analysed.out)
    assert (ended.returncode, ended.stdout) == (0, "the contract holds\n")


def numbers(answers):
    """Return kinds of answers on 80 samples or less that a table may hold, an epoch
    each: (targets, predictions).
    """
    rng, classes = np.random.default_rng(0), np.arange(80) % 8
    return {
        "learning": (
            classes,
            np.where(rng.random(80) < 0.4, classes, rng.integers(0, 8, 80)),
        ),
        "no mistake": (classes, classes),
        "no right one": (classes, (classes + 1) % 8),
        "one answer": (classes, np.zeros(80, dtype=int)),
        "one sample": (np.array([3]), np.array([5])),
        "few classes": (classes[:80] % 3, rng.integers(0, 8, 80)),
        "a sample a class": (np.arange(8), np.arange(8)[::-1]),
    }[answers]


KINDS = (
    "learning",
    "no mistake",
    "no right one",
    "one answer",
    "one sample",
    "few classes",
    "a sample a class",
)


@pytest.mark.parametrize(
    "labels",
    [ANIMALS, None, ("qzx", "qzy", *ANIMALS[2:])],
    ids=["labels", "none", "some unknown"],
)
@pytest.mark.parametrize("split", ["test", "train"])
def test_the_contract_holds_whatever_is_answered(
    split, labels, shared, make_run, tmp_path
):
    """Also where little can be said: each null has its reason."""
    run, out = make_run(epochs=len(KINDS) + 1, labels=labels), tmp_path / "out"
    frames = [
        pd.DataFrame(dict(zip(("target", "prediction"), numbers(kind), strict=True)))
        for kind in KINDS
    ]
    whole = pd.concat([frame.assign(epoch=epoch) for epoch, frame in enumerate(frames)])
    whole.to_csv(tmp_path / "answers.csv", index=False)
    evaluation = dsi_cli.Evaluation(
        predictions=str(tmp_path / "answers.csv"), predictions_split=split
    )
    found = dsi_cli.analyze(
        run,
        out,
        draws=10,
        centred=True,
        measures=["cosine", "ssim", "mae", "pearson", "kendall"],
        evaluation=evaluation,
    )
    ended = check(shared, out)
    assert (ended.returncode, ended.stdout) == (0, "the contract holds\n")
    assert {path.name for path in (out / "predictions" / "run" / split).iterdir()} == {
        f"{epoch}.parquet" for epoch in range(len(KINDS))
    }
    assert not np.isinf(
        found.curves.select_dtypes("float").to_numpy(dtype=float, na_value=np.nan)
    ).any()
