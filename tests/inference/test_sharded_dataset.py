"""Parquet and WebDataset shards: columns, labels, order, damage, memory, and no
network.
"""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.errors import raises
from helpers.pictures import encoded, write_parquet, write_tar
from PIL import Image

from dsi_cli.errors import UsageError
from dsi_cli.inference.image_folder import open_bytes
from dsi_cli.inference.open_dataset import open_samples
from dsi_cli.inference.sharded_dataset import member_bytes, open_shards, row_bytes


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Give each test a cache of its own, and refuse every connection."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        socket.socket, "connect", lambda *_: pytest.fail("a connection")
    )
    return tmp_path / "cache" / "dsi" / "datasets"


@pytest.fixture
def data(grey_images):
    return [path.read_bytes() for path in sorted((grey_images / "Bag").iterdir())[:6]]


@pytest.mark.parametrize(
    ("image", "plain"), [("image", False), ("img", True), ("picture", False)]
)
def test_parquet_with_both_kinds_of_image_column_is_read(
    tmp_path, data, cache, plain, image
):
    path = write_parquet(
        tmp_path / "d[1] x" / "a#.parquet",
        data,
        [2, 0, 1, 1, 0, 2],
        image=image,
        plain=plain,
    )
    samples = open_shards("a.parquet", [path])
    assert samples.targets.tolist() == [2, 0, 1, 1, 0, 2]
    assert samples.names is None
    assert samples.source == "parquet a.parquet (6 images, 3 classes)"
    assert samples.paths == [f"{path}#{row}" for row in range(6)]
    assert [row_bytes(path, row) for row in range(6)] == data
    assert samples.image(5).size == (28, 28)
    assert list(cache.iterdir())
    assert [file.name for file in path.parent.iterdir()] == ["a#.parquet"]


def test_parquet_that_the_library_wrote_is_read(tmp_path, data):
    import datasets

    rotated, rotation = io.BytesIO(), Image.Exif()
    rotation[0x0112] = 6  # to the right
    Image.linear_gradient("L").crop((0, 0, 9, 30)).save(rotated, "PNG", exif=rotation)
    data[5] = rotated.getvalue()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    columns = {
        "image": [{"bytes": one, "path": "x.png"} for one in data],
        "label": [1, 0] * 3,
    }
    (by_library := datasets.Dataset.from_dict(columns, features)).to_parquet(
        tmp_path / "a.parquet"
    )
    samples = open_shards("a", [tmp_path / "a.parquet"])
    assert samples.names == ("a", "b")
    assert samples.targets.tolist() == [1, 0] * 3
    assert samples.image(0).size == (28, 28)
    assert samples.image(5).size == (30, 9)
    np.testing.assert_array_equal(
        np.asarray(samples.image(5)), np.asarray(by_library[5]["image"])
    )


def test_parquet_files_are_read_in_their_order(tmp_path, data):
    files = [
        write_parquet(
            tmp_path / f"{n}.parquet", data[n : n + 3], [*"abc"[n : n + 2], "z"]
        )
        for n in (1, 0)
    ]
    samples = open_shards("*.parquet", files)
    assert samples.names == ("a", "b", "c", "z")
    assert samples.targets.tolist() == [1, 2, 3, 0, 1, 3]
    assert samples.paths[3] == f"{files[1]}#0"
    np.testing.assert_array_equal(
        np.asarray(samples.image(3)), np.asarray(open_bytes(data[0]))
    )


def _with(path, **columns):
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)
    return path


def test_parquet_of_cifar100_has_its_fine_labels_and_is_read_again_when_it_changes(
    tmp_path, data
):
    path = write_parquet(
        tmp_path / "a.parquet", data, [5] * 6, column="fine_label", image="img"
    )
    _with(path, coarse_label=[1] * 6)
    fine, coarse = open_shards("a", [path]), open_shards("a", [path], "coarse_label")
    assert (set(fine.targets), set(coarse.targets)) == ({5}, {1})
    assert fine.id != coarse.id
    path = write_parquet(tmp_path / "a.parquet", data, [5] * 6)
    first = open_shards("a", [path])
    write_parquet(path, data[::-1], [4, 3] * 3)
    second = open_shards("a", [path])
    assert second.targets.tolist() == [4, 3] * 3
    assert first.id != second.id
    np.testing.assert_array_equal(
        np.asarray(second.image(0)), np.asarray(first.image(5))
    )


def test_copies_that_are_not_used_for_a_month_are_removed(tmp_path, data, cache):
    path = write_parquet(tmp_path / "a.parquet", data, [5] * 6)
    open_shards("a", [path])
    (first,) = cache.iterdir()
    os.utime(first, (time.time() - 29 * 86_400,) * 2)
    open_shards("b", [write_parquet(tmp_path / "b.parquet", data, [4] * 6)])
    assert len(list(cache.iterdir())) == 2
    open_shards("a", [path])
    assert time.time() - first.stat().st_mtime < 86_400, "its use counts"
    os.utime(first, (time.time() - 31 * 86_400,) * 2)
    open_shards("b", [tmp_path / "b.parquet"])
    assert first not in set(cache.iterdir())


