"""Label files that number their classes, as people write them: the numbers decide the
order, or the file is refused.
"""

import json
import pprint
import random

import pandas as pd
import pytest
import yaml

from dsi_cli.errors import UsageError
from dsi_cli.labels.files import read_labels

NAMES = (
    "apple",
    "bear",
    "cat",
    "dolphin",
    "eagle",
    "fox",
    "goat",
    "horse",
    "iguana",
    "jaguar",
    "kangaroo",
    "T-shirt, top",
)
"""Twelve classes, so that 10 and 11 sort before 2 as text, and one of them has a comma.
"""
NUMBERED = list(enumerate(NAMES))
FROM_ONE = list(enumerate(NAMES, 1))
AS_TEXT = sorted(NUMBERED, key=lambda pair: str(pair[0]))
SHUFFLED = random.Random(3).sample(NUMBERED, len(NUMBERED))


def lines(pairs, form):
    return "".join(form.format(number, name) + "\n" for number, name in pairs)


def csv(first, second, pairs=SHUFFLED, **options):
    """Return a table of numbers and names as pandas writes it; the two columns are told
    apart by what they are called.
    """
    frame = pd.DataFrame(pairs, columns=["number", "name"])
    frame = (
        frame[["number", "name"]]
        if first.startswith("#")
        else frame[["name", "number"]]
    )
    frame.columns = [first.lstrip("#"), second.lstrip("#")]
    return frame.to_csv(index=False, **options)


FILES = {
    **{
        f"columns {names}": (".csv", csv(*names.split(",")))
        for names in (
            *(
                "#class_id,name",
                "#label,name",
                "#number,class",
                "#class,label",
                "class,#label",
                "class_name,#class_id",
            ),
            *("#Class_Index,Class_Name", "#ClassId,SignName", "Class Name,#Class ID"),
        )
    },
    "numbers of pandas with a missing one": (
        ".csv",
        csv("#class_id", "name").replace("\n3,", "\n3.0,"),
    ),
    "all quoted": (".csv", csv("#class_id", "name", quoting=1)),
    "semicolons": (".csv", csv("#class_id", "name", sep=";")),
    "tabs": (".tsv", csv("name", "#label", sep="\t")),
    "a byte order mark": (".csv", "\ufeff" + csv("#class_id", "name")),
    "Windows' line ends": (".csv", csv("#class_id", "name", lineterminator="\r\n")),
    "the index of pandas beside": (
        ".csv",
        pd.DataFrame(SHUFFLED, columns=["class_id", "name"]).to_csv(),
    ),
    "no header": (".csv", csv("#x", "y", header=False)),
    "no header, names first": (".csv", csv("x", "#y", header=False)),
    **{
        f"sorted as text, {form}": (".txt", lines(AS_TEXT, form))
        for form in ("{} {}", "{}: {}", "{},{}")
    },
    **{
        form: (".txt", lines(SHUFFLED, form))
        for form in ("{}\t{}", "{}. {}", "{}) {}", "{} -> {}", "{} - {}")
    },
    **{
        form: (".txt", lines(SHUFFLED, form))
        for form in ("{1} => {0}", "{1} {0}", "{1}\t{0}", "Class {}: {}")
    },
    "quoted lines": (".txt", lines(SHUFFLED, '"{}": "{}",')),
    "a list in Markdown below a comment": (
        ".txt",
        "# twelve classes\n" + lines(NUMBERED, "- {1}"),
    ),
    "a comma after each name": (".txt", lines(NUMBERED, "{1},")),
    "lines under a header": (".txt", "label\tname\n" + lines(SHUFFLED, "{}\t{}")),
    "a Python list": (".txt", repr(list(NAMES))),
    "a Python list that is assigned": (".py", f"CLASSES = {NAMES!r}\n"),
    "a Python dict": (".txt", pprint.pformat(dict(SHUFFLED), sort_dicts=False)),
    "a Python dict by name": (
        ".txt",
        repr({name: number for number, name in SHUFFLED}),
    ),
    "JSON by number": (".json", json.dumps(dict(SHUFFLED))),
    "JSON by name": (".json", json.dumps({name: number for number, name in SHUFFLED})),
    "JSON objects": (
        ".json",
        json.dumps(
            {"info": 1, "categories": [{"id": k, "name": name} for k, name in SHUFFLED]}
        ),
    ),
    "JSON below one key, with a comma too many": (
        ".json",
        json.dumps({"data": {"labels": NAMES}}).replace("]", ",]"),
    ),
    "YAML names as a list": (".yaml", yaml.safe_dump({"nc": 12, "names": list(NAMES)})),
    "YAML names as a map": (
        ".yaml",
        yaml.safe_dump({"path": "data", "names": dict(SHUFFLED)}),
    ),
    "YAML by name": (
        ".yml",
        yaml.safe_dump({name: number for number, name in SHUFFLED}),
    ),
    "a YAML list": (".yml", yaml.safe_dump(list(NAMES), default_flow_style=True)),
}


