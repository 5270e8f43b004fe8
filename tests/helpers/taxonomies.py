"""Made-up taxonomies, and the nodes of the presets: what the tests of WordNet share."""

import numpy as np

from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet.database.taxonomy import Taxonomy, load


def preset_nodes(name):
    """Return the node of each class of a preset."""
    return np.array([load().node(wnid) for wnid in load_preset(name).wnids])


def random_taxonomy(rng, size):
    """Return a taxonomy in which each node has up to three parents among the nodes
    before it.
    """
    above = [
        rng.choice(v, min(v, int(rng.integers(0, 4))), replace=False) if v else []
        for v in range(size)
    ]
    depths = []
    for parents in above:
        depths.append(max((depths[p] + 1 for p in parents), default=0))
    starts = np.cumsum([0, *map(len, above)]).astype(np.int32)
    flat = np.array([p for parents in above for p in parents], dtype=np.int32)
    names = tuple(f"x{v}.n.01" for v in range(size))
    return Taxonomy(
        np.arange(size, dtype=np.int32),
        names,
        np.array(depths, dtype=np.uint8),
        starts,
        flat,
    )