@pytest.mark.parametrize(
    ("columns", "label", "code"),
    [
        ({"target": [0] * 6}, None, "label-column"),
        ({}, "fine", "label-column"),
        ({"score": [0.5] * 6}, "score", "not-a-label"),
    ],
)
def test_open_shards_with_an_unclear_label_column_raises(
    tmp_path, data, columns, label, code
):
    path = _with(write_parquet(tmp_path / "a.parquet", data, [0] * 6), **columns)
    with raises(code, UsageError):
        open_shards("a", [path], label)


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"label": [0]}, "image-column"),
        ({"one": [b""], "two": [b""], "label": [0]}, "image-column"),
        ({"image": [b""], "kind": ["x"]}, "label-column"),
        ({"image": [b""] * 2, "label": [0, None]}, "not-a-label"),
        ({"image": [b""] * 2, "label": [0, -1]}, "class-number"),
        (
            {"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())},
            "shard-not-readable",
        ),
    ],
)
def test_open_shards_of_parquet_without_images_or_labels_raises(
    tmp_path, columns, code
):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with raises(code, UsageError):
        open_shards("a", [tmp_path / "a.parquet"])


def test_damaged_or_differing_parquet_is_refused_in_one_line(tmp_path, data, capfd):
    whole = write_parquet(tmp_path / "a.parquet", data, [0] * 6).read_bytes()
    other = write_parquet(tmp_path / "b.parquet", data, [0] * 6, column="target")
    for content in (
        b"PAR1 and no more",
        whole[:-9],
        whole[:100] + b"\xff" * 400 + whole[500:],
        whole,
    ):
        (tmp_path / "a.parquet").write_bytes(content)
        with raises("shard-not-readable", UsageError):
            open_shards("shown", [tmp_path / "a.parquet", other])
    assert capfd.readouterr().err == ""


