"""Train many small networks, and measure whether early similarity predicts their final
accuracy.

``python examples/early_signs.py train --out signs --images DIR`` trains the networks
and keeps what dsi reads. ``dsi analyze signs/runs/[ni]* -o signs/out`` and ``dsi
analyze signs/runs/v* -o signs/out --pos verb`` analyse them. ``python
examples/early_signs.py measure signs`` prints the tables of ``docs/findings.md``.

The data sets are the glosses of WordNet's nouns and verbs, which a network assigns to
100 broader synsets, and the images of DIR, which holds one folder per class. The
networks of one data set and architecture differ in learning rate, width and seed.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import models
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn import functional

from dsi_cli import open_results
from dsi_cli.wordnet.database.taxonomy import hypernym_closure
from dsi_cli.wordnet.database.wordnet import load_wordnet

NETWORKS = 8
"""The number of networks of each data set and architecture."""
EPOCHS = 12
BATCH = 128
CLASSES = 100
SYNSETS_PER_CLASS = (40, 500)
"""A class of glosses has at least and at most this many hyponyms."""
WORDS = 20
"""A gloss is cut after this many words."""
EARLY_EPOCHS = (1, 2, 3)
BOOTSTRAP_DRAWS = 2000
Values = NDArray[np.float64]


class Data(NamedTuple):
    """A data set in memory; a fifth of its samples is the test split."""

    inputs: Tensor
    targets: Tensor
    is_test: Tensor
    labels: list[str]
    words: int
    """The size of the vocabulary; 0 for images."""


def glosses(part: str) -> Data:
    """Return the glosses of WordNet's nouns or verbs with the class above each; classes
    do not overlap.
    """
    wordnet, rng = load_wordnet(part), np.random.default_rng(0)
    below: dict[int, list[int]] = {}
    for node in range(len(wordnet.taxonomy.offsets)):
        for parent in hypernym_closure(wordnet.taxonomy, node) - {node}:
            below.setdefault(parent, []).append(node)
    least, most = SYNSETS_PER_CLASS
    chosen: dict[int, int] = {}
    classes: list[int] = []
    for node in rng.permutation(
        [node for node, nodes in below.items() if least <= len(nodes) <= most]
    ).tolist():
        is_free = not any(child in chosen for child in (node, *below[node]))
        if is_free and len(classes) < CLASSES:
            chosen |= dict.fromkeys((node, *below[node]), len(classes))
            classes.append(node)

    # Number the words that occur twice or more; 0 is padding and 1 is any other word.
    nodes = [node for node in chosen if node not in classes]
    texts = [
        re.findall("[a-z]+", gloss.lower())[:WORDS]
        for gloss in wordnet.definitions(nodes)
    ]
    counts = Counter(word for text in texts for word in text)
    numbers = {
        word: number
        for number, word in enumerate((w for w, n in counts.items() if n > 1), 2)
    }
    inputs = torch.zeros(len(texts), WORDS, dtype=torch.int64)
    for row, text in enumerate(texts):
        inputs[row, : len(text)] = torch.tensor(
            [numbers.get(word, 1) for word in text], dtype=torch.int64
        )
    targets = torch.tensor([chosen[node] for node in nodes])
    labels = [wordnet.taxonomy.wnid(node) for node in classes]
    return Data(
        inputs,
        targets,
        torch.from_numpy(rng.random(len(nodes)) < 0.2),
        labels,
        len(numbers) + 2,
    )


def images(folder: Path) -> Data:
    """Return the images of a folder that holds one folder per class."""
    labels = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [
        (path, target)
        for target, name in enumerate(labels)
        for path in sorted((folder / name).iterdir())
    ]
    pixels = np.stack(
        [
            np.asarray(Image.open(path).convert("RGB").resize((32, 32)))
            for path, _ in files
        ]
    )
    inputs = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5
    is_test = torch.from_numpy(np.random.default_rng(0).random(len(files)) < 0.2)
    return Data(
        inputs, torch.tensor([target for _, target in files]), is_test, labels, 0
    )


class TextNetwork(nn.Module):
    """A network on word numbers ``(N, WORDS)``, with or without a transformer layer;
    its classifier is ``fc``.
    """

    def __init__(self, data: Data, width: int, *, attends: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(data.words, width)
        self.position = nn.Parameter(torch.randn(WORDS, width) * 0.02)
        self.layer = (
            nn.TransformerEncoderLayer(width, 2, 2 * width, 0.1, batch_first=True)
            if attends
            else None
        )
        self.hidden = nn.Linear(width, width)
        self.fc = nn.Linear(width, len(data.labels))

    def forward(self, words: Tensor) -> Tensor:
        """Return logits ``(N, classes)``."""
        is_padding = words == 0
        features = self.embedding(words)
        if self.layer is not None:
            features = self.layer(
                features + self.position, src_key_padding_mask=is_padding
            )
        weights = (~is_padding).float().unsqueeze(2)
        mean = (features * weights).sum(1) / weights.sum(1).clamp(min=1)
        logits: Tensor = self.fc(functional.relu(self.hidden(mean)))
        return logits


NETWORK_TYPES: dict[str, dict[str, Callable[[Data, int], nn.Module]]] = {
    "glosses": {
        "mean": lambda data, width: TextNetwork(data, width, attends=False),
        "attention": lambda data, width: TextNetwork(data, width, attends=True),
    },
    "images": {
        "cnn": lambda data, width: models.SmallCNN(
            len(data.labels), (width // 2, width, 2 * width)
        ),
        "vit": lambda data, width: models.TinyViT(
            len(data.labels), width=width, depth=2, heads=2
        ),
    },
}


def train(network: nn.Module, data: Data, rate: float, folder: Path) -> float:
    """Train a network and keep a checkpoint of its classifier per epoch, the log and
    the predictions; return its accuracy.
    """
    folder.mkdir(parents=True)
    optimizer = torch.optim.Adam(network.parameters(), rate)
    training, testing = (
        torch.nonzero(mask).flatten() for mask in (~data.is_test, data.is_test)
    )
    predictions, log = [], []
    for epoch in range(EPOCHS + 1):
        network.train()
        losses = []
        for batch in (
            training[torch.randperm(len(training))].split(BATCH) if epoch else ()
        ):
            loss = functional.cross_entropy(
                network(data.inputs[batch]), data.targets[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        network.eval()
        with torch.no_grad():
            logits = torch.cat(
                [network(data.inputs[batch]) for batch in testing.split(512)]
            )
        predictions.append(logits.argmax(1).numpy())
        accuracy = float((logits.argmax(1) == data.targets[testing]).float().mean())
        test_loss = float(functional.cross_entropy(logits, data.targets[testing]))
        log.append(
            (epoch, float(np.mean(losses)) if losses else "", test_loss, accuracy)
        )
        head = {
            name: value
            for name, value in network.state_dict().items()
            if name.startswith(("fc.", "head."))
        }
        torch.save({"epoch": epoch, "model": head}, folder / f"epoch_{epoch:03d}.pt")
    with (folder / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("epoch", "train_loss", "test_loss", "test_acc"), *log]
        )
    np.save(folder / "preds.npy", np.stack(predictions).astype(np.int16))
    np.save(folder / "targets.npy", data.targets[testing].numpy().astype(np.int16))
    (folder / "classes.txt").write_text("\n".join(data.labels) + "\n")
    return accuracy


def train_all(out: Path, folder: Path | None) -> None:
    """Train the networks of all data sets that are not there yet."""
    torch.set_num_threads(1)
    data_sets = {"nouns": glosses("noun"), "verbs": glosses("verb")} | (
        {"images": images(folder)} if folder else {}
    )
    for number in range(NETWORKS):
        for data_set, data in data_sets.items():
            for kind, build in NETWORK_TYPES[
                "glosses" if data.words else "images"
            ].items():
                path = out / "runs" / f"{data_set}-{kind}-{number:02d}"
                if (path / "classes.txt").exists():
                    continue
                torch.manual_seed(number)
                rng = np.random.default_rng(number)
                rate, width = (
                    10 ** rng.uniform(-3.7, -1.7),
                    int(rng.choice([16, 32, 64])),
                )
                accuracy = train(build(data, width), data, rate, path)
                print(
                    f"{path.name}: learning rate {rate:.5f}, width {width}, accuracy"
                    f" {accuracy:.3f}",
                    flush=True,
                )


def curves(out: Path) -> pd.DataFrame:
    """Return the signs of each run and epoch, one column each, with accuracy and
    loss.
    """
    results = open_results(out)
    columns = {
        "agreement": ("agreement", "value"),
        "z": ("agreement", "z"),
        "NIDM": ("nidm", "value"),
        "Max WSI": ("max_wsi", "value"),
        "accuracy": ("accuracy", "value"),
        "loss": ("loss", "value"),
    }
    signs = {
        title: results.curve(name).set_index(["run", "epoch"])[column]
        for title, (name, column) in columns.items()
    }
    return pd.DataFrame(signs).reset_index()


def partial_rank_correlation(
    groups: NDArray[np.intp], x: Values, y: Values, given: Values
) -> float:
    """Return the rank correlation of x and y ``(n,)`` within groups, given the columns
    of ``given`` ``(n, k)``.

    Ranks are those within a group and have its mean subtracted, so that differences
    between groups do not count.
    """
    columns = np.column_stack([x, y, given])
    for group in np.unique(groups):
        ranks = rankdata(columns[groups == group], axis=0)
        columns[groups == group] = ranks - ranks.mean(axis=0)
    x, y, given = columns[:, 0], columns[:, 1], columns[:, 2:]
    x_left, y_left = (
        v - given @ np.linalg.lstsq(given, v, rcond=None)[0] for v in (x, y)
    )
    return float(x_left @ y_left / np.sqrt((x_left @ x_left) * (y_left @ y_left)))


def with_interval(groups: NDArray[np.intp], x: Values, y: Values, given: Values) -> str:
    """Return a correlation with its 95 % confidence interval by the bootstrap of the
    networks within groups.
    """
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = []
    for _ in range(BOOTSTRAP_DRAWS):
        draw = np.concatenate([rng.choice(rows, len(rows)) for rows in members])
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn.append(
                partial_rank_correlation(groups[draw], x[draw], y[draw], given[draw])
            )
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    value = partial_rank_correlation(groups, x, y, given)
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def rows(table: pd.DataFrame) -> Iterator[str]:
    """Yield the lines of the tables."""
    table["group"] = table.run.str.replace(r"-\d+$", "", regex=True)
    final = table[table.epoch == EPOCHS].set_index("run").sort_index()
    sets = {
        "all": final.index,
        **{
            name: final.index[final.group.str.startswith(name)]
            for name in ("nouns", "verbs", "images")
        },
    }
    yield (
        "| networks | sign | epoch | rank correlation with the final accuracy | beyond"
        " accuracy and loss at that epoch |"
    )
    yield "|---|---|---|---|---|"
    for name, runs in sets.items():
        groups = pd.factorize(final.group[runs])[0]
        for sign in ("accuracy", "agreement", "z", "NIDM", "Max WSI"):
            for epoch in EARLY_EPOCHS:
                early = table[table.epoch == epoch].set_index("run").loc[runs]
                given = early[["accuracy", "loss"]].to_numpy(dtype=np.float64)
                x, y = (
                    early[sign].to_numpy(dtype=np.float64),
                    final.accuracy[runs].to_numpy(dtype=np.float64),
                )
                beyond = (
                    "" if sign == "accuracy" else with_interval(groups, x, y, given)
                )
                yield (
                    f"| {name} ({len(x)}) | {sign} | {epoch} |"
                    f" {with_interval(groups, x, y, given[:, :0])} | {beyond} |"
                )
    yield ""
    yield (
        "| networks | final accuracy | accuracy at the peak of the agreement | best"
        " accuracy |"
    )
    yield "|---|---|---|---|"
    for group, frame in table.groupby("group"):
        at_peak = frame.loc[frame.groupby("run").agreement.idxmax()].accuracy.mean()
        best = frame.groupby("run").accuracy.max().mean()
        yield (
            f"| {group} | {frame.accuracy[frame.epoch == EPOCHS].mean():.3f} |"
            f" {at_peak:.3f} | {best:.3f} |"
        )


def main() -> None:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train the networks")
    training.add_argument("--out", type=Path, required=True)
    training.add_argument(
        "--images", type=Path, help="a folder with one folder of images per class"
    )
    commands.add_parser("measure", help="print the tables").add_argument(
        "out", type=Path
    )
    arguments = parser.parse_args()
    if arguments.command == "train":
        train_all(arguments.out, arguments.images)
    else:
        print("\n".join(rows(curves(arguments.out / "out"))))


if __name__ == "__main__":
    main()
