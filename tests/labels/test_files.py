"""Label files: the accepted forms in every order and encoding, and the refusal of
everything else.
"""

import json
import random
import warnings

import pandas as pd
import pytest
import yaml
from helpers.errors import raises
from hypothesis import given
from hypothesis import strategies as st

from dsi_cli.errors import UsageError
from dsi_cli.labels import files, parsers
from dsi_cli.labels.files import find_label_files, read_labels, read_labels_or_preset

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
"""Twelve classes, so that 10 and 11 sort before 2 as text, and one has a comma."""
NUMBERED = random.Random(3).sample(list(enumerate(NAMES)), len(NAMES))
FROM_ONE = [(number + 1, name) for number, name in NUMBERED]
BY_NUMBER = dict(NUMBERED)
BY_NAME = {name: number for number, name in NUMBERED}
IDS = ("n02121620", "n02084071")


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def lines(form, pairs=NUMBERED):
    return "".join(form.format(number, name) + "\n" for number, name in pairs)


def table(number, name, **options):
    frame = pd.DataFrame(NUMBERED, columns=[number, name])
    return frame.to_csv(**{"index": False} | options)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".txt", "\n".join(NAMES)),
        ("", lines("{1}", sorted(NUMBERED)).replace("\n", " \r\n") + "\r\n \n"),
        *[
            (".txt", lines(form))
            for form in ("{} {}", "{}: {}", "{},{}", "{}\t{}", "{}. {}", "{} - {}")
        ],
        (".txt", table("label", "name", sep="\t")),
        *[
            (".csv", table(number, name))
            for number, name in (
                ("class_id", "name"),
                ("label", "name"),
                ("class", "label"),
                ("Class ID", "Class Name"),
            )
        ],
        (".csv", table("class_id", "name").replace("\n3,", "\n3.0,")),
        (".csv", table("class_id", "name", quoting=1)),
        (".csv", table("class_id", "name", sep=";")),
        (".csv", "\ufeff" + table("class_id", "name", lineterminator="\r\n")),
        (".csv", table("class_id", "name", index=True)),
        (".CSV", "name,id\n" + "".join(f'"{name}",{k}\n' for k, name in NUMBERED)),
        (".tsv", table("label", "class_name", sep="\t") + "\n \n"),
        (".json", json.dumps(NAMES)),
        (".json", json.dumps(BY_NUMBER)),
        (".json", json.dumps(BY_NAME)),
        (".json", json.dumps({"x": 1, "id2label": BY_NUMBER, "label2id": {"a": 0}})),
        (".json", json.dumps({"classes": NAMES})),
        (".yaml", yaml.safe_dump({"nc": 12, "names": list(NAMES)})),
        (".yml", yaml.safe_dump({"path": "data", "names": BY_NUMBER})),
    ],
)
def test_read_labels_of_an_accepted_form_returns_the_order_of_the_numbers(
    write, suffix, text
):
    labels = read_labels(write(f"labels{suffix}", text))
    assert labels.names == NAMES
    assert (labels.wnids, labels.source) == (None, f"labels{suffix}")


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".txt", lines("{} {}", FROM_ONE)),
        (".csv", "index,name\n" + lines('{},"{}"', FROM_ONE)),
        (".json", json.dumps(dict(FROM_ONE))),
        (".yaml", yaml.safe_dump({"names": dict(FROM_ONE)})),
    ],
)
def test_read_labels_numbered_from_one_names_it_in_the_source(write, suffix, text):
    labels = read_labels(write(f"a{suffix}", text))
    assert labels.names == NAMES
    note = "numbered from 1: its 1 is class 0, its 12 is class 11"
    assert labels.source == f"a{suffix} ({note})"