def test_a_row_without_bytes_is_a_bad_image(tmp_path, data):
    path = write_parquet(tmp_path / "a.parquet", [data[0], None], [0, 0])
    samples = open_shards("a", [path])
    assert np.asarray(samples.image(0)).shape == (28, 28)
    with pytest.raises(OSError, match=r"^the row holds no image bytes$"):
        samples.image(1)
    with pytest.raises(OSError, match=r"^the row holds no image bytes$"):
        row_bytes(path, 1)
    with raises("shard-changed"):
        row_bytes(path, 2)
    # An image that only names a file is not opened.
    (tmp_path / "secret.png").write_bytes(data[0])
    cells = [
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        {"bytes": None, "path": "http://localhost/x.png"},
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(
        pa.table({"image": pa.array(cells, kind), "label": [0, 0]}),
        tmp_path / "a.parquet",
    )
    samples = open_shards("a", [tmp_path / "a.parquet"])
    for sample in range(2):
        with pytest.raises(OSError, match="the row holds no image bytes"):
            samples.image(sample)


IN_LITTLE_MEMORY = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
import pyarrow as pa
from dsi_cli.inference.sharded_dataset import open_shards, row_bytes

file = Path(sys.argv[1])
samples = open_shards("a", [file])
order = np.random.default_rng(0).permutation(len(samples))
with ThreadPoolExecutor(4) as pool:
    assert list(pool.map(lambda row: samples.image(row).getpixel((0, 0))[0], order)) == [row % 256 for row in order]
assert row_bytes(file, 7999)
print(pa.default_memory_pool().max_memory())
"""


@pytest.mark.slow
def test_one_large_row_group_is_read_in_any_order_by_threads_and_in_little_memory(
    tmp_path,
):
    noise = np.random.default_rng(0).integers(0, 256, (58, 58, 3), dtype=np.uint8)
    cells = []
    for row in range(8000):
        noise[0, 0, 0] = row % 256
        cells.append(encoded(Image.fromarray(noise), "BMP"))
    pq.write_table(
        pa.table({"image": cells, "label": [0] * 8000}),
        tmp_path / "a.parquet",
        use_dictionary=False,
        compression="none",
    )
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 1
    assert (tmp_path / "a.parquet").stat().st_size > 80e6
    command = [sys.executable, "-c", IN_LITTLE_MEMORY, str(tmp_path / "a.parquet")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 30e6  # bytes, of 80 MB; a page of the file is 10


def test_a_saved_data_set_is_read_where_it_is(tmp_path, data, cache):
    import datasets

    features = datasets.Features(
        {"label": datasets.ClassLabel(names=["a", "b"]), "image": datasets.Image()}
    )
    columns = {
        "image": [{"bytes": one, "path": None} for one in data],
        "label": [1, 0] * 3,
    }
    test = datasets.Dataset.from_dict(columns, features)
    datasets.DatasetDict(
        {"train": test.select([0]), "test": test.with_format("torch")}
    ).save_to_disk(tmp_path / "saved")
    samples = open_samples(str(tmp_path / "saved"))
    assert (samples.names, samples.targets.tolist(), samples.paths) == (
        ("a", "b"),
        [1, 0] * 3,
        [None] * 6,
    )
    assert samples.source == f"arrow {tmp_path}/saved/test (6 images, 2 classes)"
    np.testing.assert_array_equal(
        np.asarray(samples.image(5)), np.asarray(open_bytes(data[5]))
    )
    assert len(open_samples(str(tmp_path / "saved"), train=True)) == 1
    assert not cache.exists()
    (tmp_path / "saved" / "test" / "state.json").write_text("[")
    with raises("shard-not-readable"):
        open_samples(str(tmp_path / "saved"))


@pytest.mark.parametrize(
    ("labels", "targets", "names"),
    [
        ([("cls", b"3"), ("cls", b"0\n")], [3, 0], None),
        ([("cls", b"dog"), ("cls", b"cat")], [1, 0], ("cat", "dog")),
        ([("txt", b"dog\n"), ("txt", b"cat")], [1, 0], ("cat", "dog")),
        ([("txt", b"1"), ("txt", b"0")], [1, 0], ("0", "1")),
        (
            [
                ("json", json.dumps({"label": 1}).encode()),
                ("json", json.dumps({"cls": 0, "x": 9}).encode()),
            ],
            [1, 0],
            None,
        ),
        (
            [("json", b'{"class": "dog"}'), ("json", b'{"target": "cat"}')],
            [1, 0],
            ("cat", "dog"),
        ),
    ],
)
def test_open_shards_reads_each_kind_of_label_in_a_tar(
    tmp_path, data, labels, targets, names
):
    content = [
        item
        for n, (kind, label) in enumerate(labels)
        for item in ((f"{n}.png", data[n]), (f"{n}.{kind}", label))
    ]
    samples = open_shards("a.tar", [write_tar(tmp_path / "a.tar", content)])
    assert (samples.targets.tolist(), samples.names) == (targets, names)
    assert samples.source == "tar a.tar (2 images, 2 classes)"
    assert samples.paths == [f"{tmp_path}/a.tar/0.png", f"{tmp_path}/a.tar/1.png"]


@pytest.mark.parametrize(
    "kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_members_of_tars_are_read_from_any_thread_and_not_from_files_of_their_name(
    tmp_path, data, kind, monkeypatch
):
    name = "folder-" * 10 + "/" + "name" * 20
    content = [
        (f"{name}{n}.{kind_}", body)
        for n in range(4)
        for kind_, body in (("png", data[n]), ("cls", b"%d" % n))
    ]
    files = [write_tar(tmp_path / f"{n}.tar", content, format=kind) for n in (1, 0)]
    assert [member_bytes(files[0], one) for one, _ in content] == [
        body for _, body in content
    ]
    samples = open_shards("*.tar", files)
    assert [path.startswith(str(files[0])) for path in samples.paths] == [True] * 4 + [
        False
    ] * 4
    assert samples.id != open_shards("*.tar", files[::-1]).id
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(lambda n: np.asarray(samples.image(n % 8)), range(40)))
    for number, image in enumerate(images):
        np.testing.assert_array_equal(image, images[number % 4])
    path = write_tar(tmp_path / "a.tar", [("0.png", data[0]), ("0.cls", b"0")])
    (tmp_path / "0.png").write_bytes(data[1])
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(
        np.asarray(open_shards("a", [path]).image(0)), np.asarray(open_bytes(data[0]))
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [
        *((content, "no-images") for content in ([], [("0.cls", b"0")])),
        ([("0.png", b""), ("0.xml", b"")], "label-column"),
        ([("0.png", b""), ("0.jpg", b""), ("0.cls", b"0")], "image-column"),
        ([("0.png", b""), ("0.png", b""), ("0.cls", b"0")], "repeated-member"),
        ([("0.png", b""), ("0.txt", b" ")], "shard-not-readable"),
        ([("0.png", b""), ("0.cls", b"\xff\xfe")], "shard-not-readable"),
        *(
            ([("0.png", b""), ("0.json", body)], "shard-not-readable")
            for body in (
                b"{",
                b"[" * 100_000,
                b"[1]",
                b'{"label": 0.5}',
                b'{"label": true}',
            )
        ),
        (
            [("0.png", b""), ("0.cls", b"1"), ("1.png", b""), ("1.txt", b"a")],
            "shard-not-readable",
        ),
        ([("0.png", b""), ("0.cls", b"-1")], "class-number"),
        ([("0.png", b""), ("0.txt.gz", b"\x1f\x8b")], "compressed-member"),
    ],
)
def test_open_shards_of_a_tar_without_images_or_labels_raises_one_line(
    tmp_path, content, code, capfd
):
    with raises(code, UsageError):
        open_shards("shown", [write_tar(tmp_path / "a.tar", content)])
    assert capfd.readouterr().err == ""


def test_compressed_or_damaged_tars_and_a_missing_library_are_told(
    tmp_path, data, monkeypatch
):
    path = write_tar(tmp_path / "a.tar", [("0.png", data[0])], mode="w:gz")
    for _ in range(2):
        with raises("shard-not-readable"):
            open_shards("a", [path])
        path.write_bytes(b"no tar")
    path = write_parquet(tmp_path / "a.parquet", data, [0] * 6)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with raises("missing-package", package="datasets"):
        open_shards("a", [path])
    assert row_bytes(path, 3) == data[3]
