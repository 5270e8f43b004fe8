"""Several references in one run: the forms of the option, the rows and the matrix of
each, and what later calls keep.
"""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.errors import raises
from helpers.outputs import ANIMALS, assert_like_a_first_call, curve, stored, tables
from numpy.testing import assert_allclose, assert_array_equal

from dsi_cli import wordnet_csm
from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.semantics import references, wordnet_matrix
from dsi_cli.analysis.semantics.class_labels import resolve_labels, without_labels
from dsi_cli.analysis.semantics.hierarchy import open_taxonomy
from dsi_cli.errors import UsageError
from dsi_cli.labels.label_list import LabelList
from dsi_cli.queries import curve_panels, epoch_summary, quantities
from dsi_cli.store.results import Results
from dsi_cli.wordnet.database.taxonomy import ancestors, load
from dsi_cli.wordnet.similarity import measures

ROOT = Path(__file__).parents[2]
TREE = (
    "child,parent\ncat,pet\ndog,pet\nhorse,hoofed\nfrog,wet\nwhale,wet\nlion,wild\n"
    "pet,animal\nhoofed,animal\nwet,animal\nwild,animal\n"
)


def labels_of(*words):
    return resolve_labels(LabelList(words or ANIMALS, None, "the test"))


def quick(*specs, taxonomy=None):
    return Options(
        draws=0,
        references=specs or ("path",),
        taxonomy=None if taxonomy is None else str(taxonomy),
    )


@pytest.fixture
def human(tmp_path):
    """Return a matrix of the eight animals as a file, and its values."""
    values = np.random.default_rng(5).random((8, 8))
    values = (values + values.T) / 2
    pd.DataFrame(values, index=list(ANIMALS), columns=list(ANIMALS)).to_csv(
        tmp_path / "human views.csv"
    )
    return tmp_path / "human views.csv", values


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "zoo.csv").write_text(TREE)
    return tmp_path / "zoo.csv"


@pytest.fixture
def counts(tmp_path):
    """Return an information content file that knows cat, dog and car."""
    graph, met = load(), {"dog": 10, "cat": 20, "car": 70}
    found: Counter[int] = Counter()
    for word, count in met.items():
        found.update(
            dict.fromkeys(
                ancestors(graph, np.array([graph.node(f"{word}.n.01")])).tolist(), count
            )
        )
    lines = [
        f"{graph.offsets[node]}n {count}{' ROOT' * (count == 100 and node == 0)}"
        for node, count in found.items()
    ]
    (tmp_path / "ic-few.dat").write_text("\n".join(["wnver::x", *lines]))
    return tmp_path / "ic-few.dat"


def test_open_references_names_each_form(human, tree, counts):
    specs = ["path", "wup", "lch", f"res:{counts}", f"jcn:{counts}", str(human[0])]
    assert [source.name for source in references.open_references(specs, None)] == [
        "wordnet3.0-path",
        "wordnet3.0-wup",
        "wordnet3.0-lch",
        "wordnet3.0-res-ic-few",
        "wordnet3.0-jcn-ic-few",
        "human-views",
    ]
    found = references.open_references(
        ["path", "wordnet:path", "wup"], open_taxonomy(str(tree))
    )
    assert [source.name for source in found] == [
        "zoo-path",
        "wordnet3.0-path",
        "zoo-wup",
    ]
    for measure in (f"lin:{counts}", "wordnet:path"):
        with raises("options-conflict", UsageError):
            wordnet_csm(ANIMALS, measure, tree)


@pytest.mark.parametrize(
    "spec", ["paths", "res", "res:", "wordnet:res", "matrix.txt", "", "wordnet:"]
)
def test_open_references_of_an_unknown_form_fails(spec):
    with raises("unknown-reference", UsageError, reference=spec):
        references.open_references([spec], None)


