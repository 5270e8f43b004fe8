"""Compile the label presets: one file of tab-separated WordNet id, class name and synset name a preset.

Usage::

    python scripts/compile_presets.py LABELS [TARGET]

LABELS is a folder with ``cifar10.tsv`` and the like, which are copied as they are (after a check of every id and synset
against WordNet 3.0); ImageNet-12k and -22k come from the lists inside the installed timm. TARGET is
``dsi_cli/labels/data`` unless given.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from dsi_cli.wordnet import taxonomy

TARGET = Path(__file__).resolve().parents[1] / "dsi_cli" / "labels" / "data"
COPIED = ("imagenet1k", "mini-imagenet", "cifar10", "cifar100", "fashion-mnist", "coco80")
FROM_TIMM = {"imagenet12k": "imagenet12k_synsets.txt", "imagenet22k": "imagenet22k_synsets.txt"}

Row = tuple[str, str, str]


def timm_lists() -> Path:
    """Return timm's folder of label lists, without importing timm (and with it torch)."""
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("expected timm to be installed: its label lists are the source of ImageNet-12k and -22k")
    return Path(spec.submodule_search_locations[0]) / "data" / "_info"


def synset(wnid: str) -> str:
    """Return the synset name of an id, or stop: a preset whose classes are not all in WordNet is of no use."""
    graph = taxonomy.load()
    node = graph.node(wnid)
    if node is None:
        raise SystemExit(f"{wnid} is not in WordNet 3.0")
    return graph.names[node]


def from_timm(folder: Path, name: str) -> list[Row]:
    """Return the rows of a list of timm's, in its class order."""
    lemmas = dict(line.split("\t", 1) for line in (folder / "imagenet_synset_to_lemma.txt").read_text().splitlines())
    wnids = (folder / FROM_TIMM[name]).read_text().split()
    return [(wnid, lemmas[wnid].strip(), synset(wnid)) for wnid in wnids]


def copied(folder: Path, name: str) -> list[Row]:
    """Return the rows of a ready list."""
    rows = []
    for line in (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        wnid, label, named = line.split("\t")
        if synset(wnid) != named:
            raise SystemExit(f"{name}: {wnid} is {synset(wnid)} in WordNet 3.0, not {named}")
        rows.append((wnid, label, named))
    return rows


def compile_presets(labels: Path, target: Path) -> None:
    """Write all presets."""
    target.mkdir(parents=True, exist_ok=True)
    presets = {name: copied(labels, name) for name in COPIED}
    presets |= {name: from_timm(timm_lists(), name) for name in FROM_TIMM}
    for name, rows in presets.items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (target / f"{name}.tsv").write_text(text, encoding="utf-8", newline="\n")


def main() -> None:
    """Read the command line and compile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("labels", type=Path, help="folder with cifar10.tsv, imagenet1k.tsv and the like")
    parser.add_argument("target", type=Path, nargs="?", default=TARGET, help="folder to write (default: the package's)")
    options = parser.parse_args()
    compile_presets(options.labels, options.target)


if __name__ == "__main__":
    main()
