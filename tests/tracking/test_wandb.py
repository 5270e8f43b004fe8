"""W&B's offline files, read back by W&B's own records, and nothing on the network."""

import http.server
import json
import re
import struct
import threading

import pytest
from helpers.errors import raises

from dsi_cli import log_curves
from dsi_cli.errors import UsageError

pytest.importorskip("wandb", reason="reads W&B's files back")

BLOCK, HEADER, END_OF_RECORD = 32768, 7, (1, 4)


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """Work in a folder of its own, with no settings of W&B's."""
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def records(path):
    """Yield the records of a .wandb file: LevelDB's log format behind seven bytes, a
    protocol buffer each.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, part = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + HEADER])
        part += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in END_OF_RECORD:
            yield Record.FromString(part)
            part = b""


def logged_runs(folder):
    """Return of each run by name: its id, its project, and its values by name, then by
    epoch.
    """
    import wandb

    wandb.teardown()  # a run that is finished may not be on the disk yet
    found = {}
    for path in sorted(folder.glob("offline-run-*/*.wandb")):
        name, values = None, {}
        for record in records(path):
            if record.WhichOneof("record_type") == "run":
                name, about = (
                    record.run.display_name,
                    (
                        record.run.run_id,
                        record.run.project,
                    ),
                )
            if record.WhichOneof("record_type") == "history":
                items = {
                    (item.key or "/".join(item.nested_key)): json.loads(item.value_json)
                    for item in record.history.item
                }
                epoch = items.pop("epoch")
                for key in [key for key in items if not key.startswith("_")]:
                    assert epoch not in values.setdefault(key, {}), "no epoch twice"
                    values[key][epoch] = items[key]
        assert name not in (None, *found), "no run twice"
        found[name] = (*about, values)
    return found


def test_wandb_has_what_the_tables_hold_and_again_no_point_twice(
    out, tmp_path, expected_plain, grow
):
    logged = log_curves(out, "wandb")
    assert (logged.to, logged.place, logged.runs) == (
        "wandb",
        "wandb, offline, project dsi",
        2,
    )
    folders = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert sorted(logged.next_step.removeprefix("wandb sync ").split()) == [
        f"wandb/{one.name}" for one in folders
    ]
    first = logged_runs(tmp_path / "wandb")
    for run in ("cnn", "vit=1"):
        assert first[run][1:] == ("dsi", expected_plain(out, run))
    grow(out)
    assert (
        log_curves(out, "wandb:other", run="cnn").place
        == "wandb, offline, project other"
    )
    again = logged_runs(tmp_path / "wandb")
    assert again["cnn"] == (first["cnn"][0], "other", expected_plain(out, "cnn"))
    assert (again["vit=1"], set(again["cnn"][2]["dsi/accuracy"])) == (
        first["vit=1"],
        {0, 1, 2, 3},
    )


def test_nothing_but_the_curves_is_recorded(out, tmp_path):
    log_curves(out, "wandb", run="cnn")
    assert list(logged_runs(tmp_path / "wandb")) == ["cnn"]
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    assert [path.name for path in (folder / "files").rglob("*")] == []
    (path,) = folder.glob("*.wandb")
    kinds = {record.WhichOneof("record_type") for record in records(path)}
    assert kinds <= {
        "header",
        "run",
        "files",
        "telemetry",
        "metric",
        "summary",
        "history",
        "exit",
    }


def test_wandb_offline_makes_no_request(out, monkeypatch, dsi_process):
    """Whatever speaks HTTP would ask the proxy, which is here."""
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self):
            asked.append(self.path)
            self.send_error(503)

        do_GET = do_POST = do_CONNECT  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
        ended = dsi_process("export", out, "--log-to", "wandb")
        server.shutdown()
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(
        r"wandb: wandb, offline, project dsi \(2 runs, [\d,]+ points\); wandb sync"
        r" .*\n",
        ended.out,
    )
    assert asked == []


def test_wandb_wrong_usage_is_one_line(out, monkeypatch):
    with raises("invalid-project", UsageError):
        log_curves(out, "wandb:a/b/c")
    with pytest.raises(
        UsageError, match=r"^W&B refuses these settings: Invalid project name 'a#b'"
    ):
        log_curves(out, "wandb:a#b")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert log_curves(out, "wandb").next_step == "WANDB_MODE is disabled"
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(
        UsageError, match=r"^W&B refuses these settings: No API key configured"
    ):
        log_curves(out, "wandb")
