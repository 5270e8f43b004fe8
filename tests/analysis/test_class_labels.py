"""A person's mapping file: which class means what, and everything that can be wrong
with it.
"""

import pytest

from dsi_cli.analysis.semantics import class_labels, wordnet_matrix
from dsi_cli.errors import UsageError
from dsi_cli.labels.label_list import LabelList

ANIMALS = LabelList(("crane", "dog", "crane", "cat"), None, "animals.txt")


@pytest.fixture
def write(tmp_path):
    def written(text, encoding="utf-8"):
        path = tmp_path / "map.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("index,name,synset\n0,crane,crane.n.04\n3,cat,\n", {0: "crane.n.04", 3: ""}),
        ("name,synset\ndog,dog.n.01\n\n", {1: "dog.n.01"}),
        ("name,wnid\ncrane,n02012849\n", {0: "n02012849", 2: "n02012849"}),
        ("index;synset;note\n1;n02084071;mine\n", {1: "n02084071"}),
        ("Index\tName\tSynset\n1\tdog\t dog.n.01 \n", {1: "dog.n.01"}),
        (
            "index,name,synset,wnid,confidence,reason\n2,crane,crane.n.05,n02012849,0.5,why\n",
            {2: "crane.n.05"},
        ),
        ("index,name,synset,wnid\n2,crane,,n02012849\n", {2: ""}),
        ("index,name,synset\n3\n", {3: ""}),
    ],
)
def test_read_mapping_returns_the_chosen_senses(write, text, expected):
    assert class_labels.read_choices(write(text), ANIMALS) == expected


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_any_usual_encoding_is_read(write, encoding):
    labels = LabelList(("café", "dog"), None, "l.txt")
    assert class_labels.read_choices(
        write("name,synset\ncafé,cafe.n.01\n", encoding), labels
    ) == {0: "cafe.n.01"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name,synset\ncot,cat.n.01\n",
            r"map.csv, line 2: there is no class 'cot'; try 'cat'$",
        ),
        (
            "name,synset\nzebra,zebra.n.01\n",
            "line 2: there is no class 'zebra'; the labels are those of animals.txt$",
        ),
        (
            "index,synset\n4,cat.n.01\n",
            "line 2: there is no class '4'; the labels are 0 to 3$",
        ),
        ("index,synset\n-1,cat.n.01\n", "there is no class '-1'"),
        ("index,name,synset\n1,cat,cat.n.01\n", "line 2: class 1 is 'dog', not 'cat'"),
        (
            "index,synset\n1,dog.n.01\n1,dog.n.01\n",
            r"line 3: class 1 \('dog'\) comes twice; delete one line$",
        ),
        (
            "index,synset\n1,n99999999\n",
            "line 2: 'n99999999' is not in WordNet 3.0; it may be from another version",
        ),
        (
            "index,synset\n1,dog.n.09\n",
            "line 2: 'dog.n.09' is not in WordNet 3.0, which has 7 noun senses",
        ),
        ("index,synset\n1,run.v.01\n", "line 2: 'run.v.01' is no noun"),
        (
            "index,synset\n1,dog\n",
            (
                r"line 2: 'dog' is not an id; expected a WordNet 3.0 id \(n02084071\),"
                r" a synset name"
            ),
        ),
        (
            "index,synset,wnid\n1,wolf.n.01,n02121620\n",
            "line 2: wolf.n.01 and n02121620 are different nouns; correct one",
        ),
        (
            "class,synset\n1,dog.n.01\n",
            "expected a mapping .*, found the columns 'class', 'synset'$",
        ),
        (
            "index,name\n1,dog\n",
            "expected a mapping .*, found the columns 'index', 'name'$",
        ),
        ("", "expected a mapping .*, found an empty file"),
    ],
)
def test_read_mapping_of_a_wrong_file_names_the_line(write, text, message):
    with pytest.raises(UsageError, match=message):
        class_labels.read_choices(write(text), ANIMALS)


@pytest.mark.parametrize(
    ("row", "decides"),
    [
        (
            "wolf.n.01,n02084071",
            "wolf.n.01",
        ),  # the id is that of dog.n.01, as it was written
        ("dog.n.01,n02114100", "n02114100"),  # the name is
        ("n02114100,n02084071", "n02114100"),
        (",n02084071", ""),
        ("dog.n.01,", "dog.n.01"),
        ("wolf.n.01,n02114100", "wolf.n.01"),
        (",", ""),
    ],
)
def test_read_mapping_of_two_columns_uses_the_edited_one(row, decides, write):
    assert class_labels.read_choices(
        write(f"index,name,synset,wnid\n1,dog,{row}\n"), ANIMALS
    ) == {1: decides}


def test_the_written_mapping_can_be_edited_and_given_back(tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("crane\nheron\nelefant\naquarium_fish\n", encoding="utf-8")
    path = tmp_path / "map.csv"
    wordnet_matrix.write_map(wordnet_matrix.resolve_label_list(str(labels)), path)
    text = (
        path.read_text(encoding="utf-8")
        .replace("crane.n.05,n02012849", "crane.n.04,")
        .replace("2,elefant,", "2,elefant,elephant.n.01")
    )
    path.write_text(text, encoding="utf-8")
    found = wordnet_matrix.resolve_label_list(str(labels), path).resolutions
    assert [one.synset for one in found] == [
        "crane.n.04",
        "heron.n.02",
        "elephant.n.01",
        "fish.n.01",
    ]
    assert {one.resolved_by for one in found} == {"map"}
    assert not any(one.is_uncertain for one in found)
