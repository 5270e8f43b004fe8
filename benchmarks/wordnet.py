"""Path similarity of ImageNet-1k's labels: ours for all pairs, compared with NLTK's
loop over them, and the whole command.
"""

from __future__ import annotations

import os
import random
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import timing
from benchmarks.rows import Row, seconds, skipped
from benchmarks.scratch import Setup

PART = "wordnet"
OVER_NLTK, COMMAND_SECONDS = 1000.0, 1.5
PRESET = "imagenet1k"
_SAMPLE = 4000
_KERNEL = f"path similarity of {PRESET}'s 1,000 labels"


def measure(setup: Setup) -> list[Row]:
    """Return the rows of this part."""
    return [_kernel_row(setup), *_command_rows(setup)]


def nltk_wordnet(folder: Path | None) -> Any:
    """Return NLTK's WordNet reader on a folder of its data, or the reason why there is
    none.
    """
    if find_spec("nltk") is None:
        return "nltk is not installed"
    if folder is None or not folder.is_dir():
        return "no NLTK data: give the folder with --nltk-data or NLTK_DATA"
    os.environ["NLTK_DATA"] = str(folder.resolve())
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return "the folder of NLTK data holds no corpora/wordnet"
    return wordnet


def _kernel_row(setup: Setup) -> Row:
    from dsi_cli.analysis.semantics import wordnet_matrix
    from dsi_cli.wordnet.database import taxonomy
    from dsi_cli.wordnet.similarity import path_similarity

    required = f"at least {OVER_NLTK:,.0f}x"
    wn = nltk_wordnet(setup.nltk_data)
    if isinstance(wn, str):
        return skipped(PART, _KERNEL, wn, required)
    names = [
        resolution.synset
        for resolution in wordnet_matrix.resolve_label_list(PRESET).resolutions
        if resolution.synset
    ]
    nodes = [taxonomy.load().node(name) for name in names]
    synsets = [wn.synset(name) for name in names]
    matrix = path_similarity.path_similarity(nodes)
    rng = random.Random(0)
    sample = [
        tuple(rng.choices(range(len(names)), k=2))
        for _ in range(200 if setup.quick else _SAMPLE)
    ]
    for i, j in sample[:200]:
        if matrix[i, j] != synsets[i].path_similarity(synsets[j]):
            raise AssertionError(f"{names[i]} and {names[j]}: NLTK says something else")
    blocks = [
        [(synsets[i], synsets[j]) for i, j in sample[start::5]] for start in range(5)
    ]
    next_block = iter([*blocks, *blocks])
    calls = {
        "ours": lambda: path_similarity.path_similarity(nodes),
        "nltk": lambda: [a.path_similarity(b) for a, b in next(next_block)],
    }
    found = timing.turns(calls, 5)
    half = len(names) * (len(names) - 1) // 2
    theirs = found["nltk"] / len(blocks[0]) * half
    beside = (
        f"NLTK's loop over half the pairs, {half:,}, extrapolated from {len(sample):,}"
        f" at random: {seconds(theirs)}"
    )
    ratio = theirs / found["ours"]
    return Row(
        PART,
        _KERNEL,
        seconds(found["ours"]),
        beside,
        ratio,
        required,
        ratio >= OVER_NLTK,
    )


def _command_rows(setup: Setup) -> list[Row]:
    out = setup.folder / "reference.parquet"
    commands = {
        "dsi": timing.dsi("wordnet", PRESET, "-o", str(out)),
        "numpy": [sys.executable, "-c", "import numpy"],
        "pass": [sys.executable, "-c", "pass"],
    }
    found = timing.command_turns(commands, setup.rounds(5))
    return [
        Row(
            PART,
            f"`dsi wordnet {PRESET} -o FILE`, whole command, times the import of NumPy",
            seconds(found["dsi"]),
            f"import numpy: {seconds(found['numpy'])}; python -c pass:"
            f" {seconds(found['pass'])}",
            found["dsi"] / found["numpy"],
            f"below {COMMAND_SECONDS:g} s",
            found["dsi"] < COMMAND_SECONDS,
        )
    ]
