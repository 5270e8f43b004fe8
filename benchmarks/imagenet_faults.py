"""Where dsi ranks pairs of ImageNet classes that are known to overlap: ``make
bench-imagenet`` writes ``benchmarks/results/imagenet.md``.

``imagenet_faults.tsv`` has the pairs with their sources. They were collected before any
ranking was looked at, by these rules:

- pairs that Vasudevan et al. (2022, https://arxiv.org/abs/2205.04596) count as one class,
  as listed in the code of Peychev et al. (2023, https://arxiv.org/abs/2401.02430);
- pairs that the text of Kisel et al. (2025,
  https://iclr-blogposts.github.io/2025/blog/imagenet-flaws/) names as one thing, special
  case, part, occurring together or mixed up, and its problem groups of two classes;
- pairs of the ontological issues of Northcutt, Jiang and Chuang (2021,
  https://doi.org/10.1613/jair.1.12125);
- pairs of which at least a quarter of the validation images with either label have both
  in the reassessed labels of Beyer et al. (2020, https://arxiv.org/abs/2006.07159).

The columns ``both`` and ``either`` are the numbers of these images.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.rows import write
from dsi_cli import read_head, wordnet_csm
from dsi_cli.metrics.pair_residuals import fisher, pair_residuals
from dsi_cli.similarity import centred_weight_similarity

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "results" / "imagenet.md"
FAULTS = FOLDER / "imagenet_faults.tsv"
HEAD = FOLDER.parent / "examples" / "imagenet" / "efficientnet_lite0_head.safetensors"
FIRST = (10, 20, 60, 100, 200, 500)
MAIN = "with WordNet"  # the residual that dsi uses
FAMOUS = ((836, 837), (638, 639), (657, 744), (620, 681))
"""Sunglasses, bathing suits, missiles and laptops."""
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """A pair of classes that is known to overlap: a row of ``imagenet_faults.tsv``."""

    pair: tuple[int, int]
    names: tuple[str, str]
    kind: str
    both: int
    either: int
    known: str
    source: str
    url: str

    @property
    def title(self) -> str:
        """The first name of each class."""
        return ", ".join(name.split(",")[0] for name in self.names)


def load_faults() -> list[Fault]:
    """Return the known pairs, in the order of their classes."""
    with FAULTS.open(encoding="utf-8", newline="") as file:
        return [
            Fault(
                pair=(int(row["first"]), int(row["second"])),
                names=(row["first_name"], row["second_name"]),
                kind=row["kind"],
                both=int(row["both"]),
                either=int(row["either"]),
                known=row["known"],
                source=row["source"],
                url=row["url"],
            )
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def pair_ranks(values: Matrix) -> NDArray[np.intp]:
    """Return the rank ``(C, C)`` of each pair among all pairs by falling value, from
    1; 0 on and below the diagonal.
    """
    pairs = np.triu_indices(len(values), 1)
    order = np.argsort(-values[pairs], kind="stable")
    ranks = np.zeros(values.shape, dtype=np.intp)
    ranks[pairs[0][order], pairs[1][order]] = np.arange(1, len(order) + 1)
    return ranks


def similarity_and_reference() -> tuple[Matrix, Matrix]:
    """Return Fisher's z of the cosines of the head in ``examples/imagenet``, and
    WordNet's similarities, both ``(1000, 1000)``.
    """
    similarity = fisher(centred_weight_similarity(read_head(HEAD)))
    return similarity, wordnet_csm("imagenet1k").to_numpy(np.float64)


def main() -> None:
    """Rank the known pairs, and write the tables into the page."""
    with threadpool_limits(1):
        similarity, reference = similarity_and_reference()
        rankings = {
            MAIN: pair_ranks(pair_residuals(similarity, reference)),
            "without WordNet": pair_ranks(pair_residuals(similarity)),
            "cosine": pair_ranks(similarity),
        }
    text = "\n".join(_lines(load_faults(), rankings))
    print(text)
    write(PAGE, text)


def _lines(
    faults: Sequence[Fault], rankings: Mapping[str, NDArray[np.intp]]
) -> Iterator[str]:
    ranks = rankings[MAIN]
    ranked = sorted(faults, key=lambda one: ranks[one.pair])
    yield f"The {len(faults)} known pairs among the first of all {ranks.max():,} pairs:"
    yield ""
    yield f"| known pairs | number | {' | '.join(f'first {n}' for n in FIRST)} |"
    yield "|---|---|" + "---|" * len(FIRST)
    for ranking, of_all in rankings.items():
        yield _counts(f"all, {ranking}", ranked, of_all)
    for kind in sorted({one.kind for one in faults}):
        group = [one for one in ranked if one.kind == kind]
        yield _counts(f"{kind}, {MAIN}", group, ranks)
    famous = [f"{one.title} {ranks[one.pair]}" for one in ranked if one.pair in FAMOUS]
    yield ""
    yield f"The ranks of the four best known pairs are: {'; '.join(famous)}."
    yield ""
    yield (
        f"| rank {' | '.join(rankings)} | pair | kind | images with both labels | what"
        " is known | source |"
    )
    yield "|" + "---|" * (len(rankings) + 5)
    for one in ranked:
        places = " | ".join(f"{of_all[one.pair]:,}" for of_all in rankings.values())
        yield (
            f"| {places} | {one.title} | {one.kind} | {one.both} of {one.either} |"
            f" {one.known} | [{one.source}]({one.url}) |"
        )


def _counts(title: str, group: Sequence[Fault], ranks: NDArray[np.intp]) -> str:
    """Return a row of the numbers of pairs among the first ones of a ranking."""
    places = [ranks[one.pair] for one in group]
    counts = [str(sum(place <= n for place in places)) for n in FIRST]
    return f"| {title} | {len(group)} | {' | '.join(counts)} |"


if __name__ == "__main__":
    main()
