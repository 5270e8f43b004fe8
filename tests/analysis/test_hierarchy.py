"""Severity and superclass accuracy in the curves table, and the groups of WordNet and
of custom taxonomies.
"""

from itertools import chain, combinations
from math import log

import numpy as np
import pytest
from helpers.errors import raises
from helpers.outputs import (
    ANIMALS,
    all_curves,
    assert_like_a_first_call,
    assert_same_output,
    curve,
    noticed,
    stored_counts,
    tables,
)
from helpers.taxonomies import preset_nodes, random_taxonomy

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics import class_labels
from dsi_cli.analysis.semantics.hierarchy import find_groups, open_taxonomy
from dsi_cli.errors import UsageError
from dsi_cli.labels.label_list import LabelList
from dsi_cli.labels.presets import load_preset, superclasses_of
from dsi_cli.wordnet.database.taxonomy import (
    ancestors,
    display_parents,
    hypernym_closure,
    load,
    taxonomy_order,
)
from dsi_cli.wordnet.database.wordnet import load_wordnet
from dsi_cli.wordnet.similarity.path_similarity import common_heights

QUICK = Options(draws=0)
METRICS = ("severity", "superclass_accuracy")


@pytest.fixture
def analyzed(make_run, tmp_path):
    """Return a function that analyzes a run with labels and predictions and returns its
    curves and the output folder.
    """

    def analyze_labels(labels=ANIMALS):
        run, rng = make_run(labels=labels), np.random.default_rng(3)
        np.save(run / "targets.npy", np.repeat(np.arange(8), 20))
        np.save(run / "preds.npy", rng.integers(0, 8, (4, 160)))
        analyze([run], tmp_path / "out", QUICK)
        return all_curves(tmp_path / "out"), tmp_path / "out"

    return analyze_labels


def test_severity_and_superclass_rows_match_the_stored_counts(analyzed):
    curves, out = analyzed()
    classes = tables(out)["classes"].sort_values("class_index")
    heights = common_heights([load().node(wnid) for wnid in classes["wnid"]])
    groups = [
        name if isinstance(name, str) else index
        for index, name in enumerate(classes["group"])
    ]
    same = np.array([[one == other for other in groups] for one in groups])
    assert 8 > len(set(groups)) > 1
    for epoch in range(4):
        counts = stored_counts(out, "run", epoch)
        wrong = counts - np.diag(np.diagonal(counts))
        severity, superclass = (
            curve(curves, "run", metric=name).loc[epoch] for name in METRICS
        )
        assert severity["value"] == pytest.approx((wrong * heights).sum() / wrong.sum())
        assert superclass["value"] == pytest.approx(
            (counts * same).sum() / counts.sum()
        )
        assert (severity["samples_used"], superclass["samples_used"]) == (
            wrong.sum(),
            160,
        )
        for row in (severity, superclass):
            assert (row["reference"], row["split"], row["classes_used"]) == (
                "wordnet3.0",
                "test",
                8,
            )
            assert (
                row[["null_mean", "null_std", "z", "excess", "ceiling", "low", "high"]]
                .notna()
                .all()
            )


