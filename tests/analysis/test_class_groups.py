"""The groups of classes against a search over all sets of hypernyms, and what a person would say of known lists."""

from itertools import chain, combinations
from math import log

import numpy as np
import pytest
from helpers.taxonomies import preset_nodes, random_taxonomy

from dsi_cli.analysis.semantics.hierarchy import find_groups
from dsi_cli.labels.presets import load_preset
from dsi_cli.wordnet.database.taxonomy import ancestors, load, taxonomy_order

PRESETS = ("cifar10", "cifar100", "fashion-mnist", "coco80", "mini-imagenet", "imagenet1k")


def members(preset):
    """Return the classes of each group of a preset, groups and classes by name."""
    names, graph = load_preset(preset).names, load()
    found: dict[str, set[str]] = {}
    for name, group in zip(names, find_groups(preset_nodes(preset)), strict=True):
        if group is not None:
            found.setdefault(graph.names[group], set()).add(name)
    return found


def way_up(taxonomy, node):
    """Return a node and all above it in the display tree, by the rule's words: the deepest parent, the first of equals."""
    way = [int(node)]
    while parents := taxonomy.parents_of(way[-1]):
        deepest = max(int(taxonomy.depths[parent]) for parent in parents)
        way.append(next(parent for parent in parents if taxonomy.depths[parent] == deepest))
    return way


@pytest.mark.parametrize("seed", range(12))
def test_no_other_set_of_hypernyms_says_more(seed):
    rng = np.random.default_rng(seed)
    taxonomy = random_taxonomy(rng, 14)
    nodes = rng.integers(4, 14, 9)
    ways = [way_up(taxonomy, node) for node in nodes]
    holds = {int(v): frozenset(k for k, way in enumerate(ways) if v in way) for v in ancestors(taxonomy, nodes)}
    able = {held for held in holds.values() if len(held) >= 2 and 0.03 <= len(held) / 9 <= 0.4}
    sets = chain.from_iterable(combinations(able, size) for size in range(5))
    apart = [one for one in sets if sum(map(len, one)) == len(frozenset().union(*one))]
    most = max(sum(-len(held) / 9 * log(len(held) / 9) for held in one) for one in apart)

    found = find_groups(nodes, taxonomy)
    chosen = {group: frozenset(k for k, one in enumerate(found) if one == group) for group in set(found) - {None}}
    assert all(holds[group] == held for group, held in chosen.items())
    assert all(set(way_up(taxonomy, a)) & chosen.keys() == {a} for a in chosen)
    assert set(chosen.values()) <= able
    assert sum(-len(held) / 9 * log(len(held) / 9) for held in chosen.values()) == pytest.approx(most, abs=1e-12)


@pytest.mark.parametrize("preset", PRESETS)
def test_groups_hold_3_to_40_percent_and_stand_together(preset):
    nodes = preset_nodes(preset)
    found = find_groups(nodes)
    sizes = {group: found.count(group) for group in set(found) - {None}}
    assert len(sizes) >= 2
    assert all(max(2, 0.03 * len(nodes)) <= size <= 0.4 * len(nodes) for size in sizes.values())
    shown = [found[place] for place in taxonomy_order(nodes)]
    starts = [group for before, group in zip([None, *shown], shown, strict=False) if group not in (None, before)]
    assert sorted(starts) == sorted(sizes)
    assert all(group in ancestors(load(), np.array([node])) for node, group in zip(nodes, found, strict=True) if group)


def test_cifar10_has_beasts_of_prey_hoofed_animals_craft_and_motor_vehicles():
    assert members("cifar10") == {
        "carnivore.n.01": {"cat", "dog"},
        "ungulate.n.01": {"deer", "horse"},
        "craft.n.02": {"airplane", "ship"},
        "motor_vehicle.n.01": {"automobile", "truck"},
    }


def test_cifar100_has_groups_that_a_person_would_name():
    found = members("cifar100")
    assert found["edible_fruit.n.01"] == {"apple", "orange", "pear"}
    assert found["furniture.n.01"] == {"bed", "chair", "couch", "table", "wardrobe"}
    assert found["person.n.01"] == {"baby", "boy", "girl", "man", "woman"}
    assert {"carnivore.n.01", "rodent.n.01", "fish.n.01", "reptile.n.01", "conveyance.n.03"} < found.keys()


def test_the_deepest_of_hypernyms_with_the_same_classes_gives_the_name():
    """Sparrow, robin and eagle share bird; vertebrate, chordate and so on hold no other class."""
    nodes = [load().node(f"{name}.n.01") for name in ("sparrow", "eagle", "car", "tulip", "rose")]
    assert [None if one is None else load().names[one] for one in find_groups(nodes)][:3] == [
        "bird.n.01",
        "bird.n.01",
        None,
    ]