@pytest.mark.parametrize("kind", ["wup", "lch", "path"])
def test_for_labels_has_nan_for_unknown_classes(kind):
    (source,) = references.open_references([kind], None)
    found = source.for_labels(
        labels_of("cat.n.01", "blorb", "dog.n.01", "oak.n.01", "car.n.01")
    )
    nodes, at = (
        [load().node(f"{word}.n.01") for word in ("cat", "dog", "oak", "car")],
        [0, 2, 3, 4],
    )
    assert_array_equal(
        found.dense[np.ix_(at, at)],
        measures.BY_TAXONOMY[kind](nodes, None).astype(np.float32),
    )
    assert np.isnan(found.dense[1]).all()
    assert np.isnan(found.dense[:, 1]).all()
    assert found.reason_missing is None


def test_for_labels_has_nan_for_classes_without_information_content(counts):
    (source,) = references.open_references([f"res:{counts}"], None)
    found = source.for_labels(labels_of("dog", "cat", "rock", "car"))
    assert_array_equal(np.isnan(np.diagonal(found.dense)), [False, False, True, False])
    assert (
        found.reason_missing
        == "3 of 4 labels are known to ic-few.dat; an alignment needs 4 or more"
    )
    assert found.dense[0, 1] == np.float32(-np.log(30 / 100))


def test_for_labels_replaces_infinities_by_the_largest_value(counts):
    """Jiang and Conrath's similarity of a class with itself, and of two classes of one
    synset, is infinite.
    """
    (source,) = references.open_references([f"jcn:{counts}"], None)
    found = source.for_labels(labels_of("dog", "cat", "dog.n.01", "car")).dense
    assert np.isfinite(found).all()
    assert (
        found[0, 2] == found[0, 0] == found.max() == found[[0, 0, 1], [1, 3, 3]].max()
    )


def test_for_labels_without_labels_gives_the_reason(human):
    for source in references.open_references(["wup", str(human[0])], None):
        found = source.for_labels(without_labels(8))
        assert (
            found.reason_missing == "no labels; add --labels FILE, or --labels PRESET"
        )
        assert np.isnan(found.dense).all()


def test_analyze_with_several_references_writes_rows_and_a_matrix_of_each(
    make_run, human, tmp_path
):
    out, (path, values) = tmp_path / "out", human
    summary = analyze([make_run()], out, quick("wup", "path", str(path)))
    names = ["wordnet3.0-wup", "wordnet3.0-path", "human-views"]
    assert summary.runs[0].references == Results(out).references() == names
    curves = tables(out)["curves"]
    semantic = curves.query("of == 'ncsm,scsm'")
    assert set(semantic["reference"]) == set(names)
    for _, rows in semantic.groupby(["reference", "epoch"]):
        assert sorted(rows["variant"]) == sorted(Options().measures)
    for name, matrix in zip(
        names, (wordnet_csm(ANIMALS, "wup"), wordnet_csm(ANIMALS), values), strict=True
    ):
        stored_reference = Results(out).csm("scsm", reference=name).to_numpy()
        assert_allclose(stored_reference, np.asarray(matrix), rtol=1e-6)
        (row,) = (
            curve(curves, "run", of="ncsm,scsm", reference=name, variant="pearson")
            .query("epoch == 2")
            .itertuples()
        )
        off = ~np.eye(8, dtype=bool)
        expected = np.corrcoef(
            stored(out, "run", "ncsm", 2)[off], stored_reference[off]
        )[0, 1]
        assert row.value == pytest.approx(expected, rel=1e-6)
    assert_array_equal(
        Results(out).csm("scsm"), Results(out).csm("scsm", reference=names[0])
    )
    assert set(Results(out).alignment_by_class["reference"]) == set(names)


