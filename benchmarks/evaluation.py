"""Running a model on a test set at ten checkpoints, compared with bare forward passes
and a DataLoader per checkpoint.

``python -m benchmarks.evaluation WAY FOLDER MODEL SIZE`` runs one way in a separate
process; it prints seconds (imports apart) and the accuracies, which must be the same
for all ways.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks import timing
from benchmarks.rows import Row, megabytes, seconds
from benchmarks.scratch import Setup

PART = "evaluation"
CHECKPOINTS = 10
CLASSES = 10
BATCH = 64
MOST_OVER_BARE = 1.15
LEAST_OVER_LOOP = 3.0


class Case(NamedTuple):
    """A model of timm's on made-up JPEG files."""

    model: str
    size: int
    images: int
    file_size: tuple[int, int]


SMALL = Case("mobilenetv3_small_050", 128, 600, (1024, 768))
LARGE = Case("resnet18", 128, 300, (500, 375))
QUICK = Case("test_resnet", 64, 40, (100, 75))


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    if setup.quick:
        return _rows(setup, QUICK, required=False)
    return [row for case in (SMALL, LARGE) for row in _rows(setup, case, required=True)]


def _rows(setup: Setup, case: Case, *, required: bool) -> list[Row]:
    folder = made(setup.folder / f"evaluation-{case.model}", case)
    found: dict[str, list[timing.Process]] = {way: [] for way in WAYS}
    for _ in range(setup.rounds(3)):
        for way, runs in found.items():
            command = [
                sys.executable,
                "-m",
                "benchmarks.evaluation",
                way,
                str(folder),
                case.model,
                str(case.size),
            ]
            runs.append(timing.run(command))
    said = {
        way: [json.loads(one.said.splitlines()[-1]) for one in runs]
        for way, runs in found.items()
    }
    _require_same({way: one[0]["accuracy"] for way, one in said.items()})
    took = {way: median(one["seconds"] for one in runs) for way, runs in said.items()}
    peak = {way: max(one["peak"] for one in runs) for way, runs in said.items()}
    files = f"{case.images:,} JPEGs of {case.file_size[0]}x{case.file_size[1]}"
    what = f"{CHECKPOINTS} checkpoints of {case.model} at {case.size} px on {files}"
    times = took["ours"] / took["bare"]
    faster = took["loop"] / took["ours"]
    is_small = case is SMALL
    return [
        Row(
            PART,
            f"{what}: whole analysis, times decoding once and bare forward passes",
            seconds(took["ours"]),
            f"decoded once, bare: {seconds(took['bare'])}",
            times,
            f"at most {MOST_OVER_BARE}x" if required else "",
            times <= MOST_OVER_BARE if required else None,
        ),
        Row(
            PART,
            f"{what}: beside a DataLoader a checkpoint, {_cores()} workers",
            seconds(took["ours"]),
            f"DataLoader each: {seconds(took['loop'])}",
            faster,
            f"at least {LEAST_OVER_LOOP:g}x" if required and is_small else "",
            faster >= LEAST_OVER_LOOP if required and is_small else None,
        ),
        Row(
            PART,
            f"{what}: peak memory of the process",
            megabytes(peak["ours"]),
            f"bare: {megabytes(peak['bare'])}; DataLoader each, workers apart: {megabytes(peak['loop'])}",
        ),
    ]


def _require_same(accuracies: dict[str, list[float]]) -> None:
    for way, found in accuracies.items():
        if not np.allclose(found, accuracies["bare"], atol=1e-9):
            raise RuntimeError(
                f"{way} finds accuracies {found}, the bare passes {accuracies['bare']}"
            )


