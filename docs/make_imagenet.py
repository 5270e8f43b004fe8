"""Write ``imagenet.md``: what dsi finds in the classifier of an ImageNet network, and
what is known about it: make imagenet.

``PYTHONPATH=. python docs/make_imagenet.py OUT`` takes an output of ``dsi analyze
examples/imagenet``; a test compares the page. What is known comes from
``imagenet_faults.tsv`` and ``imagenet_notes.tsv`` in ``benchmarks``. They name classes
by their index, so they stay true in another order of the suspects.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import imagenet_faults
from dsi_cli import Results, open_results
from dsi_cli.labels.presets import load_preset
from dsi_cli.metrics.pair_residuals import closeness, pair_residuals

PAGE = Path(__file__).parent / "imagenet.md"
NOTES = imagenet_faults.FOLDER / "imagenet_notes.tsv"
PAIRS, GROUPS, NAMES = 40, 10, 20
"""The numbers of pairs, groups and names on the page."""
MIN_OVERLAP = 0.5  # the share of the classes of a group that must have its note
KNOWN = "known overlap"
AUTHORS_AND_YEAR = re.compile(r"^.*?\b20\d\d|^WordNet 3.0|^ImageNet's own class names")
Ranks = NDArray[np.intp]

INTRO = """# ImageNet's faults, seen in the weights

Some of ImageNet's 1,000 classes show the same thing, some are parts of others, and some have a name with another
meaning. Researchers found these faults in images. dsi finds many of them in the classifier of a trained network,
without an image: `examples/imagenet` has the last layer of EfficientNet-Lite0 in half precision (2.6 MB). The analysis
takes 12 s on one core.

```bash
dsi analyze examples/imagenet --labels imagenet1k -o dsi-imagenet
dsi suspects dsi-imagenet
```
"""
PAIRS_TEXT = """The closeness says how many times closer two classes are than usual nearest classes are, beyond what their
similarity to all classes explains. WordNet has no part in this order.

- **Known overlap**: one of the {known} pairs that publications name, or whose relabelled images often have both labels.
  They were collected before any ranking was looked at. `benchmarks/results/imagenet.md` has all of them with their
  ranks.
- **Problem group**: both classes are in one problem group of Kisel et al.
- **Mislabelled images**, **shared images**: published annotations of validation images show it.
- **Look-alike**: no source reports a fault. Similar things with good labels have the same statistic.
"""
GROUPS_TEXT = """The classes of a group are close for the network, and most of them are far apart in WordNet. None of the sources
below describes these groups. The last column is a reason to look at the images and no verdict: the weights do not show what
the images share.
"""
NAMES_TEXT = """dsi compares the sense that ImageNet uses with the other senses of the same word in WordNet. A class whose
twin shows the same images is here, too, because both names fit it. The last column compares WordNet's definitions, and
class names that the authors of CLIP corrected.
"""
FAR_TEXT = """{below} of the {known} known pairs are not among the first 60, for three reasons.

- **Natural look-alikes come first.** Breeds of dogs and kinds of spiders are as close as faulty pairs. Leaving out what
  WordNet explains puts {wordnet} known pairs among the first 60, but hides synonyms, which WordNet puts near each other:
  tabby and tiger cat fall from rank {tabby} to {tabby_wordnet}.
- **Things in one photograph need not be alike.** Desk, monitor, keyboard and mouse are often in one image, but the
  network learnt to tell them apart: desk and monitor have rank {desk}.
- **Some overlaps leave no trace.** A totem pole is a pole, but no relabelled image has both labels, and the pair has
  rank {pole}.

The weights do not show these faults of single names and images:
"""
SOURCES = """## Sources