def test_files_of_things_become_a_reference_as_the_howto_says(
    make_run, tmp_path, monkeypatch
):
    """The files have the layout of https://osf.io/z2784: an embedding without names or
    header, the names of its rows, and a table of concepts in another order.
    """
    synsets = [entry.synset for entry in labels_of().resolutions]
    known = dict(zip(ANIMALS[:-1], synsets, strict=False))  # the bee is no concept
    concepts = known | {"aardvark": "aardvark.n.01", "zipline": None}
    concepts |= {"cat2": known["cat"]}  # another concept of the same synset
    embedding = np.random.default_rng(3).random((len(concepts), 49)).round(6)
    lines = [" ".join(f"{value:.6f}" for value in row) + " \n" for row in embedding]
    (tmp_path / "spose_embedding_49d_sorted.txt").write_text("".join(lines))
    names = "".join(f"{name}\n" for name in concepts)
    (tmp_path / "unique_id.txt").write_text(names)
    table = pd.DataFrame({"Word": list(concepts), "uniqueID": list(concepts)})
    table["Wordnet ID4"] = list(concepts.values())
    table.sort_values("uniqueID").to_csv(
        tmp_path / "things_concepts.tsv", sep="\t", index=False
    )
    page = ROOT / "docs" / "howto" / "human-judgements.md"
    (code,) = re.findall(r"```text\n(import pandas.*?)```", page.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})

    out = tmp_path / "out"
    summary = analyze([make_run()], out, quick("things.csv", "path"))
    assert summary.runs[0].references[0] == "things"
    found = Results(out).csm("scsm", reference="things")
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    assert_allclose(found.iloc[:7, :7], (unit @ unit.T)[:7, :7], atol=1e-6)
    assert found.loc["bee"].isna().all()
    rows = tables(out)["curves"].query("of == 'ncsm,scsm' and reference == 'things'")
    assert set(rows["classes_used"]) == {7}


def test_partition_rows_match_the_stored_matrices(make_run, human, tmp_path):
    out, (path, _) = tmp_path / "out", human
    analyze([make_run()], out, quick("path", str(path)))
    found = quantities.curve(Results(out), "variance_partition").query("epoch == 2")
    found = found.set_index("variant")["value"]
    off = ~np.eye(8, dtype=bool)
    network = stored(out, "run", "ncsm", 2)[off]
    names = ["wordnet3.0-path", "human-views"]
    a, b = (Results(out).csm("scsm", reference=name).to_numpy()[off] for name in names)

    def r_squared(*columns):
        x = np.stack([np.ones(len(network)), *columns], axis=1)
        rest = network - x @ np.linalg.lstsq(x, network, rcond=None)[0]
        return 1 - rest.var() / network.var()

    both = r_squared(a, b)
    assert found["total"] == pytest.approx(both, abs=1e-5)
    expected = both - r_squared(b), both - r_squared(a)
    alone = found[[f"only {name}" for name in names]].tolist()
    assert alone == pytest.approx(expected, abs=1e-5)
    shared = r_squared(a) + r_squared(b) - both
    assert found[" and ".join(names)] == pytest.approx(shared, abs=1e-5)


def test_summaries_and_panels_show_the_main_reference(make_run, human, tmp_path):
    out, (path, _) = tmp_path / "out", human
    analyze([make_run()], out, quick(str(path), "path"))
    main = curve(
        tables(out)["curves"],
        "run",
        of="ncsm,scsm",
        reference="human-views",
        variant="cosine",
    )
    summary = epoch_summary.summary(Results(out))
    assert summary["value"].tolist() == main["value"].tolist()
    (panel,) = (
        panel
        for panel in curve_panels.panels(Results(out), measure="cosine")
        if panel.kind.name == "sai"
    )
    assert [one.label for one in panel.series] == [
        "SAI(NCSM, SCSM), human-views",
        "SAI(NCSM, SCSM)",
    ]
    analyze([tmp_path / "run"], out, quick("wup", str(path)))
    (panel,) = (
        panel
        for panel in curve_panels.panels(Results(out), measure="cosine")
        if panel.kind.name == "sai"
    )
    assert [one.reference for one in panel.series] == ["wordnet3.0-wup", "human-views"]


def test_analyze_with_a_custom_taxonomy_replaces_wordnet(make_run, tree, tmp_path):
    out = tmp_path / "out"
    analyze([make_run()], out, quick(taxonomy=tree))
    assert Results(out).references() == ["zoo-path"]
    matrix = Results(out).csm("scsm")
    assert matrix.loc["cat", "dog"] == pytest.approx(1 / 3)
    assert matrix.loc["cat", "whale"] == pytest.approx(1 / 5)
    assert matrix.loc[["bird", "bee"]].isna().all(axis=None)
    assert set(curve(tables(out)["curves"], "run", of="ncsm,scsm")["classes_used"]) == {
        6
    }