@pytest.mark.parametrize(
    ("name", "text", "wnids"),
    [
        ("a.txt", "n02121620 cat\nn02084071\tdog\n", IDS),
        ("a.txt", "1 n02084071 dog\n0 n02121620 cat\n", IDS),
        ("a.tsv", "n02121620\tcat\tcat.n.01\nn02084071\tdog\tdog.n.01\n", IDS),
        ("a.csv", "index,name,synset,wnid\n1,dog,,n02084071\n0,cat,,n02121620\n", IDS),
        ("a.csv", "WordNet id,label\nn02121620,cat\nn02084071,dog\n", IDS),
        ("a.csv", "name,synset\ncat,cat.n.01\ndog,\n", ("cat.n.01", None)),
        ("a.tsv", "name\twnid\ncat\tn02121620\ndog\t", (IDS[0], None)),
        ("a.csv", "name,hypernym\ncat,n02120997\ndog,n02083346\n", None),
        ("a.csv", "LabelName,DisplayName\n/m/1,cat\n/m/2,dog\n", None),
        ("a.json", '{"1": ["n02084071", "dog"], "0": ["n02121620", "cat"]}', IDS),
    ],
)
def test_read_labels_with_ids_returns_them_with_their_names(write, name, text, wnids):
    labels = read_labels(write(name, text))
    assert (labels.names, labels.wnids) == (("cat", "dog"), wnids)


def test_read_labels_of_ids_alone_returns_them_as_names(write):
    assert read_labels(write("a.csv", "wnid\nn02121620\nn02084071\n")).names == IDS


def test_read_labels_with_superclasses_moves_them_with_the_numbers(write):
    text = "number,name,wnid,superclass\n1,dog,n02084071,pet\n0,rock,,\n"
    labels = read_labels(write("a.csv", text))
    assert labels.names == ("rock", "dog")
    assert labels.wnids == (None, "n02084071")
    assert labels.superclasses == (None, "pet")