@pytest.fixture
def read(tmp_path):
    def read(suffix, text):
        path = tmp_path / f"labels{suffix}"
        path.write_text(text, encoding="utf-8")
        return read_labels(path)

    return read


@pytest.mark.parametrize("shape", FILES)
def test_labels_of_every_shape_come_in_the_order_of_their_numbers(shape, read):
    labels = read(*FILES[shape])
    assert labels.names == NAMES
    assert "numbered from 1" not in labels.source


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".csv", csv("#class_id", "name", random.Random(4).sample(FROM_ONE, 12))),
        (".txt", lines(reversed(FROM_ONE), "{} {}")),
        (".json", json.dumps(dict(FROM_ONE))),
        (".yaml", yaml.safe_dump({"names": dict(FROM_ONE)})),
        (".txt", repr(dict(FROM_ONE))),
    ],
)
def test_numbers_from_one_are_read_and_the_source_says_so(suffix, text, read):
    labels = read(suffix, text)
    assert labels.names == NAMES
    assert (
        labels.source
        == f"labels{suffix} (numbered from 1: its 1 is class 0, its 12 is class 11)"
    )


def test_read_labels_moves_ids_and_superclasses_with_the_number(read):
    labels = read(
        ".csv",
        "number,name,wnid,superclass\n1,dog,n02084071,pet\n0,rock,,\n2,cat,n02121620,pet\n",
    )
    assert labels.names == ("rock", "dog", "cat")
    assert labels.wnids == (None, "n02084071", "n02121620")
    assert labels.superclasses == (None, "pet", "pet")
    assert read(".txt", "1 n02084071 dog\n0 n02121620 cat\n").wnids == (
        "n02121620",
        "n02084071",
    )
    assert read(".csv", "1,n02084071,dog\n0,n02121620,cat\n").wnids == (
        "n02121620",
        "n02084071",
    )


@pytest.mark.parametrize(
    "names",
    [
        ("7up", "cola", "2 door car"),
        ("2 door car", "4 door car", "truck"),
        ("1 euro coin", "2 euro coin", "50 cent coin"),
        ("stage 1", "stage 2", "stage 3"),
        ("1 door", "2 door", "3 door"),
        ("Boeing 747", "Boeing 737", "Airbus 320"),
        ("no", "1e3", "null"),
    ],
)
def test_real_names_with_digits_are_kept(names, read):
    for suffix, text in (
        (".txt", "\n".join(names)),
        (".json", json.dumps(names)),
        (".csv", "name\n" + "\n".join(names)),
    ):
        assert read(suffix, text).names == names
    assert (
        read(".yaml", "names:\n" + "".join(f"- {name}\n" for name in names)).names
        == names
    )


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (
            ".csv",
            "index,target,name\n0,2,apple\n1,0,bear\n2,1,cat\n",
            (
                "found two orders of the classes: 'apple', 'bear', 'cat' by the column"
                " 'index' or 'bear', 'cat', 'apple' by the column 'target'; delete one"
                " of the two columns"
            ),
        ),
        (
            ".txt",
            "0 apple 1\n1 bear 0\n",
            (
                "found two numbers in each line that give different orders: 'apple 1',"
                " 'bear 0'"
            ),
        ),
        (
            ".txt",
            "1.apple\n0.bear\n2.cat\n",
            "found names with numbers whose order is not that",
        ),
        (
            ".json",
            '["1 bear", "0 apple"]',
            (
                "found a list whose order is not that of the numbers in it: '1 bear',"
                " '0 apple'"
            ),
        ),
        (
            ".csv",
            "class_id,name\n0,apple\n2,bear\n",
            "found class numbers from 0 to 2 for 2 names",
        ),
        (
            ".csv",
            "label,name\n0,apple\n0,bear\n",
            "found the class number 0 twice in the column 'label'",
        ),
        (".txt", "1: apple\n3: bear\n", "found class numbers from 1 to 3 for 2 names"),
        (
            ".txt",
            "3 apple\n0 bear\n2 cat\n",
            "found class numbers from 0 to 3 for 3 names",
        ),
        (
            ".csv",
            "0,apple,fruit\n1,bear,animal\n",
            "found 3 columns without a header; write one above them",
        ),
        (
            ".csv",
            "name,Name\na,b\n",
            "found the column 'name' twice; rename one of the two",
        ),
        (".yaml", "names: [a, b\n", "found YAML that is damaged in line"),
        (".yaml", "names: cats\n", "found an object of 1 key that is not an index map"),
        (
            ".txt",
            "['apple',\n 'bear' or 'cat',\n]\n",
            "found a list in brackets that neither Python nor JSON can read",
        ),
        (".yaml", "[" * 3000, "found YAML that is "),
    ],
)
def test_read_labels_with_an_unclear_order_is_refused(suffix, text, message, read):
    with pytest.raises(UsageError) as caught:
        read(suffix, text)
    assert (message in str(caught.value), "\n" in str(caught.value)) == (True, False)
