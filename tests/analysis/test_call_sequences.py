"""Whatever calls came before, the tables are those of one call: random sequences of
calls, with changes in between.
"""

import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.outputs import ANIMALS, contents, heads, save_head

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.errors import BusyError, NothingToAnalyseError
from dsi_cli.store import atomic_write, lock

SAMPLES = 40
STEPS = 6
EPOCHS = 12
CUT_BYTES = 300
ANOTHER_ORDER = tuple(reversed(ANIMALS))
OTHERS = ("cat", "dog", "ship", "truck", "rose", "oak", "chair", "cup")
NAMED = ("named.csv", "named_targets.npz")
"""The files of predictions whose labels are names."""
SHAPING = (
    {"measures": ("cosine",)},
    {"measures": ("pearson",), "centred": True},
    {"measures": ("cosine", "mae"), "permutations": 20, "seed": 3},
    {"measures": ("pearson",), "quantiles": (0.9, 0.8)},
    {"measures": ("cosine",), "centred": True, "head": "fc.weight"},
)
"""Options that affect rows or heads."""
ANALYZE = """
import pickle, sys
from dsi_cli.analysis.analyze import analyze
from dsi_cli.errors import BusyError
try:
    analyze(*pickle.load(sys.stdin.buffer))
except BusyError:
    sys.exit("busy")
"""
"""What another process does."""


class Killed(BaseException):
    """What ends a call in these tests, as a kill does: nothing catches it."""