def test_hierarchical_rows_match_the_stored_counts(analyzed):
    curves, out = analyzed()
    taxonomy, classes = load(), tables(out)["classes"].sort_values("class_index")
    nodes = [taxonomy.node(wnid) for wnid in classes["wnid"]]
    root = taxonomy.node("entity.n.01")
    sets = [hypernym_closure(taxonomy, node) - {root} for node in nodes]
    counts = stored_counts(out, "run", 3)
    shared = sum(
        counts[i, j] * len(sets[i] & sets[j]) for i in range(8) for j in range(8)
    )
    sizes = np.array(list(map(len, sets)))
    value = {
        (row.metric, row.variant if isinstance(row.variant, str) else None): row.value
        for row in curves[
            (curves["epoch"] == 3) & (curves["reference"] == "wordnet3.0")
        ].itertuples()
    }
    precision, recall = (
        shared / (counts.sum(axis=0) @ sizes),
        shared / (counts.sum(axis=1) @ sizes),
    )
    assert value["hierarchical_precision", "micro"] == pytest.approx(precision)
    assert value["hierarchical_recall", "micro"] == pytest.approx(recall)
    assert value["hierarchical_f1", "micro"] == pytest.approx(
        2 * precision * recall / (precision + recall)
    )
    assert value["path_accuracy", None] == np.trace(counts) / counts.sum()
    depth = sum(metric == "level_accuracy" for metric, _ in value)
    levels = [value["level_accuracy", str(level)] for level in range(1, depth + 1)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == value["path_accuracy", None]
    assert levels[0] == 1, "all animals are physical entities"


def test_the_path_of_a_class_is_the_first_of_the_longest_in_wordnets_order():
    taxonomy, nodes = load(), preset_nodes("cifar100")
    parents = display_parents(taxonomy, nodes)

    def all_paths(node):
        hypernyms = taxonomy.parents_of(node)
        if not len(hypernyms):
            return [[node]]
        return [[node, *path] for parent in hypernyms for path in all_paths(parent)]

    ties = 0
    for node in nodes.tolist():
        found = [node]
        while parents[found[-1]] >= 0:
            found.append(parents[found[-1]])
        paths = all_paths(node)
        longest = [path for path in paths if len(path) == max(map(len, paths))]
        assert found == longest[0]
        ties += len(longest) > 1
    assert ties == 6


def test_superclass_accuracy_prefers_the_superclasses_of_the_dataset(analysed):
    rows = curve(
        analysed.run.curves, "cifar100-cnn", metric="superclass_accuracy", split="test"
    )
    assert set(rows["reference"]) == {"cifar100-superclasses"}
    classes = analysed.run.classes.query("run == 'cifar100-cnn'").sort_values(
        "class_index"
    )
    preset = load_preset("cifar100")
    of = dict(zip(preset.names, superclasses_of(preset), strict=True))
    above = np.array([of[name] for name in classes["name"]])
    counts = stored_counts(analysed.out, "cifar100-cnn", 30)
    assert rows.loc[30, "value"] == pytest.approx(
        (counts * (above[:, None] == above)).sum() / counts.sum()
    )
    assert rows.loc[30, "value"] > np.trace(counts) / counts.sum()


TREE = "child,parent\ncat,pet\nfrog,pet\nhorse,big\nbee,big\ndog,wet\nwhale,wet\nlion,animal\npet,animal\nbig,animal\nwet,animal\n"
"""Seven of the eight animals: it lacks the bird."""


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "zoo.csv").write_text(TREE)
    return tmp_path / "zoo.csv"


def options_of(tree, *references):
    return Options(draws=0, taxonomy=str(tree), references=references or ("path",))


def test_custom_taxonomy_gives_order_groups_and_severity(analyzed, tree):
    _, out = analyzed()
    before = {
        path.name: path.stat().st_mtime_ns for path in (out / "csms").rglob("*.parquet")
    }
    summary = analyze([out.parent / "run"], out, options_of(tree))
    assert (summary.runs[0].known_to, summary.runs[0].resolved) == ("zoo.csv", 7)
    (unresolved,) = noticed(summary, "labels-unresolved").values()
    assert unresolved["labels"] == ["bird"]
    assert unresolved["reason"] == "zoo.csv has no node of that name"
    classes = tables(out)["classes"].sort_values("class_index")
    groups = dict(zip(classes["name"], classes["group"], strict=True))
    assert {name for name, group in groups.items() if group == "pet"} == {"cat", "frog"}
    assert not isinstance(groups["bird"], str)
    shown = classes.sort_values("display_order")["name"].tolist()
    assert shown[-1] == "bird"
    for first, second in (("cat", "frog"), ("horse", "bee"), ("dog", "whale")):
        assert abs(shown.index(first) - shown.index(second)) == 1
    curves = all_curves(out)
    above = {
        name: group if isinstance(group, str) else name
        for name, group in groups.items()
    }
    names = classes["name"].tolist()
    counts = stored_counts(out, "run", 2)
    known = np.array([name != "bird" for name in names])
    wrong = (counts - np.diag(np.diagonal(counts)))[np.ix_(known, known)]
    tops = np.array([above[name] for name in names])
    heights = np.where(tops[:, None] == tops, 1, 2)[np.ix_(known, known)]
    severity, superclass = (
        curve(curves, "run", metric=name).loc[2] for name in METRICS
    )
    assert severity["value"] == pytest.approx((wrong * heights).sum() / wrong.sum())
    assert superclass["value"] == pytest.approx(
        (counts * (tops[:, None] == tops)).sum() / counts.sum()
    )
    assert {severity["reference"], superclass["reference"]} == {"zoo"}
    level, path = (
        curve(curves, "run", metric=name).loc[[2]]
        for name in ("level_accuracy", "path_accuracy")
    )
    used, same = (
        counts[np.ix_(known, known)],
        (tops[:, None] == tops)[np.ix_(known, known)],
    )
    expected = [(used * same).sum() / used.sum(), np.trace(used) / used.sum()]
    assert level.sort_values("variant")["value"].tolist() == pytest.approx(expected)
    assert path["value"].tolist() == expected[1:]
    assert set(path["samples_used"]) == {used.sum()}
    assert {
        path.name: path.stat().st_mtime_ns for path in (out / "csms").rglob("*.parquet")
    } == before


