"""Checkpoints behind URLs: what is read of them, what is asked of the server, and what
goes wrong.
"""

import io
import pickle
import sys
from dataclasses import replace
from unittest.mock import Mock

import fsspec
import h5py
import numpy as np
import pytest
import torch
from helpers.errors import raises
from helpers.outputs import heads
from helpers.s3 import BUCKET, forget_connections

from dsi_cli import read_head
from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, scan_checkpoint
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.errors import NothingToAnalyseError, UsageError
from dsi_cli.labels import files
from dsi_cli.remote import filesystem, locations


def saved(**options):
    """Return a checkpoint of 14 MB of which the classifier is 26 kB, and its state."""
    generator = torch.Generator().manual_seed(0)
    state = {
        f"layer{k}.weight": torch.randn(64, 64, 3, 3, generator=generator)
        for k in range(32)
    }
    state |= {
        "fc.weight": torch.randn(100, 64, generator=generator),
        "fc.bias": torch.zeros(100),
    }
    moments = {
        k: {name: torch.zeros_like(one) for name in ("exp_avg", "exp_avg_sq")}
        for k, one in enumerate(state.values())
    }
    written = io.BytesIO()
    torch.save(
        {
            "epoch": 3,
            "state_dict": state,
            "optimizer": {"state": moments, "param_groups": []},
        },
        written,
        **options,
    )
    return written.getvalue(), state


def as_safetensors():
    from safetensors.torch import save

    state = saved()[1] | {f"more{k}.weight": torch.zeros(1 << 20) for k in range(2)}
    return save(state), state


FORMATS = {
    "zip": saved,
    "legacy": lambda: saved(_use_new_zipfile_serialization=False),
    "safetensors": as_safetensors,
}


def put(s3, key, weight, **more):
    """Put a checkpoint on the server."""
    written = io.BytesIO()
    torch.save({"state_dict": {"fc.weight": weight}, **more}, written)
    s3.put(key, written.getvalue())


def looked_at(place):
    """Return the records under a place, by where they lie in it, without what must
    differ.
    """
    return {
        str(one.checkpoint_path).split("/top/", 1)[1]: replace(
            scan_checkpoint(one).record, path="", modified_ns=0, run=""
        )
        for run in discover([place])
        for one in run.checkpoints
    }


@pytest.mark.parametrize("form", FORMATS)
def test_a_head_costs_four_requests_and_a_hundredth_of_the_bytes(form, s3):
    data, state = FORMATS[form]()
    s3.put("run/model_3.pt", data)
    s3.requests.clear()
    weight = read_head(f"s3://{BUCKET}/run")
    np.testing.assert_array_equal(weight, state["fc.weight"].numpy())
    asked = [
        (method, size)
        for method, path, size in s3.requests
        if path == f"/{BUCKET}/run/model_3.pt"
    ]
    # the bias of a legacy file may be far from the weight
    assert 2 <= len(asked) <= (5 if form == "legacy" else 4), asked
    assert len(weight.tobytes()) < sum(size for _, size in asked) < 0.01 * len(data)


