"""A small network and made-up images that a training runs through in a second."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

LABELS = ("cat", "dog", "wolf", "horse", "car", "truck", "ship", "apple")
CLASSES = len(LABELS)


def network() -> nn.Module:
    """Return a network with what an evaluation could disturb: batch norm's statistics,
    dropout, a frozen part.
    """
    torch.manual_seed(0)
    net = nn.Sequential()
    net.add_module("stem", nn.Conv2d(3, 6, 3, stride=2))
    net.add_module("bn", nn.BatchNorm2d(6))
    net.add_module("act", nn.ReLU())
    net.add_module("pool", nn.AdaptiveAvgPool2d(1))
    net.add_module("flat", nn.Flatten())
    net.add_module("drop", nn.Dropout(0.3))
    net.add_module("fc", nn.Linear(6, CLASSES))
    return net


class TwoHeads(nn.Module):
    """A network with two layers that could be the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.classifier = nn.Linear(6, CLASSES), nn.Linear(6, CLASSES)


def images(samples: int, seed: int) -> TensorDataset:
    """Return images whose colour tells the class, more or less."""
    rng = torch.Generator().manual_seed(seed)
    targets = torch.arange(samples) % CLASSES
    colour = torch.stack([targets % 2, (targets // 2) % 2, targets // 4], 1).float()
    noise = torch.randn(samples, 3, 8, 8, generator=rng)
    return TensorDataset(colour[:, :, None, None] + 0.8 * noise, targets)


def loader(samples: int = 64, seed: int = 1, *, shuffle: bool = False) -> DataLoader:
    return DataLoader(images(samples, seed), batch_size=24, shuffle=shuffle)


@torch.no_grad()
def counts_by_hand(net: nn.Module, data: TensorDataset) -> np.ndarray:
    """Return the confusion counts, a sample at a time."""
    found = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    net.eval()
    for image, target in data:
        found[int(target), int(net(image[None])[0].argmax())] += 1
    return found


def expected(
    weight: np.ndarray, counts: np.ndarray | None = None, labels=LABELS
) -> dict[str, float]:
    """Return what the API for notebooks says of the same weight and counts."""
    import dsi_cli

    ncsm = dsi_cli.weight_similarity(weight)
    semantic = dsi_cli.wordnet_csm(labels).to_numpy().astype(np.float32)
    pearson = dsi_cli.alignments(ncsm, semantic, ["pearson"], permutations=0)["pearson"]
    values = {
        "dsi/agreement": pearson.excess,
        "dsi/agreement_chance": 0.0,
        "dsi/agreement_low": pearson.low,
        "dsi/agreement_high": pearson.high,
        "dsi/max_wsi": dsi_cli.max_wsi(ncsm),
    }
    if counts is not None:
        values["dsi/accuracy"] = counts.trace() / counts.sum()
        for name, csm in (("nidm", ncsm), ("widm", semantic)):
            errors = dsi_cli.idm(counts, csm)["errors"]
            values[f"dsi/{name}"] = errors.value
            values[f"dsi/{name}_chance"] = errors.null_mean
            values[f"dsi/{name}_low"] = errors.low
            values[f"dsi/{name}_high"] = errors.high
    return {name: value for name, value in values.items() if value is not None}