def test_custom_taxonomy_with_parents_in_the_place_of_children_fails(tmp_path):
    (tmp_path / "tree.csv").write_text(
        "pet,cat\npet,dog\nfarm,cow\nfarm,pig\nanimal,pet\nanimal,farm\n"
    )
    with raises("taxonomy-of-parents", UsageError):
        open_taxonomy(tmp_path / "tree.csv").class_nodes(
            LabelList(("cat", "dog", "cow", "pig"), None, "the test")
        )


@pytest.mark.parametrize("root", ["", "pet,thing\nwild,thing\n"])
def test_groups_of_a_custom_taxonomy_may_hold_most_classes(root, analyzed, tmp_path):
    lines = [
        f"{name},{'pet' if name in ('cat', 'dog') else 'wild'}\n" for name in ANIMALS
    ]
    (tmp_path / "two.csv").write_text(f"child,parent\n{''.join(lines)}{root}")
    _, out = analyzed()
    analyze([out.parent / "run"], out, options_of(tmp_path / "two.csv"))
    classes = tables(out)["classes"].sort_values("class_index")
    assert classes["group"].tolist() == [
        "pet" if name in ("cat", "dog") else "wild" for name in classes["name"]
    ]
    counts = stored_counts(out, "run", 2)
    is_pet = classes["name"].isin(["cat", "dog"]).to_numpy()
    row = curve(tables(out)["curves"], "run", metric="superclass_accuracy").loc[2]
    assert row["value"] == pytest.approx(
        (counts * (is_pet[:, None] == is_pet)).sum() / counts.sum()
    )


def test_analyze_with_a_changed_taxonomy_equals_a_first_call(analyzed, tree, tmp_path):
    _, out = analyzed()
    run = out.parent / "run"
    analyze([run], out, options_of(tree, "wordnet:path"))
    reference = out / "references"
    before = {
        path.name: path.stat().st_mtime_ns for path in reference.glob("*.parquet")
    }
    tree.write_text(TREE.replace("bee,big", "bee,wet"))
    assert analyze([run], out, options_of(tree, "wordnet:path")).runs[0].read == 0
    assert {
        path.name: path.stat().st_mtime_ns for path in reference.glob("*.parquet")
    } == before
    assert_like_a_first_call(out, [run], options_of(tree, "wordnet:path"))
    analyze([run], out, options_of(tree, "wordnet:path"))
    assert_same_output(out, tmp_path / "fresh")


def test_severity_with_too_few_known_classes_has_the_reason(analyzed, tree):
    _, out = analyzed()
    tree.write_text("cat,pet\ndog,pet\n")
    analyze([out.parent / "run"], out, options_of(tree, "wordnet:path"))
    for metric in METRICS:
        rows = curve(tables(out)["curves"], "run", metric=metric)
        assert set(rows["reason"]) == {
            "2 of 8 labels are known to zoo.csv; a hierarchy needs 4 or more"
        }


