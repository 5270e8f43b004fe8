"""Tar shards: keys, labels of three kinds, damage."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from evaluation.layouts import write_tar

from dsi_cli.errors import UsageError
from dsi_cli.evaluation.tars import members, open_tars


@pytest.fixture
def data(colour_images):
    folder = colour_images / "bear"
    return [path.read_bytes() for path in sorted(folder.iterdir())[:4]]


@pytest.mark.parametrize(
    ("labels", "targets", "names"),
    [
        ([("cls", b"3"), ("cls", b"0\n")], [3, 0], None),
        ([("cls", b"dog"), ("cls", b"cat")], [1, 0], ("cat", "dog")),
        ([("txt", b"dog\n"), ("TXT", b"cat")], [1, 0], ("cat", "dog")),
        ([("txt", b"1"), ("txt", b"0")], [1, 0], ("0", "1")),
        ([("json", json.dumps({"label": 1}).encode()), ("json", json.dumps({"cls": 0, "x": 9}).encode())], [1, 0], None),
        ([("json", b'{"class": "dog"}'), ("json", b'{"target": "cat"}')], [1, 0], ("cat", "dog")),
    ],
)
def test_every_kind_of_label_is_read(tmp_path, data, labels, targets, names):
    content = [item for n, (kind, label) in enumerate(labels) for item in ((f"{n}.png", data[n]), (f"{n}.{kind}", label))]
    samples = open_tars("a.tar", [write_tar(tmp_path / "a.tar", content)])
    assert samples.targets.tolist() == targets
    assert samples.names == names
    assert samples.source == "tar a.tar (2 images, 2 classes)"
    assert samples.paths == [f"{tmp_path}/a.tar/0.png", f"{tmp_path}/a.tar/1.png"]


def test_the_number_comes_before_the_text(tmp_path, data):
    content = [("0.json", b'{"label": 2}'), ("0.txt", b"a caption"), ("0.cls", b"1"), ("0.png", data[0])]
    assert open_tars("a", [write_tar(tmp_path / "a.tar", content)]).targets.tolist() == [1]


def test_keys_end_at_the_first_dot_and_have_folders(tmp_path, data):
    content = [
        ("x/0.a.png", b"a mask"), ("x/0.png", data[0]), ("y/0.PNG", data[1]), ("x/0.cls", b"0"), ("y/0.cls", b"1"),
        ("x/._0.png", b"macOS"), ("readme.md", b"no sample"),
    ]  # fmt: skip
    samples = open_tars("a", [write_tar(tmp_path / "a.tar", content)])
    assert [path.split(".tar/")[1] for path in samples.paths] == ["x/0.png", "y/0.PNG"]
    assert samples.targets.tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["ustar", "gnu", "pax"])
def test_members_are_read_at_their_offsets_from_any_thread(tmp_path, data, kind):
    import tarfile

    formats = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    name = "folder-" * 10 + "/" + "name" * 20
    content = [(f"{name}{n}.{kind_}", body) for n in range(4) for kind_, body in (("png", data[n]), ("cls", b"%d" % n))]
    path = write_tar(tmp_path / "a.tar", content, format=formats[kind])
    assert [(member.name, member.read()) for member in members(path)] == content
    samples = open_tars("a", [path])
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda n: np.asarray(samples.image(n % 4)), range(40)))
    for number, image in enumerate(images):
        np.testing.assert_array_equal(image, images[number % 4])


def test_shards_with_the_same_keys_are_apart(tmp_path, data):
    files = [write_tar(tmp_path / f"{n}.tar", [("0.png", data[n]), ("0.cls", b"%d" % n)]) for n in (0, 1)]
    samples = open_tars("*.tar", files)
    assert samples.targets.tolist() == [0, 1]
    assert samples.id != open_tars("*.tar", files[::-1]).id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], r"^shown: expected images \(jpg, .*gif\) in the tar, found none; check the path$"),
        ([("0.cls", b"0")], r"^shown: expected images"),
        ([("0.png", b""), ("0.xml", b"")], r"a.tar/0.png: expected a label beside it \(.cls .*\), found none; add it$"),
        (
            [("0.png", b""), ("0.jpg", b"")],
            r"a.tar/0.jpg: expected one image for each key, found 0.png as well; remove one$",
        ),
        ([("0.png", b""), ("0.txt", b" ")], r"a.tar/0.txt: expected a label \(.*\), found none; correct it$"),
        ([("0.png", b""), ("0.cls", b"\xff\xfe")], r"a.tar/0.cls: expected a label"),
        ([("0.png", b""), ("0.json", b"{")], r"a.tar/0.json: expected a label"),
        ([("0.png", b""), ("0.json", b"[1]")], r"a.tar/0.json: expected a label"),
        ([("0.png", b""), ("0.json", b'{"label": 0.5}')], r"a.tar/0.json: expected a label"),
        ([("0.png", b""), ("0.json", b'{"label": true}')], r"a.tar/0.json: expected a label"),
        ([("0.png", b""), ("0.cls", b"-1")], r"a.tar/0.png: expected a class number of 0 or more, found -1;"),
        ([("0.png", b""), ("0.cls", b"1"), ("1.png", b""), ("1.txt", b"a")], r"1.png: expected every label to be a number"),
    ],
)
def test_a_shard_without_images_or_labels_is_refused(tmp_path, content, message):
    with pytest.raises(UsageError, match=message):
        open_tars("shown", [write_tar(tmp_path / "a.tar", content)])


def test_compressed_or_damaged_tars_are_refused(tmp_path, data):
    message = r"a.tar: expected an uncompressed tar, found none that can be read \(.*\); unpack or replace it$"
    path = write_tar(tmp_path / "a.tar", [("0.png", data[0])], mode="w:gz")
    with pytest.raises(UsageError, match=message):
        open_tars("a", [path])
    path.write_bytes(b"no tar")
    with pytest.raises(UsageError, match=message):
        open_tars("a", [path])