class Story:
    """A run that changes between calls, its results folder, and the files that were
    removed from it.

    All files of predictions have both splits, since a file of one split would leave
    those of the other as they are.

    `numbered` runs name their files by epoch, and the others by step, whose order
    numbers them.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder, self.run, self.out, self.removed = (
            folder,
            folder / "run",
            folder / "out",
            folder / "removed",
        )
        self.is_numbered = self.random.random() < 0.7
        self.weights = iter(heads(200, seed=seed))
        self.time = 1_700_000_000
        self.run.mkdir(parents=True)
        self.removed.mkdir()
        (self.run / "classes.txt").write_text("\n".join(ANIMALS), encoding="utf-8")
        (folder / "others.txt").write_text("\n".join(OTHERS), encoding="utf-8")
        generator = np.random.default_rng(seed)
        every = np.arange(EPOCHS + 1)
        for name, epochs in (
            ("one", every),
            ("two", every),
            ("fewer", np.delete(every, [1, 3])),
        ):
            shape = (2, len(epochs), SAMPLES)
            predictions = generator.integers(0, len(ANIMALS), shape)
            targets = np.arange(SAMPLES) % len(ANIMALS)
            np.savez(
                folder / f"{name}.npz",
                predictions=predictions[0],
                targets=targets,
                train_predictions=predictions[1],
                train_targets=targets[::-1],
                epochs=epochs,
            )
        targets = np.array([ANIMALS[number] for number in targets])
        np.save(folder / "targets.npy", targets)
        tables = []
        for split, of_split in (("test", targets), ("train", targets[::-1])):
            columns = {
                "split": split,
                "epoch": every.repeat(SAMPLES),
                "target": np.tile(of_split, len(every)),
                "prediction": generator.choice(ANIMALS, len(every) * SAMPLES),
            }
            tables.append(pd.DataFrame(columns))
        pd.concat(tables).to_csv(folder / "named.csv", index=False)
        numbers = generator.integers(0, len(ANIMALS), (2, len(every), SAMPLES))
        np.savez(
            folder / "named_targets.npz",
            predictions=numbers[0],
            train_predictions=numbers[1],
            train_targets=targets[::-1],
            epochs=every,
        )
        (folder / "map.csv").write_text("name,synset\nbird,bird.n.02\n")
        (folder / "another_order.txt").write_text("\n".join(ANOTHER_ORDER))
        self.mapping: str | None = None
        self.labels: str | None = None
        self.shaping = SHAPING[0]
        self.predictions: str | None = None
        for _ in range(3):
            self.add()

    def options(self, *, is_given: bool = True) -> Options:
        """Return the options of the next call; predictions of an earlier one hold
        unless they are given.
        """
        evaluation = Evaluation()
        if self.predictions is not None and is_given:
            targets = None
            if self.predictions == "named_targets.npz":
                targets = str(self.folder / "targets.npy")
            file = str(self.folder / self.predictions)
            evaluation = Evaluation(predictions=file, targets=targets)
        labels, mapping = (
            None if name is None else str(self.folder / name)
            for name in (self.labels, self.mapping)
        )
        shaping = {"draws": 0, "permutations": 0} | self.shaping
        return Options(labels=labels, mapping=mapping, evaluation=evaluation, **shaping)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.run.glob("*.pt"))

    def save(self, name: str) -> None:
        epoch = {"epoch": int(name[6:-3])} if self.is_numbered else {}
        path = save_head(self.run / name, next(self.weights), **epoch)
        self.time += 1
        os.utime(path, (self.time, self.time))
        (self.removed / name).unlink(missing_ok=True)

    def add(self) -> None:
        """Add a checkpoint; one without an epoch may come before others, which get
        other epochs then.
        """
        if self.is_numbered:
            names = [f"epoch_{epoch}.pt" for epoch in range(EPOCHS)]
        else:
            names = [f"step_{step:02}.pt" for step in range(EPOCHS)]
        taken = {*self.names(), *(path.name for path in self.removed.iterdir())}
        free = [name for name in names if name not in taken]
        if free:
            self.save(self.random.choice(free[:5]))

    def remove(self) -> None:
        """Remove a checkpoint that was analysed; its results stay."""
        whole = [
            name
            for name in self.names()
            if (self.run / name).stat().st_size > CUT_BYTES
        ]
        if self.is_numbered and len(whole) > 3:
            name = self.random.choice(whole)
            (self.run / name).replace(self.removed / name)

    def replace(self) -> None:
        """Replace a checkpoint, sometimes by one with the same time of modification."""
        name = self.random.choice(self.names())
        before = (self.run / name).stat()
        self.save(name)
        if self.random.random() < 0.5:
            os.utime(self.run / name, ns=(before.st_atime_ns, before.st_mtime_ns))

    def truncate(self) -> None:
        """Cut a checkpoint off, which fails then; three others stay whole."""
        whole = [
            name
            for name in self.names()
            if (self.run / name).stat().st_size > CUT_BYTES
        ]
        if len(whole) > 3:
            path = self.run / self.random.choice(whole)
            path.write_bytes(path.read_bytes()[:CUT_BYTES])
            self.time += 1
            os.utime(path, (self.time, self.time))

    def change_labels(self) -> None:
        """Choose other labels; those of other names do not fit predictions by name."""
        choices = [None, "another_order.txt"]
        if self.predictions not in NAMED:
            choices.append("others.txt")
        self.labels = self.random.choice(choices)
        self.mapping = None
        if self.labels != "others.txt":
            self.mapping = self.random.choice([None, "map.csv"])

    def change_options(self) -> None:
        self.shaping = self.random.choice(SHAPING)

    def change_predictions(self) -> None:
        choices = ["one.npz", "two.npz", "fewer.npz"]
        if self.labels != "others.txt":
            choices += NAMED
        self.predictions = self.random.choice(choices)

    def step(self, monkeypatch, *, in_two_processes: bool) -> None:
        """Change something, and analyse; the call may be killed before, or find that
        another one is running.
        """
        before = self.predictions
        of_files = (self.add, self.add, self.remove, self.replace, self.truncate)
        change = self.random.choice(
            (
                *of_files,
                self.change_labels,
                self.change_options,
                self.change_predictions,
            )
        )
        change()
        needs_none = change in (
            self.remove,
            self.change_labels,
            self.change_options,
        ) and before not in (None, "fewer.npz")
        options = self.options(is_given=not (needs_none and self.random.random() < 0.5))
        disturbance = self.random.random()
        if in_two_processes:
            self.run_two_processes(options)
        elif disturbance < 0.4:
            self.kill(options, monkeypatch)
        elif disturbance < 0.5:
            found = contents(self.out)
            with lock.exclusive(self.out), pytest.raises(BusyError):
                analyze([self.run], self.out, options)
            assert contents(self.out) == found
        analyze([self.run], self.out, options)

    def run_two_processes(self, options: Options) -> None:
        """Let another process and this one analyse at the same time; one of them may
        find the output folder locked.
        """
        other = subprocess.Popen(
            [sys.executable, "-c", ANALYZE],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert other.stdin is not None
        pickle.dump(([self.run], self.out, options), other.stdin)
        other.stdin.close()
        while other.poll() is None and not (self.out / ".lock").exists():
            time.sleep(0.001)
        with suppress(BusyError):
            analyze([self.run], self.out, options)
        errors = other.stderr.read().decode()
        assert (other.wait(), errors) in [(0, ""), (1, "busy\n")]

    def kill(self, options: Options, monkeypatch) -> None:
        """Let a call die at a random write."""
        left = self.random.randrange(30)
        real = atomic_write.open_atomically

        def dying(*arguments, **named):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*arguments, **named)

        with monkeypatch.context() as patch:
            for module in ("store.atomic_write", "store.parquet", "analysis.cache"):
                patch.setattr(f"dsi_cli.{module}.open_atomically", dying)
            with suppress(Killed):
                analyze([self.run], self.out, options)

    def tables_of_one_call(self) -> dict[str, pd.DataFrame]:
        """Return the tables of a first call, for which the removed files are back."""
        fresh = self.folder / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        back = [
            path.rename(self.run / path.name) for path in list(self.removed.iterdir())
        ]
        analyze([self.run], fresh, self.options())
        for path in back:
            path.rename(self.removed / path.name)
        return tables_of(fresh)


def tables_of(out: Path) -> dict[str, pd.DataFrame]:
    """Return every table of an output by its name, with the rows in a fixed order."""
    tables = {}
    for path in sorted(out.rglob("*.parquet")):
        frame = pd.read_parquet(path)
        keys = [
            name
            for name in frame.columns
            if frame[name].map(lambda value: not isinstance(value, np.ndarray)).all()
        ]
        tables[str(path.relative_to(out))] = frame.sort_values(
            keys, kind="stable"
        ).reset_index(drop=True)
    return {
        name: frame for name, frame in tables.items() if not name.startswith(".cache")
    }


@pytest.mark.parametrize(
    "seed",
    [
        seed if seed < 6 else pytest.param(seed, marks=pytest.mark.slow)
        for seed in range(100)
    ],
)
def test_analyze_after_any_calls_equals_one_call(seed, tmp_path, monkeypatch):
    story = Story(tmp_path, seed)
    with suppress(NothingToAnalyseError):
        analyze([story.run], story.out, story.options())
    for step in range(STEPS):
        story.step(monkeypatch, in_two_processes=(step, seed % 8) == (2, 0))
    assert not list(tmp_path.glob("out-*")), "no results were set aside"
    found, expected = tables_of(story.out), story.tables_of_one_call()
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame, obj=name)