def test_superclasses_of_the_label_list_are_groups_and_superclasses(analyzed, tmp_path):
    _, out = analyzed()
    above = (
        dict.fromkeys(("cat", "dog", "horse"), "tame")
        | dict.fromkeys(("frog", "bird", "bee"), "small")
        | {"lion": "big"}
    )
    rows = "".join(f"{name},{above.get(name, '')}\n" for name in ANIMALS)
    (tmp_path / "list.csv").write_text(f"name,superclass\n{rows}")
    analyze(
        [out.parent / "run"], out, Options(draws=0, labels=str(tmp_path / "list.csv"))
    )
    classes = tables(out)["classes"].sort_values("class_index")
    assert [
        group if isinstance(group, str) else None for group in classes["group"]
    ] == [above.get(name) for name in ANIMALS]
    shown = [above.get(name) for name in classes.sort_values("display_order")["name"]]
    for name in ("tame", "small"):
        at = [k for k, one in enumerate(shown) if one == name]
        assert at == list(range(at[0], at[0] + 3))
    row = curve(tables(out)["curves"], "run", metric="superclass_accuracy").loc[2]
    counts, names = (
        stored_counts(out, "run", 2),
        np.array([above.get(name, name) for name in ANIMALS]),
    )
    assert row["value"] == pytest.approx(
        (counts * (names[:, None] == names)).sum() / counts.sum()
    )
    assert row["reference"] == "list-superclasses"
    (tmp_path / "list.csv").write_text(
        f"name,superclass\n{rows.replace('lion,big', 'lion,tame')}"
    )
    for folder in (out, tmp_path / "fresh"):
        analyze(
            [out.parent / "run"],
            folder,
            Options(draws=0, labels=str(tmp_path / "list.csv")),
        )
    assert_same_output(out, tmp_path / "fresh")


def test_resolve_labels_uses_superclasses_to_choose_senses():
    names = ("crane", "heron", "stork", "ostrich")
    for above, synset in (
        (None, "crane.n.05"),
        (("lifting devices", "bird", "bird", "bird"), "crane.n.04"),
    ):
        assert (
            class_labels.resolve_labels(
                LabelList(names, None, "the test", superclasses=above)
            )
            .resolutions[0]
            .synset
            == synset
        )


def test_analyze_with_another_part_of_speech_equals_a_first_call(make_run, tmp_path):
    run, out = (
        make_run(
            labels=("run", "swim", "eat", "drink", "sleep", "jump", "climb", "throw")
        ),
        tmp_path / "out",
    )
    analyze([run], out, QUICK)
    analyze([run], out, Options(draws=0, pos="verb"))
    assert_like_a_first_call(out, [run], Options(draws=0, pos="verb"))
    assert (
        tables(out)["classes"]
        .sort_values("class_index")["wnid"]
        .str.match(r"v\d{8}")
        .all()
    )
    rows = curve(tables(out)["curves"], "run", of="ncsm,scsm")
    assert set(rows["reference"]) == {"wordnet3.0-verb-path"}
    assert rows.loc[rows["variant"] != "ssim", "value"].notna().all()


def test_resolve_labels_doubts_no_sense_of_most_classes_of_a_preset():
    labels = LabelList(load_preset("coco80").names[1:], None, "the test")
    assert {
        row.resolved_by for row in class_labels.resolve_labels(labels).resolutions
    } == {"preset"}


def test_resolve_labels_of_a_preset_as_verbs_fails():
    with raises("preset-needs-nouns", UsageError, preset="cifar10", pos="verb"):
        class_labels.resolve_labels(
            load_preset("cifar10"), wordnet=load_wordnet("verb")
        )


def test_find_labels_that_contradict_the_file_of_the_run_warns(make_run, tmp_path):
    run, other = make_run(), tmp_path / "tools.txt"
    (run / "classes.txt").write_text("\n".join(ANIMALS))
    other.write_text(
        "\n".join(
            ["hammer", "saw", "drill", "file", "wrench", "chisel", "plane", "vise"][
                : len(ANIMALS)
            ]
        )
    )
    given = Options(labels=str(other), draws=0)
    found = noticed(analyze([run], tmp_path / "out", given))
    assert found["labels-of-other-classes"]["labels"] == ["cat", "dog"]
    (run / "classes.txt").write_text("\n".join(name.upper() for name in ANIMALS))
    other.write_text("\n".join(ANIMALS))
    assert noticed(analyze([run], tmp_path / "out2", given)) == {}