@pytest.mark.parametrize(
    "names",
    [
        ("7up", "cola", "2 door car"),
        ("2 door car", "4 door car", "truck"),
        ("stage 1", "stage 2", "stage 3"),
        ("1 door", "2 door", "3 door"),
        ("Boeing 747", "Boeing 737", "Airbus 320"),
        ("001.ak47", "002.american-flag", "003.backpack"),
        ("no", "1e3", "null"),
        ("crane (bird)", "rock 'n' roll", "tench, Tinca tinca"),
    ],
)
@pytest.mark.parametrize("suffix", [".txt", ".json", ".csv", ".yaml"])
def test_read_labels_of_names_with_digits_and_marks_keeps_them(write, names, suffix):
    text = {
        ".txt": "\n".join(names),
        ".json": json.dumps(names),
        ".csv": pd.DataFrame({"name": names}).to_csv(index=False),
        ".yaml": "names:\n" + "".join(f'- "{name}"\n' for name in names),
    }
    assert read_labels(write("a" + suffix, text[suffix])).names == names


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_read_labels_reads_each_encoding(write, encoding, name):
    path = write(name, "name\ncafé\nñu\n".encode(encoding))
    assert read_labels(path).names[-2:] == ("café", "ñu")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        # other notations
        ("a.txt", "['cat', 'dog']", "found a list in brackets"),
        ("a.py", "CLASSES = ['cat',\n 'dog']", "found a list in brackets"),
        ("a.txt", "{0: 'cat',\n 1: 'dog'}", "found a list in brackets"),
        ("a.txt", "array(['cat',\n 'dog'], dtype='<U3')", "found a list in brackets"),
        ("a.pbtxt", "item {\n id: 1 name: 'dog'\n}\n", "found a label map"),
        ("a.txt", "# two\ncat\ndog", "found a comment"),
        ("a.txt", "- cat\n- dog", "found bullets"),
        ("a.txt", '"cat",\n"dog"', "found names in quotation marks"),
        ("a.txt", '"0": "cat",\n"1": "dog"', "found names in quotation marks"),
        ("a.txt", "cat,\ndog,\n", "found a comma after each name"),
        ("a.txt", "cat, dog", "found one line with several names"),
        ("a.txt", "cat\tdog", "found one line with several names"),
        ("a.json", '["cat", "dog",]', "found JSON that is damaged in line 1"),
        ("a.json", '{"categories": [{"id": 0, "name": "cat"}]}', "is not an index map"),
        ("a.yaml", "names: cats\n", "an object of 1 key that is not an index map"),
        # numbers that define no order, or two
        ("a.txt", "1: apple\n3: bear\n", "found class numbers from 1 to 3 for 2 names"),
        ("a.txt", "3 apple\n0 bear\n2 cat\n", "from 0 to 3 for 3 names"),
        ("a.txt", "1 euro coin\n2 dollar\n50 cent\n", "from 1 to 50 for 3 names"),
        ("a.txt", "apple 1\nbear 0\n", "found 'apple 1' before 'bear 0': the order"),
        ("a.txt", "apple,0\nbear,1\n", "found a number after each name"),
        ("a.txt", "0 apple 1\n1 bear 0\n", "the order of the list is not that"),
        ("a.txt", "0 1 apple\n1 0 bear\n", "found two numbers, or an id and a number"),
        ("a.txt", "n02121620 1 cat\nn02084071 0 dog\n", "or an id and a number"),
        ("a.txt", "1.apple\n0.bear\n2.cat\n", "found '1.apple' before '0.bear'"),
        ("a.json", '["1 bear", "0 apple"]', "found '1 bear' before '0 apple'"),
        ("a.csv", "name\n1 bear\n0 apple\n", "found '1 bear' before '0 apple'"),
        ("a.json", '{"id2label": {"0": "cat", "2": "dog"}}', "from 0 to 2 for 2 names"),
        (
            "a.csv",
            "index,target,name\n0,2,apple\n1,0,bear\n2,1,cat\n",
            "one order of the classes by the column 'index' and another one by the"
            " column 'target'",
        ),
        (
            "a.csv",
            "nr,name\n1,apple\n0,bear\n",
            "one order of the classes by the column 'nr' and another one by the lines",
        ),
        ("a.csv", "class_id,name\n0,apple\n2,bear\n", "from 0 to 2 for 2 names"),
        ("a.csv", "label,name\n0,a\n0,b\n", "found the class number 0 twice"),
        ("a.csv", "index,name\n0,a\nx,b\n", "values that are no whole numbers"),
        # tables
        ("a.csv", "0,apple\n1,bear\n", "found '0', 'apple' in the first line"),
        ("a.csv", "id,x\n1,2\n2,3\n", "found the columns 'id', 'x', and none named"),
        ("a.csv", "image,label\n1,cat\n2,cat\n", "found the name 'cat' 2 times"),
        ("a.csv", "name\n", "found a header and no rows"),
        ("a.csv", ",\n,\n", "found '', '' in the first line"),
        ("a.csv", "name,x\na,1\n\nb,2\n", "found line 3 empty"),
        ("a.csv", "x,name\n1,cat\n2,\n", "found no name in row 2 below the header"),
        ("a.csv", "x,name\n1,cat\n2\n", "found 1 cells in line 3, fewer than"),
        ("a.csv", 'name,x\n"cat,1\ndog,2\n', "quotation mark that is not closed"),
        ("a.csv", "name,Name\na,b\n", "found the column 'name' twice"),
        # damage
        ("a.txt", "", "found an empty file; write the class names into it"),
        ("a.txt", "cat\n\ndog\n", "found line 2 empty"),
        ("a.txt", b"PK\x03\x04\x00\x00", "found a file that is not text; save it as"),
        ("a.txt", "cat\n".encode("utf-16-le"), "not text"),
        ("a.txt", b"caf\x81", "not text"),
        ("a.txt", "x" * 1001 + "\ncat\n", "found a name of 1001 characters"),
        ("a.json", "[" * 100_000, "found JSON that is nested too deeply"),
        ("a.json", "[" + "1" * 10_000 + "]", "found"),
        ("a.json", '{"0": "LABEL_0", "1": "LABEL_1"}', "found only placeholders"),
        ("a.yaml", "names: [a, b\n", "found YAML that is damaged"),
        ("a.yaml", "[" * 3000, "found YAML that is "),
    ],
)
def test_read_labels_of_another_file_raises_one_line_with_the_accepted_forms(
    write, name, content, message
):
    path = write(name, content)
    with pytest.raises(UsageError) as caught:
        read_labels(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert message in text
    assert "\n" not in text
    for form in ("one name per line", ".csv or .tsv", ".json", ".yaml"):
        assert form in text


@pytest.mark.parametrize("unit", [*" \t,=a['", "a:", "x = ", "item {", "0 ", "n0", "-"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.json", "a.yaml"])
def test_read_labels_of_a_line_of_1_mb_raises(write, unit, name):
    # The test measures no time: it would run for an hour with an expression that takes
    # quadratic time.
    line = unit * (1_000_000 // len(unit))
    texts = {".json": f'["cat", "{line}"]', ".yaml": f'- cat\n- "{line}"\n'}
    text = texts.get(name[1:], f"name,{line}b\ncat\n")
    with pytest.raises(UsageError, match=r"found|not text"):
        read_labels(write(name, text))


def test_read_labels_of_no_file_raises(tmp_path, monkeypatch, write):
    with raises("file-missing", UsageError):
        read_labels(tmp_path / "none.txt")
    with raises("file-is-folder", UsageError):
        read_labels(tmp_path)
    with raises("file-not-readable", UsageError, reason="File name too long"):
        read_labels(tmp_path / ("x" * 5000))
    monkeypatch.setattr(files, "MAX_LABEL_FILE_BYTES", 3)
    with raises("file-too-large", UsageError):
        read_labels(write("a.txt", "cat\n"))


def test_read_labels_or_preset_of_both_reads_the_file(write, monkeypatch, tmp_path):
    write("cifar10", "cat\ndog\n")
    monkeypatch.chdir(tmp_path)
    assert read_labels_or_preset("cifar10").names == ("cat", "dog")
    (tmp_path / "cifar100").mkdir()
    assert read_labels_or_preset("cifar100").preset == "cifar100"
    with raises("file-is-folder", UsageError):
        read_labels_or_preset(str(tmp_path))


@pytest.mark.parametrize("spec", ["imagenet1kk", "x" * 10_000, "nothing\0here", ""])
def test_read_labels_or_preset_of_neither_raises(spec):
    with pytest.raises(UsageError, match=r"found neither|found a folder") as caught:
        read_labels_or_preset(spec)
    assert len(str(caught.value)) < 700
    assert ("try imagenet1k" in str(caught.value)) == (spec == "imagenet1kk")


def test_find_label_files_yields_the_order_of_names(write, tmp_path):
    assert [*find_label_files(tmp_path / "none")] == []
    for content in (
        '{"mean": [0.5]}',
        "{",
        '{"id2label": {"0": "LABEL_0"}}',
        '{"id2label": 3}',
        b"\x80\x02\x00",
    ):
        write("config.json", content)
        assert [*find_label_files(tmp_path)] == []
    write("config.json", '{"id2label": {"0": "cat"}}')
    for name in files.LABEL_FILE_NAMES[:-1]:
        write(name, "cat")
    found = [path.name for path in find_label_files(tmp_path)]
    assert found == list(files.LABEL_FILE_NAMES)


WORDS = "10 cat dog n01440764 -> name class_id label index id names: é 1e5 5_x"
PIECES = st.sampled_from([*"012,;:\t \n[]{}()'\"-_.#=&*", *WORDS.split()])


@pytest.mark.parametrize(
    "read",
    [parsers.read_lines, parsers.read_table, parsers.read_json, parsers.read_yaml],
)
@given(st.lists(PIECES, min_size=1, max_size=40).map("".join).filter(str.strip))
def test_read_labels_of_any_text_returns_names_or_raises_a_value_error(read, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = read(text)
        except ValueError:
            return
    assert found.names
    assert all(isinstance(name, str) for name in found.names)
    for column in (found.wnids, found.superclasses):
        assert column is None or len(column) == len(found.names)
