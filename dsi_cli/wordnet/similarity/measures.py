"""Similarity measures of synsets other than path similarity, for all pairs at once,
bit-identical to NLTK's.

``wup``  Wu and Palmer 1994: twice the depth of the common hypernym, divided by the sum
         of the depths of both nouns through it.
``lch``  Leacock and Chodorow 1998: minus the logarithm of the shortest path over twice
         the depth of the taxonomy.
``res``  Resnik 1995: the information content of the most informative common hypernym.
``lin``  Lin 1998: twice the value of ``res``, divided by the sum of the information
         content of both nouns.
         Without a file, the content is intrinsic: it follows from the number of nodes
         below a node.
``jcn``  Jiang and Conrath 1997: one divided by the information content that the two
         nouns do not share.

All values are raw, as NLTK returns them. The last three need an information content
file in the format of Pedersen's WordNet::Similarity (``ic-brown.dat``). Its first line
states the version. Each other line describes one synset, such as ``1740n 1915712
ROOT``: its offset with ``n`` or ``v``, its count in a text corpus, and ``ROOT`` for
roots. The information content of a synset is minus the logarithm of its share of the
counts of all roots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import log
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database.taxonomy import Nodes, Rows, Taxonomy, load, parent_edges
from dsi_cli.wordnet.database.wordnet import WordNet
from dsi_cli.wordnet.similarity import path_similarity
from dsi_cli.wordnet.similarity.path_similarity import UNREACHABLE

# NLTK's information content of a synset with count 0, and its value for infinity
UNKNOWN = 1e300
Similarities = npt.NDArray[np.float64]
# the maximum number of classes for these measures, which use about 40 bytes of memory
# per pair
MAX_CLASSES = 8192


@dataclass(frozen=True, eq=False)
class InformationContent:
    """The counts of an information content file.

    ``counts (M,)`` has the count of each node of ``taxonomy``, 0 or more. ``total`` is
    the sum of the counts of all roots.
    """

    taxonomy: Taxonomy
    counts: npt.NDArray[np.float64]
    total: float

    def content(self, nodes: Rows) -> npt.NDArray[np.float64]:
        """Return the information content of nodes, 0 or more, and `UNKNOWN` for count 0
        (NLTK's ``information_content``).
        """
        counts = self.counts[nodes].tolist()
        return np.array(
            [UNKNOWN if count == 0 else -log(count / self.total) for count in counts],
            dtype=np.float64,
        )


def read_information_content(
    path: str | PathLike[str], wordnet: WordNet
) -> InformationContent:
    """Return the counts of an information content file.

    Raise `UsageError` if the file cannot be read, is not in NLTK's format, or belongs
    to another version of WordNet.
    """
    file = Path(path)
    graph = wordnet.taxonomy
    try:
        counted = dict(_nltk_counts(file)[graph.letter])
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(
            f"{file} cannot be read: {reason}", code="ic-not-readable", reason=reason
        ) from None
    except (ValueError, IndexError) as error:
        message = (
            f"{file}: expected an information content file of NLTK, with lines such as"
            f" '1740n 1915712 ROOT' ({error})"
        )
        raise UsageError(message, code="ic-format") from None
    if not all(0 <= count < float("inf") for count in counted.values()):
        message = (
            f"{file}: expected an information content file of NLTK, whose counts are 0"
            " or more"
        )
        raise UsageError(message, code="ic-count")
    total = counted.pop(0, 0.0)
    counts = np.zeros(len(graph.offsets))
    for offset, count in counted.items():
        node = graph.node(offset)
        if node is None:
            message = (
                f"{file}: no {wordnet.part} of {wordnet.title} has the id"
                f" {graph.letter}{offset:08d};"
            )
            message += " the file belongs to another version of WordNet"
            raise UsageError(message, code="ic-other-wordnet", offset=offset)
        counts[node] = count
    if total <= 0 or counts.max() > total:
        message = (
            f"{file}: expected a line ROOT for {wordnet.part}s with the largest count"
        )
        raise UsageError(
            message, hint="add it, or use another file", code="ic-no-root", total=total
        )
    return InformationContent(graph, counts, total)


def _nltk_counts(file: Path) -> dict[str, dict[int, float]]:
    from nltk.corpus.reader.wordnet import WordNetICCorpusReader

    class Reader(WordNetICCorpusReader):  # type: ignore[misc]
        """NLTK's reader for a file at any path; NLTK opens only files in its own
        folders.
        """

        def __init__(self) -> None:
            pass

        def open(self, path: Path) -> IO[str]:
            return path.open(encoding="utf-8")

    return Reader().ic(file)


def wup_similarity(nodes: Nodes, taxonomy: Taxonomy | None = None) -> Similarities:
    """Return Wu and Palmer's similarity ``(N, N)``, in (0, 1]: NLTK's
    ``wup_similarity`` of the row's noun with the column's.

    Pairs without a common hypernym have 0. Parameters are those of
    `dsi_cli.wordnet.similarity.path_similarity.path_similarity`.

    Raise `UsageError` if a number is not a node of the taxonomy, or there are more than
    `MAX_CLASSES` nodes.

    Notes
    -----
    NLTK's rule takes the common hypernyms whose *shortest* path to the root is longest.
    Among equals, it prefers the first noun itself, then the first in alphabetical
    order. The depth of this hypernym is its *longest* path to the root, in nodes. The
    distance from a noun to it is the shortest path, which may lead through another
    hypernym. So some diagonal elements are less than 1. If several hypernyms are
    equally deep, the rule can choose one for (a, b) and another for (b, a): in WordNet
    3.0, for one pair of nouns in 100,000. The simulated root of verbs precedes all
    names and is as deep as the roots below it, so it replaces them. Its depth is 1.

    Examples
    --------
    >>> wup_similarity([load().node(name) for name in ("dog.n.01", "cat.n.01")]).round(3).tolist()
    [[0.929, 0.857], [0.857, 1.0]]
    """
    taxonomy = taxonomy or load()
    levels = path_similarity.ancestor_levels(taxonomy, check_class_count(nodes))
    # Sort the ancestors by NLTK's preference: by their shortest path to a root, then by
    # name.
    depth = np.where(np.diff(levels.graph.starts) > 0, UNREACHABLE, 0).astype(np.uint8)
    path_similarity.shorten_over_parents(levels, depth)
    ranks = np.argsort(
        np.argsort([taxonomy.names[node] for node in levels.nodes], kind="stable")
    )
    order = np.lexsort((-ranks, depth))
    preference = np.argsort(order).astype(np.int32)
    # Choose the preferred common hypernym of each pair; the first noun itself wins if
    # it is equally deep.
    best = path_similarity.largest_over_common(levels, preference, -1)
    common = order[best]
    rows = path_similarity.distances_up(levels, levels.labels)
    nouns = levels.labels[:, None]
    is_itself = (rows[levels.labels] < UNREACHABLE) & (depth[nouns] == depth[common])
    common = np.where(is_itself, nouns, common)
    # Add the shortest paths from both nouns to the common hypernym.
    path_similarity.shorten_over_parents(levels, rows)
    twice = 2.0 * (taxonomy.depths[levels.nodes].astype(np.int64)[common] + 1)
    columns = np.arange(len(levels.labels))
    paths = rows[common, columns[:, None]].astype(np.int64) + rows[common, columns]
    if not taxonomy.simulates_root:
        return np.where(best < 0, 0.0, twice / (paths + twice))
    # The simulated root replaces the roots of verbs.
    to_root = path_similarity.distances_to_root(levels).astype(np.int64)
    is_root = ~is_itself & ((best < 0) | (depth[common] == 0))
    return np.where(
        is_root, 2.0 / (to_root[:, None] + to_root + 2.0), twice / (paths + twice)
    )


def lch_similarity(nodes: Nodes, taxonomy: Taxonomy | None = None) -> Similarities:
    """Return Leacock and Chodorow's similarity, 0 or more: NLTK's ``lch_similarity``.

    Parameters and errors are those of `wup_similarity`. The matrix is exactly
    symmetric. The diagonal is the logarithm of twice the depth of the taxonomy, 3.64
    for WordNet 3.0's nouns. Pairs without a common hypernym have 0. A simulated root is
    one edge above the roots.

    >>> lch_similarity([load().node(name) for name in ("dog.n.01", "cat.n.01")]).round(3).tolist()
    [[3.638, 2.028], [2.028, 3.638]]
    """
    taxonomy = taxonomy or load()
    deepest = int(taxonomy.depths.max(initial=0)) + taxonomy.simulates_root
    if deepest == 0:
        message = (
            "Leacock and Chodorow's similarity needs a taxonomy with a hypernym; this"
            " taxonomy has no edge"
        )
        raise UsageError(message, code="taxonomy-without-edges")
    table = np.zeros(256)
    table[:UNREACHABLE] = [
        -log((distance + 1) / (2.0 * deepest)) for distance in range(UNREACHABLE)
    ]
    return path_similarity.all_pairs(check_class_count(nodes), taxonomy, table)


def res_similarity(nodes: Nodes, information: InformationContent) -> Similarities:
    """Return Resnik's similarity, 0 or more: NLTK's ``res_similarity``; 1e300 if a
    common hypernym has count 0.

    The nodes ``(N,)`` are those of the taxonomy of ``information``. The errors are
    those of `wup_similarity`.
    """
    levels = path_similarity.ancestor_levels(
        information.taxonomy, check_class_count(nodes)
    )
    return path_similarity.largest_over_common(
        levels, information.content(levels.nodes), 0.0
    )


def lin_similarity(nodes: Nodes, information: InformationContent) -> Similarities:
    """Return Lin's similarity, in [0, 1] for counts above 0: NLTK's ``lin_similarity``;
    parameters and errors as `res_similarity`.

    It is NaN between two roots, for which NLTK divides by zero.
    """
    content = information.content(check_class_count(nodes))
    with np.errstate(invalid="ignore"):
        similarity: Similarities = (2.0 * res_similarity(nodes, information)) / (
            content[:, None] + content
        )
    return similarity


def intrinsic_lin_similarity(
    nodes: Nodes, taxonomy: Taxonomy | None = None
) -> Similarities:
    """Return Lin's similarity with the intrinsic information content of Seco, Veale and
    Hayes (2004, https://dl.acm.org/doi/10.5555/3000001.3000272), in [0, 1], without a
    file of counts.

    The count of a node is the number of nodes below it, and one for itself. A root has
    no content, so its similarity to other nodes is 0. Parameters and errors are those
    of `wup_similarity`.
    """
    taxonomy = taxonomy or load()
    counts = _nodes_below(taxonomy)
    information = InformationContent(taxonomy, counts, float(len(counts)))
    return np.nan_to_num(lin_similarity(nodes, information))


@lru_cache(maxsize=4)
def _nodes_below(taxonomy: Taxonomy) -> npt.NDArray[np.float64]:
    """Return the number of nodes below each node, and one for itself ``(M,)``."""
    size = len(taxonomy.offsets)
    # A pair of a node and one above it is the number node * size + above.
    pairs = np.arange(size) * (size + 1)
    found = [pairs]
    while len(pairs):
        nodes, above = np.divmod(pairs, size)
        child, parents = parent_edges(taxonomy, above)
        # With counts, NumPy sorts. Its hash table takes ten times as long here.
        pairs, _ = np.unique(nodes[child] * size + parents, return_counts=True)
        found.append(pairs)
    every, _ = np.unique(np.concatenate(found), return_counts=True)
    above = every % size
    return np.bincount(above, minlength=size).astype(np.float64)


def jcn_similarity(nodes: Nodes, information: InformationContent) -> Similarities:
    """Return Jiang and Conrath's similarity: NLTK's ``jcn_similarity``; parameters and
    errors as `res_similarity`.

    It is 1e300, NLTK's infinity, if the distance is 0.
    """
    labels = check_class_count(nodes)
    content = information.content(labels)
    distance = content[:, None] + content - 2 * res_similarity(nodes, information)
    is_same = labels[:, None] == labels
    similarity = np.divide(
        1.0,
        distance,
        out=np.full_like(distance, UNKNOWN),
        where=~is_same & (distance != 0),
    )
    similarity[(content[:, None] == 0) | (content == 0)] = 0.0
    similarity[is_same] = UNKNOWN
    return similarity


BY_TAXONOMY: dict[str, Callable[[Nodes, Taxonomy | None], Similarities]] = {
    "path": path_similarity.path_similarity,
    "wup": wup_similarity,
    "lch": lch_similarity,
    "lin": intrinsic_lin_similarity,
}
BY_INFORMATION: dict[str, Callable[[Nodes, InformationContent], Similarities]] = {
    "res": res_similarity,
    "lin": lin_similarity,
    "jcn": jcn_similarity,
}


def check_class_count(nodes: Nodes) -> npt.NDArray[np.intp]:
    """Return nodes as an array; raise `UsageError` if there are more than
    `MAX_CLASSES`.
    """
    checked = np.asarray(nodes, dtype=np.intp)
    if len(checked) > MAX_CLASSES:
        message = (
            f"all measures except path take {MAX_CLASSES} classes or fewer, found"
            f" {len(checked)}"
        )
        raise UsageError(
            message,
            hint="use path",
            code="too-many-classes-for-measure",
            classes=len(checked),
        )
    return checked