@pytest.mark.parametrize("second", ["changed", "fewer", "more", "order"])
def test_analyze_with_other_references_equals_a_first_call(
    make_run, human, tmp_path, second
):
    run, out, (path, values) = make_run(), tmp_path / "out", human
    analyze([run], out, quick("path", str(path)))
    if second == "changed":
        pd.DataFrame(values**2, index=list(ANIMALS), columns=list(ANIMALS)).to_csv(path)
    asked = {
        "changed": ("path", path),
        "fewer": ("path",),
        "more": ("path", path, "lch"),
        "order": (path, "path"),
    }[second]
    analyze([run], out, quick(*map(str, asked)))
    assert_like_a_first_call(out, [run], quick(*map(str, asked)))


def test_analyze_keeps_the_references_of_another_run(make_run, tmp_path):
    first, second, out = make_run("a"), make_run("b", seed=1), tmp_path / "out"
    analyze([first], out, quick("wup"))
    analyze([second], out, quick("lch"))
    assert (Results(out).references("a"), Results(out).references("b")) == (
        ["wordnet3.0-wup"],
        ["wordnet3.0-lch"],
    )
    assert Results(out).csm("scsm", run="a").loc["cat", "dog"] == pytest.approx(
        wordnet_csm(ANIMALS, "wup").loc["cat", "dog"]
    )


def test_wordnet_command_takes_a_measure(dsi, tmp_path):
    (tmp_path / "l.txt").write_text("cat\ndog\ncar\n")
    ended = dsi(
        "wordnet",
        tmp_path / "l.txt",
        "--measure",
        "wup",
        "-o",
        tmp_path / "m.parquet",
        "--json",
    )
    assert (ended.code, len(json.loads(ended.out)["labels"])) == (0, 3)
    table = pd.read_parquet(tmp_path / "m.parquet")
    assert set(table["reference"]) == {"wordnet3.0-wup"}
    assert table["similarity"][0][1] == pytest.approx(0.857, abs=1e-3)


def test_curves_of_and_phases_use_the_main_reference(make_run, human, tmp_path):
    out = tmp_path / "out"
    run = make_run()
    analyze([run], out, quick(str(human[0]), "path"))
    analyze([run], tmp_path / "alone", quick(str(human[0])))
    rows = Results(out).curves_of("run")
    rows = rows[rows["metric"] != "variance_partition"]
    assert set(rows.loc[rows["of"] == "ncsm,scsm", "reference"]) == {"human-views"}
    assert len(rows) == len(Results(tmp_path / "alone").curves)
    pd.testing.assert_frame_equal(
        *(
            pd.read_parquet(folder / "phases.parquet")
            for folder in (out, tmp_path / "alone")
        )
    )


NAMES = ("cat", "dog", "oak", "car", "zebra crossing")


@pytest.fixture
def matrix():
    values = np.random.default_rng(0).random((5, 5))
    return (values + values.T) / 2


@pytest.fixture
def labels():
    return labels_of(*NAMES)


def frame(matrix, names=NAMES):
    return pd.DataFrame(
        matrix, index=pd.Index(names, name="class"), columns=list(names)
    )


def saved(matrix, path):
    """Save a matrix as the file's suffix says, named unless it is NPY."""
    if path.suffix == ".npy":
        np.save(path, matrix)
    elif path.suffix.lower() == ".csv":
        frame(matrix).to_csv(path)
    else:
        frame(matrix).reset_index().to_parquet(path)
    return path


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.npy", "M.CSV"])
def test_read_matrix_reads_each_format(matrix, labels, tmp_path, name):
    assert_allclose(
        references.read_matrix(saved(matrix, tmp_path / name)).for_labels(labels),
        matrix,
        rtol=1e-12,
    )