def made(folder: Path, case: Case) -> Path:
    """Return a folder with ``images`` and ``checkpoints``; made if it is not there."""
    if folder.is_dir():
        return folder
    import timm
    import torch
    from PIL import Image

    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    rng = np.random.default_rng(0)
    for number in range(case.images):
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        blobs = np.asarray(
            Image.fromarray(coarse).resize(case.file_size, Image.Resampling.BICUBIC),
            dtype=np.int16,
        )
        # so that a file is as large as a photo's
        grain = rng.normal(0, 8, (*blobs.shape[:2], 1)).astype(np.int16)
        image = Image.fromarray((blobs + grain).clip(0, 255).astype(np.uint8))
        place = part / "images" / f"class{number % CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        image.save(place / f"{number:05}.jpg", quality=90)
    (part / "checkpoints").mkdir()
    torch.manual_seed(0)
    model = timm.create_model(case.model, num_classes=CLASSES)
    for epoch in range(CHECKPOINTS):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        saved = {
            "epoch": epoch,
            "arch": case.model,
            "version": 2,
            "state_dict": model.state_dict(),
        }
        torch.save(saved, part / "checkpoints" / f"checkpoint-{epoch}.pth.tar")
    part.rename(folder)
    return folder


def ours(folder: Path, model: str, size: int) -> list[float]:
    """Return the accuracies by ``dsi analyze`` with all its tables; what samples
    classes or relabellings is left out.
    """
    from dsi_cli import Evaluation, analyze

    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    evaluation = Evaluation(
        test=str(folder / "images"),
        image_size=size,
        batch_size=BATCH,
        model=f"timm:{model}",
    )
    run = analyze(
        folder / "checkpoints", out, evaluation=evaluation, draws=0, permutations=0
    )
    found = run.curves.query("metric == 'accuracy' and split == 'test'").sort_values(
        "epoch"
    )
    return [float(value) for value in found["value"]]


def bare(folder: Path, model: str, size: int) -> list[float]:
    """Return the accuracies by decoding once with threads, then nothing but forward
    passes on tensors in memory.
    """
    import torch

    dataset, network = _dataset(folder, model, size), _network(model)
    with ThreadPoolExecutor(_cores()) as pool:
        items = list(pool.map(dataset.__getitem__, range(len(dataset))))
    images = torch.stack([image for image, _ in items]).contiguous(
        memory_format=torch.channels_last
    )
    targets = torch.tensor([target for _, target in items])
    found = []
    for path in _checkpoints(folder):
        network.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
        with torch.inference_mode():
            right = sum(
                int((network(batch).argmax(1) == truth).sum())
                for batch, truth in zip(
                    images.split(BATCH), targets.split(BATCH), strict=True
                )
            )
        found.append(right / len(targets))
    return found


def loop(folder: Path, model: str, size: int) -> list[float]:
    """Return the accuracies as one would write it: a DataLoader for each checkpoint, as
    many workers as cores.
    """
    import torch
    from torch.utils.data import DataLoader

    dataset, network = _dataset(folder, model, size), _network(model)
    found = []
    for path in _checkpoints(folder):
        network.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
        right = 0
        with torch.inference_mode():
            for images, truth in DataLoader(dataset, BATCH, num_workers=_cores()):
                right += int(
                    (
                        network(
                            images.contiguous(memory_format=torch.channels_last)
                        ).argmax(1)
                        == truth
                    ).sum()
                )
        found.append(right / len(dataset))
    return found


def _network(model: str) -> Any:
    import timm
    import torch

    return (
        timm.create_model(model, num_classes=CLASSES)
        .eval()
        .to(memory_format=torch.channels_last)
    )


def _dataset(folder: Path, model: str, size: int) -> Any:
    import timm
    from torchvision.datasets import ImageFolder

    config = timm.data.resolve_data_config(
        {}, model=timm.create_model(model, num_classes=CLASSES)
    )
    config["input_size"] = (3, size, size)
    return ImageFolder(folder / "images", timm.data.create_transform(**config))


def _checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").iterdir())


def _cores() -> int:
    return (
        len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


WAYS: dict[str, Callable[[Path, str, int], list[float]]] = {
    "ours": ours,
    "bare": bare,
    "loop": loop,
}


def main(way: str, folder: str, model: str, size: str) -> None:
    """Print what one way takes, its imports and file caches warm."""
    import scipy.stats  # noqa: F401
    import timm  # noqa: F401
    import torch  # noqa: F401
    import torchvision  # noqa: F401

    import dsi_cli.analysis.analyze
    import dsi_cli.store.results  # noqa: F401

    began = time.perf_counter()
    accuracy = WAYS[way](Path(folder), model, int(size))
    took = time.perf_counter() - began
    print(json.dumps({"seconds": took, "accuracy": accuracy, "peak": timing.peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
