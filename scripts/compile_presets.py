"""Compile the label presets.

Usage::

    python scripts/compile_presets.py LABELS [TARGET]

A list has a file of tab-separated WordNet id, class name and synset name; id and synset
are empty where WordNet has no synset for the class. LABELS is a folder with
``cifar10.tsv`` and the like, which are copied; the lists of ``BY_HAND`` lie in the
package and are their own source; the lists with background follow from others. All are
written after a check of every id and synset against WordNet 3.0. The long lists of
ImageNet come from the installed timm, into one Parquet file: ids, names, and each
list's class numbers. TARGET is ``dsi_cli/labels/data`` unless given. Running it twice
gives the same bytes with the same pyarrow.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dsi_cli.wordnet.database import taxonomy

TARGET = Path(__file__).resolve().parents[1] / "dsi_cli" / "labels" / "data"
COPIED = (
    "imagenet1k",
    "mini-imagenet",
    "cifar10",
    "cifar100",
    "fashion-mnist",
    "coco80",
)
BY_HAND = (
    "tiny-imagenet",
    "stl10",
    "caltech101",
    "oxford-pets",
    "flowers102",
    "food101",
    "voc20",
    "ade20k",
    "places365",
)
FROM_TIMM = {
    "imagenet12k": "imagenet12k_synsets.txt",
    "imagenet21k": "imagenet21k_goog_synsets.txt",
    "imagenet21k-miil": "imagenet21k_miil_synsets.txt",
    "imagenet21k-miil-w21": "imagenet21k_miil_w21_synsets.txt",
    "imagenet22k": "imagenet22k_synsets.txt",
    "imagenet22k-ms": "imagenet22k_ms_synsets.txt",
}
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""The COCO category ids, of 91, that no annotation has."""

Row = tuple[str, str, str]


def timm_lists() -> Path:
    """Return timm's folder of label lists, without importing timm (and with it
    torch).
    """
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "expected timm to be installed: its label lists are the source of the long"
            " ImageNet lists"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "_info"


def synset(wnid: str) -> str:
    """Return the synset name of an id, or stop: an id that is not in WordNet is of no
    use.
    """
    graph = taxonomy.load()
    node = graph.node(wnid)
    if node is None:
        raise SystemExit(f"{wnid} is not in WordNet 3.0")
    return graph.names[node]


def checked(folder: Path, name: str) -> list[Row]:
    """Return the rows of a ready list."""
    rows = []
    for line in (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        wnid, label, named = line.split("\t")
        found = synset(wnid) if wnid else ""
        if found != named:
            raise SystemExit(f"{name}: {wnid} is {found} in WordNet 3.0, not {named}")
        rows.append((wnid, label, named))
    return rows


def with_background(lists: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Return the lists that follow from others by classes without a meaning."""
    coco = iter(lists["coco80"])
    gaps = {0: "__background__"} | dict.fromkeys(COCO_GAPS, "N/A")
    return {
        "coco91": [
            ("", gaps[index], "") if index in gaps else next(coco)
            for index in range(91)
        ],
        "voc21": [("", "__background__", ""), *lists["voc20"]],
        "caltech101-background": [("", "BACKGROUND_Google", ""), *lists["caltech101"]],
    }


def imagenet(folder: Path) -> pa.Table:
    """Return the long lists as one table: every id with its name, and its class number
    in each list or null.
    """
    lists = {
        name: (folder / file).read_text().split() for name, file in FROM_TIMM.items()
    }
    wnids = sorted(set().union(*lists.values()))
    for wnid in wnids:
        synset(wnid)
    lemmas = dict(
        line.split("\t", 1)
        for line in (folder / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    )
    columns = {"wnid": pa.array([int(wnid[1:]) for wnid in wnids], pa.int32())}
    columns["name"] = pa.array([lemmas[wnid].strip() for wnid in wnids])
    for name, listed in lists.items():
        number = {wnid: index for index, wnid in enumerate(listed)}
        columns[name] = pa.array([number.get(wnid) for wnid in wnids], pa.int16())
    return pa.table(columns)


def compile_presets(labels: Path, target: Path) -> None:
    """Write all presets."""
    target.mkdir(parents=True, exist_ok=True)
    lists = {name: checked(labels, name) for name in COPIED}
    lists |= {name: checked(TARGET, name) for name in BY_HAND}
    for name, rows in (lists | with_background(lists)).items():
        text = "".join("\t".join(row) + "\n" for row in rows)
        (target / f"{name}.tsv").write_text(text, encoding="utf-8", newline="\n")
    table = imagenet(timm_lists())
    encodings = dict.fromkeys(table.column_names, "DELTA_BINARY_PACKED") | {
        "name": "DELTA_BYTE_ARRAY"
    }
    path = target / "imagenet.parquet"
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding=encodings,
    )


def main() -> None:
    """Read the command line and compile."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "labels", type=Path, help="folder with cifar10.tsv, imagenet1k.tsv and the like"
    )
    parser.add_argument(
        "target",
        type=Path,
        nargs="?",
        default=TARGET,
        help="folder to write (default: the package's)",
    )
    options = parser.parse_args()
    compile_presets(options.labels, options.target)


if __name__ == "__main__":
    main()
