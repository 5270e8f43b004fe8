"""The time that the curves take in a training (the paper's Table A.1): loops of three
models, with calls in between.

An epoch is what a loop over 50,000 images of CIFAR-100's size gets through in `LONGEST`
seconds, so that the share is that of a short epoch: nothing is extrapolated, and a
whole epoch on the same machine is longer. Calls are spread over it, where caches hold
what the training left there; their time is not part of the epoch's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any, NamedTuple

from benchmarks.rows import Row, seconds, skipped
from benchmarks.scratch import Setup

PART = "callbacks"
MOST_SHARE = 0.003
IMAGES, CLASSES, BATCH = 50_000, 100, 128
LONGEST, CALLS = 40.0, 10
MODELS = {
    "ResNet-18": lambda classes: _torchvision("resnet18", classes),
    "MobileNetV3-Small": lambda classes: _torchvision("mobilenet_v3_small", classes),
    "ViT-Tiny (patches of 4)": lambda classes: _vit(classes),
}
FIRST = next(iter(MODELS))


class Epoch(NamedTuple):
    """A training epoch that was run."""

    images: int
    seconds: float
    """The seconds of the training without the calls."""
    calls: dict[str, list[float]]
    """The seconds of each call during it."""


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    missing = [
        name for name in ("torch", "torchvision", "timm") if find_spec(name) is None
    ]
    if missing:
        return [
            skipped(
                PART,
                "the curves of a training",
                f"{' and '.join(missing)} is not installed",
            )
        ]
    import torch

    torch.manual_seed(0)
    images, targets = _images(64 if setup.quick else IMAGES)
    rows = [row for model in MODELS for row in _of_model(model, images, targets, setup)]
    return [*rows, _at_1000_classes(setup)]


def _of_model(model: str, images: Any, targets: Any, setup: Setup) -> list[Row]:
    """Return the rows of a model; for the first one also the time once per training,
    and with a separate pass.
    """
    from dsi_cli.callbacks import Tracker
    from dsi_cli.callbacks.counting import confusion

    network = MODELS[model](CLASSES)
    counts = confusion(network, _batches(images[:1024], targets), CLASSES).numpy()
    began = time.perf_counter()
    track = Tracker("cifar100")
    track(network, counts)
    first = time.perf_counter() - began
    calls = {
        "weights": lambda: track(network),
        "counts": lambda: track(network, counts),
    }
    epoch = _trained(network, images, targets, calls, 0.0 if setup.quick else LONGEST)
    what = f"{model}, 100 classes, an epoch's"
    beside = f"epoch of {epoch.images:,} images of 32 px: {seconds(epoch.seconds)}"
    rows = [
        _row(f"{what} agreement and WSI", epoch, "weights", beside, setup),
        _row(
            f"{what} agreement, WSI, and NIDM and WIDM of counts that validation has made",
            epoch,
            "counts",
            beside,
            setup,
        ),
    ]
    if model != FIRST:
        return rows
    began = time.perf_counter()
    track(network, loader=_batches(images[: epoch.images // 5], targets))
    whole = time.perf_counter() - began
    return [
        *rows,
        Row(
            PART,
            f"{what} agreement, WSI, NIDM and WIDM with a pass of its own over a fifth as many images",
            _share(whole, epoch),
            beside,
            epoch.seconds / whole,
        ),
        Row(
            PART,
            "once a training: labels to WordNet's matrix, the classifier found, the first values",
            seconds(first),
        ),
    ]


def _row(what: str, epoch: Epoch, call: str, beside: str, setup: Setup) -> Row:
    took = median(epoch.calls[call])
    beside += (
        f"; slowest of {len(epoch.calls[call])} calls:"
        f" {seconds(max(epoch.calls[call]))}"
    )
    needed = (
        ("", None)
        if setup.quick
        else (f"at most {100 * MOST_SHARE:g} %", took <= MOST_SHARE * epoch.seconds)
    )
    return Row(PART, what, _share(took, epoch), beside, epoch.seconds / took, *needed)


def _share(took: float, epoch: Epoch) -> str:
    return f"{seconds(took)}, {100 * took / epoch.seconds:.2g} % of the epoch"


def _at_1000_classes(setup: Setup) -> Row:
    """Return the row of ImageNet's number of classes, without a training: the epoch
    from which the share is small enough.
    """
    from dsi_cli.callbacks import Tracker

    track, network = Tracker("imagenet1k"), MODELS[FIRST](1000)
    took = []
    for _ in range(setup.rounds(CALLS) + 1):
        began = time.perf_counter()
        track(network)
        took.append(time.perf_counter() - began)
    least = median(took[1:]) / MOST_SHARE
    what = "ResNet-18, 1,000 classes, an epoch's agreement and WSI"
    return Row(
        PART,
        what,
        seconds(median(took[1:])),
        f"{100 * MOST_SHARE:g} % of an epoch of {seconds(least)}",
    )


def _trained(
    network: Any,
    images: Any,
    targets: Any,
    calls: dict[str, Callable[[], Any]],
    longest: float,
) -> Epoch:
    """Train until the images or the time are used up; time each call now and then."""
    import torch

    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4
    )
    found: dict[str, list[float]] = {name: [] for name in calls}
    spent, seen = 0.0, 0
    network.train()
    for batch, truth in _batches(images, targets):
        began = time.perf_counter()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(batch), truth).backward()
        optimizer.step()
        spent += time.perf_counter() - began
        seen += len(batch)
        if spent >= longest / CALLS * len(found["weights"]):
            for name, call in calls.items():
                began = time.perf_counter()
                call()
                found[name].append(time.perf_counter() - began)
        if spent >= longest > 0:
            break
    return Epoch(seen, spent, found)


def _torchvision(name: str, classes: int) -> Any:
    from torchvision.models import get_model

    return get_model(name, num_classes=classes)


def _vit(classes: int) -> Any:
    from timm import create_model

    return create_model(
        "vit_tiny_patch16_224", num_classes=classes, img_size=32, patch_size=4
    )


def _images(count: int) -> tuple[Any, Any]:
    """Return made-up images as a data set holds them, and classes, each as often."""
    import torch

    return (
        torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8),
        torch.arange(count) % CLASSES,
    )


def _batches(images: Any, targets: Any) -> Any:
    """Yield normalised batches."""
    for start in range(0, len(images), BATCH):
        part = slice(start, min(start + BATCH, len(images)))
        yield images[part].float().div_(127.5).sub_(1), targets[part]