def test_a_file_that_is_walked_item_by_item_costs_few_requests(s3, tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        for layer in range(20):
            file[f"layer{layer}/kernel"] = rng.random((256, 256), dtype=np.float32)
        file["fc/weight"] = rng.random((100, 256), dtype=np.float32)
    data = (tmp_path / "x.weights.h5").read_bytes()
    s3.put("run/x.weights.h5", data)
    s3.requests.clear()
    read_head(f"s3://{BUCKET}/run/x.weights.h5")
    sizes = s3.of("GET", "run/x.weights.h5")
    assert len(sizes) <= 30
    assert sum(sizes) < len(data)


def test_looking_for_files_beside_costs_one_listing_of_each_folder(s3):
    for epoch, weight in enumerate(heads(3)):
        put(s3, f"sweep/run/epoch_{epoch}.pt", weight, epoch=epoch)
    s3.put("sweep/run/log.csv", b"epoch,train_loss\n0,1.0\n")
    s3.requests.clear()
    ((run, records),) = scan_paths([f"s3://{BUCKET}/sweep/run"], HeadOptions())
    assert [record.epoch for record in records] == [0, 1, 2]
    assert (run.name, str(run.folder), run.ignored) == (
        "run",
        f"s3://{BUCKET}/sweep/run",
        1,
    )
    assert sum(path == f"/{BUCKET}" for _, path, _ in s3.requests) <= 2, (
        "the run to any depth, and what lies beside it"
    )
    assert s3.of("GET", "sweep/run/log.csv") == [23]


def test_every_trainers_files_are_read_as_on_this_machine(trainers_files, memory):
    for path in trainers_files.folder.rglob("*"):
        if path.is_file():
            memory.pipe(
                f"/top/{path.relative_to(trainers_files.folder).as_posix()}",
                path.read_bytes(),
            )
    there, here = looked_at("memory://top"), looked_at(trainers_files.folder)
    assert len(here) == sum(map(len, trainers_files.expected.values()))
    assert there == here


def test_patterns_and_single_files_are_found(memory):
    for name in (
        "a/epoch_1.pt",
        "b/epoch_1.pt",
        "c/notes.txt",
        "../names/[ab]/epoch_1.pt",
        "../names/a/epoch_1.pt",
    ):
        memory.pipe(f"/top/{name}".replace("/top/..", ""), b"x" * 20)
    assert [run.name for run in discover(["memory://top/[ab]/"])] == ["a", "b"]
    assert [run.name for run in discover(["memory://names/[ab]"])] == ["[ab]"], (
        "a name has precedence"
    )
    assert [run.name for run in discover(["memory://top/**/*.pt"])] == ["a", "b"]
    (run,) = discover(["memory://top/b/epoch_1.pt"])
    assert [str(one.path) for one in run.checkpoints] == ["memory://top/b/epoch_1.pt"]


def test_a_file_system_that_universal_pathlib_does_not_know_is_read_as_well(
    memory, recwarn
):
    class Other(type(memory)):
        protocol = ("other",)

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.removeprefix("other://"))

    fsspec.register_implementation("other", Other, clobber=True)
    memory.pipe("/top/run/epoch_1.pt", b"x" * 20)
    for url in ("memory://top", "other:///top"):
        ((found,),) = (run.checkpoints for run in discover([url]))
        sent = pickle.loads(pickle.dumps(found))
        read = (str(sent.path), sent.path.read_bytes(), sent.path.parent.is_dir())
        assert (sent, *read) == (
            found,
            f"{url}/run/epoch_1.pt",
            b"x" * 20,
            True,
        ), "a place can be sent to another process"
    assert not recwarn.list


def test_a_file_of_a_server_that_ignores_ranges_is_read(memory, monkeypatch):
    memory.pipe("/top/epoch_3.pt", saved()[0])
    monkeypatch.setattr(
        type(memory), "cat_file", lambda self, path, **_: self.store[path].getvalue()
    )
    assert read_head("memory://top/epoch_3.pt").shape == (100, 64)


def test_a_file_that_is_replaced_while_it_is_read_is_not_used(s3):
    put(s3, "run/last.pt", 1 + torch.eye(8, 4))
    ((found,),) = (run.checkpoints for run in discover([f"s3://{BUCKET}/run"]))
    put(s3, "run/last.pt", 2 + torch.eye(8, 4))
    assert scan_checkpoint(found).record.reason == "changed while it was read"
    ((again,),) = (run.checkpoints for run in discover([f"s3://{BUCKET}/run"]))
    assert again.bytes == found.bytes
    assert again.modified_ns != found.modified_ns, (
        "a change within a second is seen by the ETag"
    )
    assert scan_checkpoint(again).record.status == "ok"


def test_discover_again_sees_new_and_removed_files(s3):
    for name in ("run/epoch_1.pt", "run/checkpoint-5/pytorch_model.bin"):
        s3.put(f"sweep/{name}", b"x" * 20)
    (run,) = discover([f"s3://{BUCKET}/sweep/run"])
    assert [one.checkpoint_path.name for one in run.checkpoints] == [
        "checkpoint-5",
        "epoch_1.pt",
    ]
    assert [*files.find_label_files(run.folder.parent)] == []
    s3.delete("sweep/run/epoch_1.pt")
    for name in (
        "run/epoch_2.pt",
        "run/checkpoint-6/pytorch_model.bin",
        "run/checkpoint-5/optimizer.pt",
        "classes.txt",
    ):
        s3.put(f"sweep/{name}", b"x" * 20)
    (run,) = discover([f"s3://{BUCKET}/sweep/run"])
    assert [one.checkpoint_path.name for one in run.checkpoints] == [
        "checkpoint-5",
        "checkpoint-6",
        "epoch_2.pt",
    ]
    assert (run.checkpoints[0].checkpoint_path / "optimizer.pt").is_file()
    assert (
        str(next(files.find_label_files(run.folder.parent)))
        == f"s3://{BUCKET}/sweep/classes.txt"
    )


