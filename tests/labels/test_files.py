"""Label files: every format, every encoding, every message."""

import json
import warnings

import pytest
from helpers.errors import raises
from hypothesis import given
from hypothesis import strategies as st

from dsi_cli.errors import UsageError
from dsi_cli.labels import files, parsers
from dsi_cli.labels.files import find_label_files, read_labels, read_labels_or_preset

CATS = (("cat", "dog"), None)
WITH_IDS = (("cat", "dog"), ("n02121620", "n02084071"))
ROWS = "n02121620,cat\nn02084071,dog\n"


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        *[
            ("classes.txt", text, CATS)
            for text in ("cat\ndog", " cat \r\ndog\r\n\r\n \n", "cat\rdog\r")
        ],
        ("classes", "cat\ndog\n", CATS),
        ("words.txt", "n02121620 cat\nn02084071\tdog\n", WITH_IDS),
        ("objectInfo150.txt", "Idx\tRatio\tName\n1\t.1\tdog\n0\t.2\tcat\n", CATS),
        (
            "a.pbtxt",
            (
                "item {\n id: 1 name: 'dog'\n}\nitem { name: 'n' id: 0 display_name:"
                ' "cat" }\n'
            ),
            CATS,
        ),
        *[
            ("a.csv", text, CATS)
            for text in (
                "LabelName,DisplayName\n/m/1,cat\n/m/2,dog\n",
                "id,class\n1,dog\n0,cat\n",
            )
        ],
        *[
            ("a.txt", text, CATS)
            for text in (
                "cat,dog,",
                "'cat', \"dog\"",
                "cat; dog\n",
                "cat\tdog\n",
                "// 2\ncat\ndog",
            )
        ],
        *[
            ("a.txt", text, CATS)
            for text in (
                "dict_keys(['cat', 'dog'])",
                "array(['cat',\n 'dog'], dtype='<U3')\n",
            )
        ],
        ("a.CSV", 'Label\n"cat"\n"dog"\n\n', CATS),
        *[
            ("a.csv", text, CATS)
            for text in ("name\ncat\ndog\n", "label,class_name\n0,cat\n1,dog\n")
        ],
        *[
            ("a.csv", f"name,{column}\ncat,n02120997\ndog,n02083346\n", CATS)
            for column in ("hypernym", "parent_wnid")
        ],
        (
            "a.csv",
            "index,name,synset,wnid,confidence\n1,dog,dog.n.01,n02084071,\n0,cat,,n02121620,1.0\n",
            WITH_IDS,
        ),
        (
            "a.csv",
            "name,synset\ncat,cat.n.01\ndog,\n",
            (("cat", "dog"), ("cat.n.01", None)),
        ),
        ("a.csv", "wnid\nn02121620\nn02084071\n", (WITH_IDS[1], WITH_IDS[1])),
        (
            "a.csv",
            'name,wnid\n"tench, Tinca tinca",n01440764\n',
            (("tench, Tinca tinca",), ("n01440764",)),
        ),
        ("a.tsv", "n02121620\tcat\tcat.n.01\nn02084071\tdog\tdog.n.01\n", WITH_IDS),
        (
            "a.tsv",
            "name\twnid\ncat\tn02121620\ndog\t",
            (("cat", "dog"), ("n02121620", None)),
        ),
        *[
            ("a.csv", f"{line}{ROWS}", WITH_IDS)
            for line in ("", "class_id,name\n", "WordNet id,label\n")
        ],
        *[
            ("a.csv", text, WITH_IDS)
            for text in (
                "cat,n02121620\ndog,n02084071\n",
                "0,n02121620,cat\n1,n02084071,dog\n",
            )
        ],
        *[
            ("a.json", text, CATS)
            for text in ('["cat", "dog"]', '{"0": "cat", "1": "dog"}')
        ],
        ("class_to_idx.json", '{"dog": 1, "cat": 0}', CATS),
        (
            "imagenet_class_index.json",
            '{"0": ["n02121620", "cat"], "1": ["n02084071", "dog"]}',
            WITH_IDS,
        ),
        (
            "config.json",
            (
                '{"model": 1, "id2label": {"0": "cat", "1": "dog"}, "label2id":'
                ' {"cat": 0}}'
            ),
            CATS,
        ),
        ("config.json", '{"label2id": {"cat": 0, "dog": 1}}', CATS),
        ("meta.json", '{"classes": ["cat", "dog"]}', CATS),
        ("map.json", '{"names": 0, "classes": 1}', (("names", "classes"), None)),
    ],
)
def test_read_labels_reads_each_format(write, name, content, expected):
    labels = read_labels(write(name, content))
    assert ((labels.names, labels.wnids), (labels.source, labels.preset)) == (
        expected,
        (name, None),
    )


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("suffix", [".txt", ".csv", ".json"])
def test_read_labels_reads_each_encoding(write, encoding, suffix):
    text = {
        ".txt": "café\nñu\n",
        ".csv": "name\ncafé\nñu\n",
        ".json": json.dumps(["café", "ñu"], ensure_ascii=False),
    }
    assert read_labels(write("a" + suffix, text[suffix].encode(encoding))).names == (
        "café",
        "ñu",
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "found an empty file; write the class names into it"),
        ("a.txt", b"\xef\xbb\xbf", "found an empty file"),
        *[
            ("a.txt", f"{top}cat\n\ndog\n", f"found line {n} empty; expected")
            for top, n in (("", 2), ("# x\n# y\n", 4))
        ],
        (
            "a.txt",
            b"PK\x03\x04\x00\x00",
            "found a file that is not text; save it as UTF-8, or name another",
        ),
        ("a.txt", "cat\n".encode("utf-16-le"), "not text"),
        ("a.txt", b"caf\x81", "not text"),
        ("a.txt", "['cat' 'dog']", "found names in quotes without commas between them"),
        (
            "a.csv",
            "image,label\n1,cat\n2,cat\n",
            "found the name 'cat' 2 times; keep one line per class",
        ),
        (
            "a.json",
            '{"features": [{"name": "image"}, {"name": "label"}]}',
            "that is not an index map",
        ),
        (
            "a.csv",
            "x,y\n1,2\n",
            "found the columns 'x', 'y', and none named name, class_name, class, label",
        ),
        ("a.csv", "name\n", "found a header and no rows"),
        ("a.csv", ",\n,\n", "found line 1 empty"),
        ("a.csv", "x,name\n1,cat\n2,\n", "found no name in line 3"),
        (
            "a.csv",
            "x,name\n1,cat\n2\n",
            "found 1 column in line 3, fewer than in the first",
        ),
        (
            "a.csv",
            'name,x\n"cat,1\ndog,2\n',
            "found a quotation mark that is not closed before line 3",
        ),
        ("a.csv", "name\n" + "x" * 200_000, "found a table that is damaged in line 2"),
        (
            "a.csv",
            "index,name\n0,cat\nx,dog\n",
            "found the column 'index' of class numbers with values that are no whole",
        ),
        ("a.json", '["cat", ', "found JSON that is damaged in line 1"),
        ("a.json", "[" * 100_000, "found JSON that is nested too deeply"),
        ("a.json", "[" + "1" * 10_000 + "]", "thousands of digits"),
        ("a.json", '{"id2label": {"0": "cat", "2": "dog"}}', "from 0 to 2 for 2 names"),
        (
            "config.json",
            '{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}',
            "found only placeholders",
        ),
    ],
)
def test_read_labels_of_a_wrong_file_raises_one_line(write, name, content, message):
    path = write(name, content)
    with pytest.raises(UsageError, match=message) as caught:
        read_labels(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "\t",
        ",",
        "=",
        "a",
        "a:",
        "x = ",
        "'",
        "[",
        "item {",
        "item { id: 1 name: '",
    ],
)
def test_read_labels_of_a_line_of_10_mb_raises(write, unit):
    # The test measures no time: it would run for hours with an expression that takes
    # quadratic time.
    line = unit * (10_000_000 // len(unit))
    with pytest.raises(UsageError, match="found a line of"):
        read_labels(write("classes.txt", f"a:{line}b\ncat\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", "name,{}\ncat\n"), ("a.json", '["cat", "{}"]'), ("a.yaml", "[cat, {}]")],
)
@pytest.mark.parametrize("unit", [",", " x"])
def test_read_labels_of_another_format_with_a_line_of_10_mb_raises(
    write, name, text, unit
):
    with pytest.raises(UsageError, match=r"found a (line|name) of|damaged"):
        read_labels(write(name, text.format(unit * 5_000_000)))