- Beyer, Hénaff, Kolesnikov, Zhai and van den Oord 2020, [Are we done with ImageNet?](https://arxiv.org/abs/2006.07159).
  "Images have both labels" counts validation images with both labels among those with at least one, in their
  [reassessed labels](https://github.com/google-research/reassessed-imagenet).
- Kisel, Volkov, Hanzelková, Janouskova and Matas 2025,
  [Flaws of ImageNet, computer vision's favorite dataset](https://iclr-blogposts.github.io/2025/blog/imagenet-flaws/), with
  [problem groups](https://github.com/klarajanouskova/ImageNet/tree/main/classes/problem_groups).
- Northcutt, Athalye and Mueller 2021,
  [Pervasive label errors in test sets](https://arxiv.org/abs/2103.14749). Five workers judged each doubtful image
  ([data](https://github.com/cleanlab/label-errors)).
- Northcutt, Jiang and Chuang 2021, [Confident learning](https://doi.org/10.1613/jair.1.12125). The estimates are in their
  [code](https://github.com/cleanlab/cleanlab/blob/bd374549c5d776eeb6109b9c5cab6ca34fcfcef3/examples/imagenet/imagenet_similar_classes.ipynb).
- Radford et al. 2021, [CLIP](https://arxiv.org/abs/2103.00020), with
  [corrected class names](https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb).
- Tsipras, Santurkar, Engstrom, Ilyas and Madry 2020, [From ImageNet to image classification](https://arxiv.org/abs/2005.11295).
  "People" are those who chose the main object in their [annotations](https://github.com/MadryLab/ImageNetMultiLabel).
- Vasudevan, Caine, Gontijo-Lopes, Fridovich-Keil and Roelofs 2022,
  [When does dough become a bagel?](https://arxiv.org/abs/2205.04596) Their classes that count as one are listed in the
  [code](https://github.com/eth-sri/automated-error-analysis/blob/main/src/utils.py) of Peychev et al. 2023.

`make imagenet` writes this page again.
"""


@dataclass(frozen=True)
class Note:
    """What is known about a pair, a group, or the class or name of suspects."""

    of: str
    classes: tuple[int, ...]
    verdict: str
    known: str
    source: str

    @property
    def sources(self) -> str:
        """The authors and the year of each source."""
        found = (AUTHORS_AND_YEAR.match(part) for part in self.source.split("; "))
        return "; ".join(one.group() for one in found if one)


def load_notes() -> list[Note]:
    """Return the notes, and the known pairs as notes."""
    with NOTES.open(encoding="utf-8", newline="") as file:
        notes = [
            Note(
                of=row["of"],
                classes=tuple(int(index) for index in row["classes"].split()),
                verdict=row["verdict"],
                known=row["known"],
                source=row["source"],
            )
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]
    for one in imagenet_faults.load_faults():
        verdict = f"{KNOWN}, {one.kind}"
        notes.append(Note("pair", one.pair, verdict, one.known, one.source))
    return notes


def title(classes: Sequence[int]) -> str:
    """Return the first name of each class, or what tells classes of one name apart."""
    names = load_preset("imagenet1k").names
    first = [names[index].split(",")[0] for index in classes]
    if len(set(first)) == len(first):
        return " / ".join(first)
    whole = [names[index] for index in classes]
    if len(set(whole)) == len(whole):
        return " / ".join(whole)
    return " / ".join(f"{names[index]} ({index})" for index in classes)


def rankings() -> tuple[NDArray[np.float64], Ranks, Ranks]:
    """Return the residuals of all pairs without WordNet, and the ranks with and without
    it.
    """
    similarity, reference = imagenet_faults.similarity_and_reference()
    plain = pair_residuals(similarity)
    return (
        plain,
        imagenet_faults.pair_ranks(pair_residuals(similarity, reference)),
        imagenet_faults.pair_ranks(plain),
    )


def first_pairs(suspects: pd.DataFrame) -> list[tuple[int, ...]]:
    """Return the first pairs of classes that may be the same."""
    listed = suspects[suspects["kind"] == "duplicate"].sort_values("rank")
    return [tuple(sorted(members)) for members in listed["members"]][:PAIRS]


def pair_lines(
    pairs: Sequence[tuple[int, int]],
    close: NDArray[np.float64],
    notes: Sequence[Note],
) -> Iterator[str]:
    """Yield the section of the pairs; each pair needs a note."""
    note_of = {note.classes: note for note in notes if note.of == "pair"}
    unknown = [pair for pair in pairs if pair not in note_of]
    if unknown:
        raise SystemExit(f"{NOTES} lacks notes on the pairs {unknown}")
    known = sum(note.verdict.startswith(KNOWN) for note in note_of.values())
    verdicts = Counter(note_of[pair].verdict.split(",")[0] for pair in pairs)
    counts = ", ".join(
        f"{count} {verdict}" for verdict, count in verdicts.most_common()
    )
    yield f"## The first {len(pairs)} pairs"
    yield ""
    yield PAIRS_TEXT.format(known=known)
    yield f"The first {len(pairs)} of {len(close) * (len(close) - 1) // 2:,} pairs: {counts}."
    yield ""
    yield "| | pair | closeness | verdict | what is known | source |"
    yield "|---|---|---|---|---|---|"
    for place, pair in enumerate(pairs, start=1):
        note = note_of[pair]
        yield (
            f"| {place} | {title(pair)} | {close[pair]:.1f} | {note.verdict} |"
            f" {note.known} | {note.sources} |"
        )


def group_lines(suspects: pd.DataFrame, notes: Sequence[Note]) -> Iterator[str]:
    """Yield the section of the groups. A group has the note with which it shares most
    classes.
    """
    yield "## The first groups"
    yield ""
    yield GROUPS_TEXT
    yield "| | group | what to look for |"
    yield "|---|---|---|"
    of_groups = [note for note in notes if note.of == "group"]
    listed = suspects[suspects["kind"] == "shortcut"]["members"][:GROUPS]
    for place, members in enumerate(listed, start=1):
        best = max(of_groups, key=lambda note: len({*note.classes} & {*members}))
        overlap = len({*best.classes} & {*members}) / len(members)
        text = best.known if overlap >= MIN_OVERLAP else ""
        yield f"| {place} | {title(members)} | {text} |"


def name_lines(suspects: pd.DataFrame, notes: Sequence[Note]) -> Iterator[str]:
    """Yield the section of senses and names."""
    yield "## The first names"
    yield ""
    yield NAMES_TEXT
    yield "| | class | what fits better | what is known | source |"
    yield "|---|---|---|---|---|"
    note_of = {note.classes[0]: note for note in notes if note.of == "class"}
    listed = suspects[suspects["kind"].isin(["wrong-sense", "wrong-label"])][:NAMES]
    for place, (_, row) in enumerate(listed.iterrows(), start=1):
        note = note_of.get(int(row["members"][0]))
        if row["kind"] == "wrong-sense":
            better = f"`{row['evidence'].split()[0]}`"
        else:
            better = title(row["members"][1:]) or "another name"
        known, source = (note.known, note.sources) if note else ("", "")
        yield f"| {place} | {title(row['members'][:1])} | {better} | {known} | {source} |"


def far_lines(
    ranks: Ranks, with_wordnet: Ranks, notes: Sequence[Note]
) -> Iterator[str]:
    """Yield the section of what is not found."""
    pairs = [one.pair for one in imagenet_faults.load_faults()]
    yield "## Known faults that dsi does not put first"
    yield ""
    yield FAR_TEXT.format(
        known=len(pairs),
        below=sum(ranks[pair] > 60 for pair in pairs),
        wordnet=sum(with_wordnet[pair] <= 60 for pair in pairs),
        tabby=ranks[281, 282],
        tabby_wordnet=with_wordnet[281, 282],
        desk=f"{ranks[526, 664]:,}",
        pole=f"{ranks[733, 863]:,}",
    )
    yield "| class | what is known | source |"
    yield "|---|---|---|"
    for note in notes:
        if note.of == "name":
            yield f"| {title(note.classes)} | {note.known} | {note.sources} |"


def summary(ranks: Ranks) -> str:
    """Return how many known pairs are among the first ones."""
    places = [ranks[one.pair] for one in imagenet_faults.load_faults()]
    counts = [sum(place <= first for place in places) for first in (10, 20, 60)]
    return (
        f"**{counts[0]} of the first 10 pairs, {counts[1]} of the first 20 and"
        f" {counts[2]} of the first 60 are known to overlap**, of {len(places)} known"
        f" pairs among {ranks.max():,}."
    )


def page(results: Results) -> str:
    """Return the page."""
    notes, suspects = load_notes(), results.suspects()
    residuals, with_wordnet, ranks = rankings()
    sections = [
        [INTRO + "\n" + summary(ranks)],
        pair_lines(first_pairs(suspects), closeness(residuals), notes),
        group_lines(suspects, notes),
        name_lines(suspects, notes),
        far_lines(ranks, with_wordnet, notes),
        [SOURCES.rstrip()],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(open_results(sys.argv[1])), encoding="utf-8")
