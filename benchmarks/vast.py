"""One epoch of a classifier whose matrices are not stored: 21,841 classes of width
1,280, with predictions.

``python -m benchmarks.vast FOLDER LABELS WIDTH`` writes the checkpoint and the
predictions in a separate process, so that its memory is not the measured one's. Its
rows are structured as WordNet is (`benchmarks.interpolated`).
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np

from benchmarks import timing
from benchmarks.interpolated import structured
from benchmarks.rows import Row, megabytes, seconds
from benchmarks.scratch import Setup

PART = "vast"
SECONDS, BYTES = 180, 4 << 30
_RUN = """
import resource, sys
import dsi_cli
run, labels, out, *memory = sys.argv[1:]
few = {"memory": memory[0], "measures": ["cosine"]} if memory else {}
dsi_cli.analyze(run, out, labels=labels, **few)
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"\\ncpu {used.ru_utime + used.ru_stime}")
"""


def measure(setup: Setup) -> list[Row]:
    """Return the row of this part; in quick mode of ImageNet-1k's classes."""
    labels, width = ("imagenet1k", "16") if setup.quick else ("imagenet22k", "1280")
    run, out = setup.folder / f"{labels}-{width}" / "run", setup.folder / "vast-out"
    if not (run / "targets.npy").exists():
        timing.run([sys.executable, "-m", "benchmarks.vast", str(run), labels, width])
    shutil.rmtree(out, ignore_errors=True)
    memory = ["10MB"] if setup.quick else []
    done = timing.python(_RUN, str(run), labels, str(out), *memory)
    found = re.search(r"cpu ([\d.]+)", done.said)
    if found is None:
        raise RuntimeError(f"analyze of {labels} failed: {done.said.strip()[-200:]}")
    holds = None if setup.quick else done.seconds < SECONDS and done.peak < BYTES
    what = (
        f"`dsi_cli.analyze`, one epoch of {labels}, width {width}, with predictions,"
        " report and all"
    )
    cost = (
        f"{seconds(done.seconds)}, {seconds(float(found[1]))} of CPU,"
        f" {megabytes(done.peak)} at most"
    )
    return [
        Row(PART, what, cost, "", None, "below 180 s on two idle cores, 4 GB", holds)
    ]


def write(folder: Path, labels: str, width: int, seed: int = 0) -> None:
    """Write one checkpoint, and predictions of two samples a class: the class nearest
    to a noisy copy of the class's weight.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weight, generator = structured(labels, width, seed), np.random.default_rng(seed + 1)
    save_file({"fc.weight": weight}, folder / "epoch_0000.safetensors", {"epoch": "0"})
    targets = np.repeat(np.arange(len(weight)), 2)
    found = []
    for some in np.array_split(targets, max(1, len(targets) // 2048)):
        noise = generator.standard_normal(
            (len(some), width), dtype=np.float32
        ) * np.float32(4 / np.sqrt(width))
        found.append(np.argmax((weight[some] + noise) @ weight.T, axis=1))
    np.save(folder / "preds.npy", np.concatenate(found)[None].astype(np.int32))
    np.save(folder / "targets.npy", targets)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