def test_read_labels_of_a_name_of_a_thousand_characters_reads_it_and_no_longer_one(
    write,
):
    assert (
        len(
            read_labels(
                write("classes.txt", "x" * files.MAX_NAME_LENGTH + "\ncat\n")
            ).names[0]
        )
        == 1000
    )
    with pytest.raises(UsageError, match="name of 1001 characters"):
        read_labels(write("classes.txt", "x" * (files.MAX_NAME_LENGTH + 1) + "\ncat\n"))


def test_read_labels_of_names_in_one_long_line_reads_them(write):
    names = [f"class of animals number {index:05}" for index in range(22_000)]
    assert read_labels(write("classes.txt", ", ".join(names))).names == tuple(names)


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


def test_a_file_wins_over_a_preset(write, monkeypatch, tmp_path):
    write("cifar10", "cat\ndog\n")
    monkeypatch.chdir(tmp_path)
    assert read_labels_or_preset("cifar10").names == ("cat", "dog")
    (tmp_path / "cifar100").mkdir()
    assert read_labels_or_preset("cifar100").preset == "cifar100"
    with raises("file-is-folder", UsageError):
        read_labels_or_preset(str(tmp_path))


@pytest.mark.parametrize("spec", ["imagenet1kk", "x" * 10_000, "nothing\0here", ""])
def test_read_labels_or_preset_of_neither_raises(spec, monkeypatch, tmp_path):
    with pytest.raises(
        UsageError,
        match=r"expected a label file or a preset .*, found neither|found a folder",
    ) as caught:
        read_labels_or_preset(spec)
    assert len(str(caught.value)) < 600
    assert ("try imagenet1k" in str(caught.value)) == (spec == "imagenet1kk")


