"""The output of the real runs, held against the published contract by a script that knows nothing of dsi."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq

pytest_plugins = ("analysed",)


def check(shared, out):
    script = shared / "checks" / "contract.py"
    return subprocess.run([sys.executable, script, out], capture_output=True, text=True, check=False)


def test_the_contract_holds(shared, analysed):
    ended = check(shared, analysed.out)
    assert (ended.returncode, ended.stdout) == (0, "the contract holds\n")


def test_the_contract_can_be_broken(shared, analysed, tmp_path):
    out = shutil.copytree(analysed.out, tmp_path / "out")
    curves = pq.read_table(out / "curves.parquet")
    pq.write_table(curves.drop_columns("ceiling"), out / "curves.parquet")
    ended = check(shared, out)
    assert (ended.returncode, ended.stdout) == (1, "curves.parquet: no column ceiling\n")


def test_each_folder_is_one_dataset_of_all_runs(analysed):
    rows = pd.read_parquet(analysed.out / "csms")
    expected = {"cifar100-cnn": 3100, "cifar100-vit": 3100, "cifar100-vit-collapsed": 1600, "fashion-mnist-tinycnn": 160}
    assert set(rows["kind"]) == {"ncsm", "ccsm"}
    for _, of_kind in rows.groupby("kind"):
        assert of_kind.groupby("run")["class_index"].count().to_dict() == expected
    assert {len(row) for row in rows["similarity"]} == {10, 100}
    confusions = pd.read_parquet(analysed.out / "confusions")
    assert confusions.groupby("run")["class_index"].count().to_dict() == expected
    assert {len(row) for row in confusions["count"]} == {10, 100}
    references = pd.read_parquet(analysed.out / "references")
    assert sorted(references.groupby("labels_id")["class_index"].count()) == [10, 100]