PRESETS = (
    "cifar10",
    "cifar100",
    "fashion-mnist",
    "coco80",
    "mini-imagenet",
    "imagenet1k",
)


def way_up(taxonomy, node):
    """Return a node and all above it in the display tree, by the rule's words: the
    deepest parent, the first of equals.
    """
    way = [int(node)]
    while parents := taxonomy.parents_of(way[-1]):
        deepest = max(int(taxonomy.depths[parent]) for parent in parents)
        way.append(
            next(parent for parent in parents if taxonomy.depths[parent] == deepest)
        )
    return way


@pytest.mark.parametrize("seed", range(12))
def test_no_other_set_of_hypernyms_says_more(seed):
    rng = np.random.default_rng(seed)
    taxonomy = random_taxonomy(rng, 14)
    nodes = rng.integers(4, 14, 9)
    ways = [way_up(taxonomy, node) for node in nodes]
    holds = {
        int(v): frozenset(k for k, way in enumerate(ways) if v in way)
        for v in ancestors(taxonomy, nodes)
    }
    able = {
        held
        for held in holds.values()
        if len(held) >= 2 and 0.03 <= len(held) / 9 <= 0.4
    }
    sets = chain.from_iterable(combinations(able, size) for size in range(5))
    apart = [one for one in sets if sum(map(len, one)) == len(frozenset().union(*one))]
    most = max(
        sum(-len(held) / 9 * log(len(held) / 9) for held in one) for one in apart
    )

    found = find_groups(nodes, taxonomy)
    chosen = {
        group: frozenset(k for k, one in enumerate(found) if one == group)
        for group in set(found) - {None}
    }
    assert all(holds[group] == held for group, held in chosen.items())
    assert all(set(way_up(taxonomy, a)) & chosen.keys() == {a} for a in chosen)
    assert set(chosen.values()) <= able
    assert sum(
        -len(held) / 9 * log(len(held) / 9) for held in chosen.values()
    ) == pytest.approx(most, abs=1e-12)


@pytest.mark.parametrize("preset", PRESETS)
def test_groups_hold_3_to_40_percent_and_stand_together(preset):
    nodes = preset_nodes(preset)
    found = find_groups(nodes)
    sizes = {group: found.count(group) for group in set(found) - {None}}
    assert len(sizes) >= 2
    assert all(
        max(2, 0.03 * len(nodes)) <= size <= 0.4 * len(nodes) for size in sizes.values()
    )
    shown = [found[place] for place in taxonomy_order(nodes)]
    starts = [
        group
        for before, group in zip([None, *shown], shown, strict=False)
        if group not in (None, before)
    ]
    assert sorted(starts) == sorted(sizes)
    assert all(
        group in ancestors(load(), np.array([node]))
        for node, group in zip(nodes, found, strict=True)
        if group
    )


def test_cifar10_has_beasts_of_prey_hoofed_animals_craft_and_motor_vehicles():
    groups = [
        None if group is None else load().names[group]
        for group in find_groups(preset_nodes("cifar10"))
    ]
    assert dict(zip(load_preset("cifar10").names, groups, strict=True)) == {
        **dict.fromkeys(("cat", "dog"), "carnivore.n.01"),
        **dict.fromkeys(("deer", "horse"), "ungulate.n.01"),
        **dict.fromkeys(("airplane", "ship"), "craft.n.02"),
        **dict.fromkeys(("automobile", "truck"), "motor_vehicle.n.01"),
        **dict.fromkeys(("bird", "frog")),
    }


def test_the_deepest_of_hypernyms_with_the_same_classes_gives_the_name():
    """Sparrow, robin and eagle share bird; vertebrate, chordate and so on hold no other
    class.
    """
    nodes = [
        load().node(f"{name}.n.01")
        for name in ("sparrow", "eagle", "car", "tulip", "rose")
    ]
    assert [None if one is None else load().names[one] for one in find_groups(nodes)][
        :3
    ] == [
        "bird.n.01",
        "bird.n.01",
        None,
    ]