def test_find_label_file_follows_the_order_of_names(write, tmp_path):
    assert [*find_label_files(tmp_path)] == []
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
    contents = {
        "config.json": '{"id2label": {"0": "cat"}}',
        "class_names.json": '["cat"]',
    }
    contents |= dict.fromkeys(("class_indices.json", "class_to_idx.json"), '{"cat": 0}')
    for name, content in (
        contents
        | dict.fromkeys(("class_names.txt", "labels.txt", "classes.txt"), "cat")
    ).items():
        path = write(name, content)
        assert next(find_label_files(tmp_path)) == path


WORDS = "10 cat dog n01440764 -> name class_id label index id names: é 1e5 5_x"
PIECES = st.sampled_from([*"012,;:\t \n[]{}()'\"-_.#=&*", *WORDS.split()])


@pytest.mark.parametrize(
    "read",
    [parsers.read_lines, parsers.read_table, parsers.read_json, parsers.read_yaml],
)
@given(st.lists(PIECES, min_size=1, max_size=40).map("".join).filter(str.strip))
def test_read_labels_of_any_text_gives_names_or_a_usage_error(read, text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = read(text)
        except ValueError:
            return
    assert found.names
    assert all(isinstance(name, str) for name in found.names)
    assert all(
        it is None or len(it) == len(found.names)
        for it in (found.wnids, found.superclasses)
    )