def test_a_busy_server_is_asked_again(s3):
    put(s3, "run/epoch_1.pt", heads(1)[0])
    left = [2]

    def refuses(method, path):
        left[0] -= path.endswith(".pt")
        return path.endswith(".pt") and left[0] >= 0

    s3.refuses = refuses
    np.testing.assert_array_equal(
        read_head(f"s3://{BUCKET}/run/epoch_1.pt"), heads(1)[0].numpy()
    )
    assert left[0] < 0


@pytest.mark.parametrize(
    "attributes",
    [{"status": 500}, {"response": {"ResponseMetadata": {"HTTPStatusCode": 500}}}],
)
def test_an_error_of_the_server_is_followed_by_another_try(attributes):
    error = type("InternalError", (Exception,), attributes)()
    assert filesystem.Server().send(Mock(side_effect=[error, 1])) == 1


def test_a_web_server_that_does_not_answer_is_left_and_a_long_download_is_not():
    pytest.importorskip("aiohttp")
    timeout = filesystem.open_filesystem("https://host/epoch_1.pt")[0].client_kwargs[
        "timeout"
    ]
    assert (timeout.total, timeout.sock_connect, timeout.sock_read) == (None, 5, 20)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_one_file_that_is_denied_is_a_row_with_the_reason(method, s3, monkeypatch):
    monkeypatch.setattr("dsi_cli.remote.filesystem.FIRST_PAUSE_SECONDS", 0.01)
    for epoch, weight in enumerate(heads(3)):
        put(s3, f"run/epoch_{epoch}.pt", weight, epoch=epoch)
    s3.refuses = lambda *asked: asked == (method, f"/{BUCKET}/run/epoch_1.pt")
    ((_, records),) = scan_paths([f"s3://{BUCKET}/run"], HeadOptions())
    assert [record.status for record in records] == ["ok", "failed", "ok"]
    assert records[1].reason.startswith("cannot be read: the server is too busy")


def test_a_missing_backend_is_named_with_the_line_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with raises("package-missing", UsageError, scheme="abfs"):
        locations.locate("abfs://container/run")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("nix://a/b", "fsspec cannot open nix://"),
        ("s3://", "has no bucket; expected s3://BUCKET/PATH"),
        ("s3://elsewhere/run", "no such file or folder: s3://elsewhere/run"),
        (f"s3://{BUCKET}/nothing", f"no such file or folder: s3://{BUCKET}/nothing"),
    ],
)
def test_a_url_that_cannot_be_right_is_wrong_usage(url, line, s3):
    with pytest.raises(UsageError, match=line):
        discover([url])


def test_a_server_that_denies_access_or_is_gone_is_one_line(s3, monkeypatch):
    monkeypatch.setattr("dsi_cli.remote.filesystem.FIRST_PAUSE_SECONDS", 0.01)
    s3.status = "403 Forbidden"
    with pytest.raises(
        NothingToAnalyseError,
        match=r"lab/run cannot be listed: the server denies access \(Forbidden\)$",
    ):
        discover([f"s3://{BUCKET}/run"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget_connections()
    with pytest.raises(
        NothingToAnalyseError,
        match="lab/other cannot be listed: the server does not respond",
    ):
        locations.open_url(f"s3://{BUCKET}/other")


def test_once_a_server_is_gone_the_rest_fails_at_once(memory, monkeypatch):
    monkeypatch.setattr("dsi_cli.remote.filesystem.FIRST_PAUSE_SECONDS", 0.01)
    for epoch in range(20):
        memory.pipe(f"/top/run/epoch_{epoch}.pt", b"x" * 20)
    tried = []

    def gone(path, **_):
        tried.append(path)
        raise TimeoutError("no answer from https://someone:pass@host/x?token=abc")

    found = [one for run in discover(["memory://top"]) for one in run.checkpoints]
    for request in ("info", "cat_file"):
        monkeypatch.setattr(found[0].path.fs, request, gone)
    reasons = [scan_checkpoint(one).record.reason for one in found]
    assert len(tried) == 9, "three times for each of three"
    assert (
        reasons[0] == "cannot be opened: the server does not respond (no answer from"
        " https://host/x)"
    )
    assert set(reasons[3:]) == {"cannot be opened: the server no longer responds"}