@pytest.mark.parametrize("has_index", [True, False])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_for_labels_orders_by_name_and_ignores_other_names(
    matrix, labels, tmp_path, suffix, has_index
):
    order, path = [3, 0, 4, 2, 1], tmp_path / f"m.{suffix}"
    moved = frame(matrix).iloc[order, order]
    (
        moved.to_csv(path, index=has_index)
        if suffix == "csv"
        else moved.reset_index(drop=not has_index).to_parquet(path)
    )
    assert_allclose(references.read_matrix(path).for_labels(labels), matrix)
    assert_allclose(
        references.read_matrix(path).for_labels(labels_of("oak", "cat")),
        matrix[np.ix_([2, 0], [2, 0])],
    )


@pytest.mark.parametrize("name", [None, "class", "index"])
def test_read_matrix_takes_the_names_of_a_pandas_index(matrix, labels, tmp_path, name):
    table = frame(matrix).iloc[[4, 2, 0, 1, 3]].rename_axis(name)
    table.to_parquet(tmp_path / "m.parquet")
    assert_allclose(
        references.read_matrix(tmp_path / "m.parquet").for_labels(labels), matrix
    )


def test_for_labels_accepts_synsets_and_ids_as_names(matrix, labels, tmp_path):
    frame(matrix, ("cat.n.01", "n02084071", "oak", "car", "zebra crossing")).to_csv(
        tmp_path / "m.csv"
    )
    assert_allclose(
        references.read_matrix(tmp_path / "m.csv").for_labels(labels), matrix
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_read_matrix_without_names_keeps_the_order(matrix, labels, tmp_path, suffix):
    table = pd.DataFrame(matrix, columns=[f"c{k}" for k in range(5)])
    path = tmp_path / f"m.{suffix}"
    (
        table.to_csv(path, header=False, index=False)
        if suffix == "csv"
        else table.to_parquet(path)
    )
    assert_allclose(references.read_matrix(path).for_labels(labels), matrix)


def test_read_matrix_reads_the_table_of_dsi_wordnet(labels, tmp_path):
    (opened,) = references.open_references(["wup"], None)
    wordnet_matrix.write_blocks(
        wordnet_matrix.reference_tables(labels, None, opened),
        tmp_path / "m.parquet",
        opened,
    )
    found = references.read_matrix(tmp_path / "m.parquet").for_labels(labels)
    assert_array_equal(found.astype(np.float32), opened.for_labels(labels).dense)


@pytest.mark.parametrize("gap", [np.nan, ""])
def test_read_matrix_with_an_empty_row_and_column_lacks_the_class(
    matrix, labels, tmp_path, gap
):
    table = frame(matrix).astype(object)
    table.iloc[2], table.iloc[:, 2] = gap, gap
    table.to_csv(tmp_path / "m.csv")
    found = references.read_matrix(tmp_path / "m.csv").for_labels(labels)
    assert_array_equal(np.isnan(np.diagonal(found)), [False, False, True, False, False])


@pytest.mark.parametrize("itself", [np.nan, np.inf])
def test_read_matrix_fills_an_empty_or_infinite_diagonal(
    matrix, labels, tmp_path, itself
):
    np.fill_diagonal(matrix, itself)
    found = references.read_matrix(saved(matrix, tmp_path / "m.npy"))
    assert_array_equal(
        np.diagonal(found.for_labels(labels)), matrix[~np.eye(5, dtype=bool)].max()
    )


@pytest.mark.parametrize(
    ("places", "value", "code", "fields"),
    [
        ([(1, 3)], 9.0, "reference-not-symmetric", {"classes": ("'dog'", "'car'")}),
        # NLTK's jcn of a class and itself
        (
            [(1, 3), (4, 4)],
            [9.0, 1e300],
            "reference-not-symmetric",
            {"classes": ("'dog'", "'car'")},
        ),
        ([(0, 2)], np.nan, "reference-not-finite", {"classes": ("'cat'", "'oak'")}),
        (
            [(0, 2), (2, 0)],
            np.inf,
            "reference-not-finite",
            {"classes": ("'cat'", "'oak'")},
        ),
        ([(k, k) for k in range(5)], 0.0, "reference-of-distances", {}),
    ],
)
def test_read_matrix_with_invalid_values_names_the_classes(
    matrix, tmp_path, places, value, code, fields
):
    matrix[tuple(zip(*places, strict=True))] = value
    with raises(code, UsageError, **fields):
        references.read_matrix(saved(matrix, tmp_path / "m.csv"))


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "class,a,b\na,1,2\n",
            "invalid-reference",
            "could not convert string to float: 'class'",
        ),
        ("1,2\n3\n", "invalid-reference", "its rows differ in length"),
        ("1,2,3\n2,1,3\n", "reference-not-square", "2 x 3"),
        ("class,a,a\na,1,2\na,2,1\n", "duplicate-name", "'a'"),
        (
            "class,a,b\na,1,2\nc,2,1\n",
            "invalid-reference",
            "'b' is not in the first row as often as",
        ),
        (
            "class,a,a,b\na,1,2,3\nb,2,1,3\nb,3,3,1\n",
            "invalid-reference",
            "'a' is not in the first row as often as",
        ),
        (
            "class,a,b\na,1,two\nb,2,1\n",
            "invalid-reference",
            "could not convert string to float: 'two'",
        ),
        ("", "reference-not-square", "is 0;"),
    ],
)
def test_read_matrix_of_an_invalid_file_fails(tmp_path, text, code, message):
    (tmp_path / "m.csv").write_text(text)
    with raises(code, UsageError) as caught:
        references.read_matrix(tmp_path / "m.csv")
    assert message in str(caught.value)


