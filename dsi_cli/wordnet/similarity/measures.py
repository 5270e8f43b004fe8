"""The similarities of nouns, or verbs, beside path similarity, for all pairs at once, each equal to NLTK's to the last bit.

``wup``  Wu and Palmer 1994: twice the depth of what two nouns have in common, over their own depths by way of it.
``lch``  Leacock and Chodorow 1998: minus the logarithm of the shortest path over twice the depth of the taxonomy.
``res``  Resnik 1995: the information content of the most informative common hypernym.
``lin``  Lin 1998: twice that, over the sum of the nouns' own information.
``jcn``  Jiang and Conrath 1997: one over the information that the two do not share.

All are raw, as NLTK gives them. The last three need an `dsi_cli.wordnet.similarity.information_content` file.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log

import numpy as np
import numpy.typing as npt

from dsi_cli.errors import UsageError
from dsi_cli.wordnet.database.taxonomy import Nodes, Taxonomy, check_nodes, load
from dsi_cli.wordnet.similarity import common_subsumers, shortest_paths
from dsi_cli.wordnet.similarity.information_content import UNKNOWN, InformationContent
from dsi_cli.wordnet.similarity.shortest_paths import UNREACHABLE, AncestorLevels

Similarities = npt.NDArray[np.float64]

MAX_CLASSES = 8192
"""Nouns that the measures beside path similarity take; some 40 bytes a pair are in memory."""


def wup_similarity(nodes: Nodes, taxonomy: Taxonomy | None = None) -> Similarities:
    """Return Wu and Palmer's similarity, in (0, 1]: NLTK's ``wup_similarity`` of the row's noun with the column's.

    Parameters
    ----------
    nodes : (N,) int
        In any order; a node may come several times.
    taxonomy
        WordNet 3.0 unless given.

    Returns
    -------
    (N, N) float64
        0 without a common hypernym. Not quite symmetric, and not always 1 on the diagonal; see the notes.

    Raises
    ------
    UsageError
        A number is no node of the taxonomy, or there are more than `MAX_CLASSES`.

    Notes
    -----
    NLTK's rule of what two nouns have in common: of the common hypernyms those whose *shortest* way to the root is longest;
    of these the first noun itself if it is one, else the first by name. Its depth is its *longest* way to the root, in nodes;
    the way of a noun to it is the shortest path, which may lead over another hypernym. Where several hypernyms are equally
    deep, the rule can choose one for (a, b) and another for (b, a): in WordNet 3.0, for one pair of nouns in 100,000. The
    simulated root of verbs comes before all names, and is as deep as the roots below it, so it takes their place; its depth is 1.

    Examples
    --------
    >>> wup_similarity([load().node(name) for name in ("dog.n.01", "cat.n.01")]).round(3).tolist()
    [[0.929, 0.857], [0.857, 1.0]]
    """
    taxonomy = taxonomy or load()
    levels = _levels(nodes, taxonomy)
    depth = taxonomy.shortest_depths[levels.nodes]
    by_name = np.argsort([taxonomy.names[node] for node in levels.nodes], kind="stable")
    ranks = np.empty(len(levels.nodes), dtype=np.intp)
    ranks[by_name] = np.arange(len(by_name))
    order = np.lexsort((-ranks, depth))
    preference = np.empty(len(order), dtype=np.int32)
    preference[order] = np.arange(len(order), dtype=np.int32)
    best = common_subsumers.largest_over_common(levels, preference, -1)
    common = order[best]
    rows = shortest_paths.distances_up(levels, levels.labels)
    own = levels.labels[:, None]
    is_itself = (rows[levels.labels] < UNREACHABLE) & (depth[own] == depth[common])
    common = np.where(is_itself, own, common)
    shortest_paths.shorten_over_parents(levels, rows)
    twice = 2.0 * (taxonomy.depths[levels.nodes].astype(np.int64)[common] + 1)
    place = np.arange(len(levels.labels))
    ways = rows[common, place[:, None]].astype(np.int64) + rows[common, place]
    if not taxonomy.simulates_root:
        return np.where(best < 0, 0.0, twice / (ways + twice))
    to_root = shortest_paths.distances_to_root(levels).astype(np.int64)
    is_root = ~is_itself & ((best < 0) | (depth[common] == 0))
    return np.where(is_root, 2.0 / (to_root[:, None] + to_root + 2.0), twice / (ways + twice))


def lch_similarity(nodes: Nodes, taxonomy: Taxonomy | None = None) -> Similarities:
    """Return Leacock and Chodorow's similarity, 0 or more: NLTK's ``lch_similarity``.

    Parameters and errors as for `wup_similarity`. Exactly symmetric; on the diagonal the logarithm of twice the depth of the
    taxonomy, 3.64 for WordNet 3.0's nouns. 0 without a common hypernym. A simulated root is one edge above the roots.

    Examples
    --------
    >>> lch_similarity([load().node(name) for name in ("dog.n.01", "cat.n.01")]).round(3).tolist()
    [[3.638, 2.028], [2.028, 3.638]]
    """
    taxonomy = taxonomy or load()
    deepest = int(taxonomy.depths.max(initial=0)) + taxonomy.simulates_root
    if deepest == 0:
        raise UsageError("Leacock and Chodorow's similarity needs a taxonomy with a hypernym; this one has none")
    distances = shortest_paths.path_distances(check_class_count(nodes), taxonomy)
    table = [-log((distance + 1) / (2.0 * deepest)) for distance in range(int(distances.max(initial=0)) + 1)]
    return np.where(distances == shortest_paths.NO_PATH, 0.0, np.array(table)[distances])


def res_similarity(nodes: Nodes, information: InformationContent) -> Similarities:
    """Return Resnik's similarity, 0 or more: NLTK's ``res_similarity``; 1e300 where a common hypernym was never counted.

    Parameters
    ----------
    nodes : (N,) int
        Of the taxonomy that the information is of.
    information
        See `dsi_cli.wordnet.similarity.information_content.read_information_content`.

    Raises
    ------
    UsageError
        As for `wup_similarity`.
    """
    levels = _levels(nodes, information.taxonomy)
    return common_subsumers.largest_over_common(levels, information.content(levels.nodes), 0.0)


def lin_similarity(nodes: Nodes, information: InformationContent) -> Similarities:
    """Return Lin's similarity: NLTK's ``lin_similarity``; NaN between two roots, where NLTK divides by zero.

    Parameters and errors as for `res_similarity`. In [0, 1] where both nouns were counted.
    """
    own = information.content(check_class_count(nodes))
    with np.errstate(invalid="ignore"):
        found: Similarities = (2.0 * res_similarity(nodes, information)) / (own[:, None] + own)
    return found


def jcn_similarity(nodes: Nodes, information: InformationContent) -> Similarities:
    """Return Jiang and Conrath's similarity: NLTK's ``jcn_similarity``; 1e300, its infinity, where nothing tells two nouns apart.

    Parameters and errors as for `res_similarity`.
    """
    places = check_class_count(nodes)
    own = information.content(places)
    apart = own[:, None] + own - 2 * res_similarity(nodes, information)
    same = (places[:, None] == places) | (apart == 0)
    found = np.divide(1.0, apart, out=np.full_like(apart, UNKNOWN), where=~same)
    found[(own[:, None] == 0) | (own == 0)] = 0.0
    found[places[:, None] == places] = UNKNOWN
    return found


BY_TAXONOMY: dict[str, Callable[[Nodes, Taxonomy | None], Similarities]] = {
    "path": shortest_paths.path_similarity,
    "wup": wup_similarity,
    "lch": lch_similarity,
}
BY_INFORMATION: dict[str, Callable[[Nodes, InformationContent], Similarities]] = {
    "res": res_similarity,
    "lin": lin_similarity,
    "jcn": jcn_similarity,
}


def check_class_count(nodes: Nodes) -> npt.NDArray[np.intp]:
    """Return nodes as an array; `UsageError` if they are more than `MAX_CLASSES`."""
    found = np.asarray(nodes, dtype=np.intp)
    if len(found) > MAX_CLASSES:
        raise UsageError(f"the measures beside path take {MAX_CLASSES} classes or fewer, found {len(found)}: use path")
    return found


def _levels(nodes: Nodes, taxonomy: Taxonomy) -> AncestorLevels:
    return shortest_paths.ancestor_levels(taxonomy, check_nodes(check_class_count(nodes), len(taxonomy.offsets)))