def test_for_labels_with_another_number_of_classes_or_unknown_ones_fails(
    matrix, tmp_path
):
    found = references.read_matrix(saved(matrix, tmp_path / "m.npy"))
    with raises("wrong-reference-size", UsageError, size=(5, 5), classes=2):
        found.for_labels(labels_of("cat", "dog"))
    found = references.read_matrix(saved(matrix, tmp_path / "m.csv"))
    with raises(
        "class-not-in-reference", UsageError, names=["frog", "bee", "ant", "fly"]
    ) as caught:
        found.for_labels(labels_of("cat", "frog", "bee", "ant", "fly"))
    assert "'frog', 'bee', 'ant' and 1 more" in str(caught.value)


@pytest.mark.parametrize("name", ["m.csv", "m.parquet", "m.npy"])
def test_read_matrix_of_a_missing_or_damaged_file_fails(tmp_path, name):
    with raises("unreadable-reference", UsageError, path=str(tmp_path / name)):
        references.read_matrix(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xff\x00damaged")
    with raises("invalid-reference", UsageError, path=str(tmp_path / name)):
        references.read_matrix(tmp_path / name)


def test_read_matrix_does_not_run_a_pickle_in_an_npy(tmp_path):
    np.save(tmp_path / "m.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with raises("invalid-reference", UsageError):
        references.read_matrix(tmp_path / "m.npy")


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_embedding_gives_the_cosines_of_its_rows(tmp_path, header, suffix):
    rows = np.random.default_rng(0).normal(size=(6, 3))
    labels = labels_of("cat", "dog", "oak", "car", "rock", "horse")
    cat, oak = labels.resolutions[0].wnid, labels.resolutions[2].synset
    names = [oak, cat, "unknown thing", "dog", "car", "horse"]
    file = tmp_path / f"things.{suffix}"
    frame_of_rows = pd.DataFrame(rows, columns=["d1", "d2", "d3"])
    frame_of_rows.insert(0, "name", names)
    if suffix == "parquet":
        frame_of_rows.to_parquet(file, index=False)
    else:
        frame_of_rows.to_csv(file, index=False, header=header)
    (source,) = references.open_references([str(file)])
    found = source.for_labels(labels)
    assert found.classes.tolist() == [0, 1, 2, 3, 5]
    places = [names.index(name) for name in (cat, "dog")]
    a, b = rows[places]
    expected = a @ b / np.sqrt((a @ a) * (b @ b))
    assert found.dense[0, 1] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(found.dense[4]).all()
    (noticed,) = references.facts([source], labels)
    assert noticed.code == "classes-not-in-reference"
    assert (noticed.fields["labels"], noticed.fields["classes"]) == (["rock"], 6)
