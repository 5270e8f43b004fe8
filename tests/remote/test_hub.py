"""Revisions of a repository on the Hugging Face Hub as checkpoints of one run, read
from a server on this machine.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pandas as pd
import pytest
import torch
from helpers.errors import raises
from helpers.hub import TOKEN, Hub, Repository, serving
from helpers.outputs import ANIMALS, heads, tables
from safetensors.torch import save

import dsi_cli
from dsi_cli.analysis.analyze import analyze as run_analysis
from dsi_cli.analysis.options import Options
from dsi_cli.analysis.scan import scan_paths
from dsi_cli.analysis.watch import UpdatedEvent, watch
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.cli import main
from dsi_cli.errors import NothingToAnalyseError, UnreachableError, UsageError

EPOCHS = 20
CONFIG = json.dumps({"id2label": dict(enumerate(ANIMALS))}).encode()
URL = "hf://lab/animals"


@pytest.fixture(scope="session")
def hub_server() -> Iterator[Hub]:
    with pytest.MonkeyPatch.context() as environment, serving(environment) as hub:
        yield hub


@pytest.fixture
def hub(hub_server: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    from huggingface_hub import HfFileSystem

    hub_server.begin()
    HfFileSystem.clear_instance_cache()
    monkeypatch.setenv("HF_ENDPOINT", hub_server.url)
    return hub_server


def model(weight: torch.Tensor) -> bytes:
    """Return a model of 4.7 MB with a small classifier."""
    layers = {
        f"layer{index}.weight": torch.full((64, 64, 3, 3), float(weight[0, 0]))
        for index in range(32)
    }
    return save(
        layers
        | {
            "classifier.weight": weight,
            "classifier.bias": torch.zeros(len(weight)),
        }
    )


@cache
def models() -> list[bytes]:
    """Return the model of each epoch; they are made only if a test of this module
    runs.
    """
    return [model(weight) for weight in heads(EPOCHS)]


def state(epoch: float, step: int) -> bytes:
    rows = [
        {"epoch": float(number), "step": 10 * number, "loss": 3.0 - number / 10}
        for number in range(1, int(epoch) + 1)
    ]
    return json.dumps(
        {"epoch": epoch, "global_step": step, "log_history": rows}
    ).encode()


def trained(hub: Hub, epochs: int = EPOCHS, name: str = "lab/animals") -> Repository:
    """Return a repository as the Trainer leaves it: one commit of each save, and
    commits without one.
    """
    repository = hub.repositories[name] = Repository()
    repository.commit(
        "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"}
    )
    for epoch, data in enumerate(models()[:epochs], start=1):
        files = {
            "model.safetensors": data,
            "config.json": CONFIG,
            "training_args.bin": b"never read",
        }
        repository.commit(
            f"Training in progress, epoch {epoch}", files, tag=f"step{100 * epoch}"
        )
        if epoch == 3:
            repository.commit("Update README.md", {"README.md": b"a model"})
    repository.commit("End of training", {"README.md": b"the model"})
    return repository


def records_of(revisions: str = "commits", url: str = URL) -> list:
    ((_, records),) = scan_paths([url], HeadOptions(), revisions=revisions)
    return records


def test_tags_of_steps_with_the_file_of_an_earlier_step_are_named(hub, tmp_path):
    repository = hub.repositories["lab/animals"] = Repository()
    for step, data in zip(
        (100, 200, 300), models()[:1] * 2 + models()[1:2], strict=True
    ):
        repository.commit("save", {"model.safetensors": data}, tag=f"step{step}")
    ((run, records),) = scan_paths([URL], HeadOptions(), revisions="tags")
    assert [record.step for record in records] == [100, 300]
    ((code, fields),) = [(one.code, one.fields) for one in run.facts]
    assert (code, fields["revisions"]) == ("files-repeated", [("step200", "step100")])
    results = [
        dsi_cli.analyze(URL, tmp_path / "out", revisions="tags", report=False)
        for _ in range(2)
    ]
    for found in results:
        codes = list(found.facts["code"])
        assert codes.count("files-repeated") == 1


def test_commits_give_the_tables_of_the_same_checkpoints_in_a_folder(hub, tmp_path):
    trained(hub)
    for epoch, data in enumerate(models(), start=1):
        folder = tmp_path / "animals" / f"epoch_{epoch}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(data)
        (folder / "config.json").write_bytes(CONFIG)
    dsi_cli.analyze(tmp_path / "animals", tmp_path / "here", report=False)
    dsi_cli.analyze(URL, tmp_path / "there", revisions="commits", report=False)
    for name, here in tables(tmp_path / "here").items():
        there = tables(tmp_path / "there")[name]
        if name == "checkpoints":
            assert set(there.epoch_source) == {"commit title"}
            here, there = (
                table.drop(columns=["path", "epoch_source", "modified_ns"])
                for table in (here, there)
            )
        pd.testing.assert_frame_equal(here, there, obj=name)


def test_a_head_costs_two_requests_of_its_file_and_a_hundredth_of_the_bytes(hub):
    trained(hub)
    assert [record.epoch for record in records_of()] == list(range(1, EPOCHS + 1))
    assert len(hub.of("model.safetensors")) <= 2 * EPOCHS
    assert sum(hub.of("model.safetensors")) < 0.01 * sum(map(len, models()))
    assert len(hub.of("/resolve/")) <= 3 * EPOCHS + 3, "each revision has a config.json"
    listings = Counter(
        path.partition("?")[0] for _, path, _ in hub.requests if "/tree/" in path
    )
    assert set(listings.values()) == {1}, listings
    assert not [path for _, path, _ in hub.requests if "/revision/" in path], (
        "a listing costs one request"
    )


def test_a_second_call_reads_only_new_revisions(hub, tmp_path):
    trained(hub, epochs=4)
    dsi_cli.analyze(URL, tmp_path, revisions="commits", report=False)
    hub.requests.clear()
    data = model(heads(EPOCHS)[10])
    hub.repositories["lab/animals"].commit(
        "Training in progress, epoch 11", {"model.safetensors": data}
    )
    assert list(
        dsi_cli.analyze(
            URL, tmp_path, revisions="commits", report=False
        ).checkpoints.epoch
    ) == [1, 2, 3, 4, 11]
    assert (
        len({path for _, path, _ in hub.requests if "model.safetensors" in path}) == 1
    )


def test_tags_of_a_pattern_give_the_steps(hub):
    trained(hub, epochs=3)
    found = [
        (record.step, record.epoch_source, record.name)
        for record in records_of("step*")
    ]
    assert found == [(step, "order", f"animals@step{step}") for step in (100, 200, 300)]
    assert [record.step for record in records_of("tags")] == [100, 200, 300]


def test_branches_in_folders_are_read_and_main_is_a_copy_of_the_last(hub):
    repository = hub.repositories["lab/animals"] = Repository()
    for number in (2, 10):
        data = {"weights/model.safetensors": models()[number]}
        repository.branches[f"run/epoch-{number}"] = repository.commit("save", data)
    records = records_of("branches", f"{URL}/weights")
    assert [(record.epoch, record.epoch_source) for record in records] == [
        (2, "revision name"),
        (10, "revision name"),
    ]


def test_the_trainers_state_has_precedence_over_the_title(hub, tmp_path):
    repository = hub.repositories["lab/animals"] = Repository()
    for number in (1, 2, 3):
        files = {"model.safetensors": models()[number], "config.json": CONFIG}
        files |= (
            {"trainer_state.json": state(number, 10 * number)} if number != 2 else {}
        )
        repository.commit(
            f"Training in progress, epoch {number + (number != 2) * 20}", files
        )
    records = records_of()
    assert [(record.epoch, record.step, record.epoch_source) for record in records] == [
        (1, 10, "contents"),
        (2, None, "commit title"),
        (3, 30, "contents"),
    ], "the state of the second revision is that of the first"
    results = dsi_cli.analyze(URL, tmp_path, revisions="commits", report=False)
    losses = results.curves[results.curves.metric == "loss"]
    assert dict(zip(losses.epoch, losses.value, strict=True)) == pytest.approx(
        {1: 2.9, 2: 2.8, 3: 2.7}
    )


def test_the_log_of_a_later_revision_gives_the_epochs_of_steps(hub):
    repository = hub.repositories["lab/animals"] = Repository()
    for number in range(1, 5):
        repository.commit(
            f"Training in progress, step {5 * number}",
            {"model.safetensors": models()[number]},
        )
    repository.commit("End of training", {"trainer_state.json": state(2.0, 20)})
    assert [
        (record.epoch, record.step, record.epoch_source) for record in records_of()
    ] == [
        (0, 5, "commit title"),
        (1, 10, "commit title"),
        (1, 15, "commit title"),
        (2, 20, "commit title"),
    ]


def test_revisions_without_numbers_are_numbered_in_their_order(hub):
    repository = hub.repositories["lab/animals"] = Repository()
    for data in models()[:4]:
        repository.commit("Upload model", {"model.safetensors": data})
    assert [(record.epoch, record.epoch_source) for record in records_of()] == [
        (number, "order") for number in range(1, 5)
    ]


def test_the_best_model_at_the_end_is_no_epoch(hub):
    repository = trained(hub, epochs=3)
    files = {
        "model.safetensors": model(heads(EPOCHS)[7]),
        "trainer_state.json": state(3, 30),
    }
    repository.commit("End of training", files)
    assert {record.epoch: record.status for record in records_of()} == {
        1: "ok",
        2: "ok",
        3: "ok",
        None: "skipped",
    }
    repository = hub.repositories["lab/animals"] = Repository()
    for number, title in enumerate(("step 5", "step 10", "step 15", "End of training")):
        repository.commit(title, {"model.safetensors": models()[number]})
    assert {record.epoch: record.step for record in records_of()} == {
        1: 5,
        2: 10,
        3: 15,
        None: None,
    }


def test_a_broken_revision_is_one_failed_row(hub):
    repository = trained(hub, epochs=3)
    repository.commit(
        "Training in progress, epoch 4", {"model.safetensors": models()[3][:1000]}
    )
    lost = repository.commit(
        "Training in progress, epoch 5", {"model.safetensors": models()[4]}
    )
    hub.fails = lambda _method, path: 403 if f"tree/{lost}" in path else None
    records = records_of()
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5]
    assert [record.status for record in records] == ["ok"] * 3 + ["failed"] * 2
    assert "the server denies access" in records[-1].reason


@pytest.mark.parametrize(
    ("url", "revisions", "code", "kind"),
    [
        ("hf://lab/nothing", "commits", "unreachable", UnreachableError),
        ("hf://lab/animals@typo", "commits", "no-such-path", UsageError),
        ("hf://lab/animals", "stepp100", "no-such-revision", UsageError),
        ("hf://lab/animals", "epoch*", "no-such-revision", UsageError),
        ("hf://lab/animals/typo", "commits", "no-checkpoints", NothingToAnalyseError),
        ("s3://lab/animals", "commits", "not-a-repository", UsageError),
        ("animals", "commits", "not-a-repository", UsageError),
    ],
)
def test_a_wrong_repository_or_revision_is_one_line(url, revisions, code, kind, hub):
    trained(hub, epochs=1)
    with raises(code, kind):
        records_of(revisions, url)


def test_an_unknown_repository_is_wrong_usage_for_somebody_with_a_token(
    hub, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with raises("no-such-path", UsageError):
        records_of(url="hf://lab/nothing")


def test_without_a_network_there_is_one_line(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        UnreachableError,
        match="hf://lab/animals cannot be listed: the server does not respond",
    ):
        records_of()


def test_the_token_opens_a_private_repository_and_is_never_shown(
    hub, tmp_path, monkeypatch, capsys
):
    trained(hub, epochs=3).is_private = True
    arguments = [
        "dsi",
        "analyze",
        URL,
        "--revisions",
        "commits",
        "-o",
        str(tmp_path / "out"),
        "--json",
        "--verbose",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert "run hf auth login or set HF_TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    shown = capsys.readouterr()
    assert TOKEN not in shown.out + shown.err
    assert json.loads(shown.out)["runs"][0]["name"] == "animals"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_a_repository_is_also_read_without_revisions(hub):
    trained(hub, epochs=2)
    ((run, records),) = scan_paths([f"{URL}@step100"], HeadOptions())
    assert [(record.status, record.step, record.path) for record in records] == [
        ("ok", 100, "hf://lab/animals@step100")
    ]
    assert str(run.folder) == "hf://lab/animals@step100"


def test_watch_reads_each_new_commit_once(hub, tmp_path):
    repository = trained(hub, epochs=2)
    read = []

    def sleep(_: float) -> None:
        if read and len(repository.commits) == 5:
            repository.commit(
                "Training in progress, epoch 3", {"model.safetensors": models()[5]}
            )

    def analyse(paths):
        hub.requests.clear()
        summary = run_analysis(paths, tmp_path, Options(revisions="commits"))
        read.append(
            len(
                {
                    path
                    for _, path, _ in hub.requests
                    if path.endswith("model.safetensors")
                }
            )
        )
        return summary

    assert len(repository.commits) == 4
    repository.commit("Update README.md", {"README.md": b"news"})
    events = list(
        watch([URL], tmp_path, analyse, revisions="commits", until_epoch=3, sleep=sleep)
    )
    new = [event.new for event in events if isinstance(event, UpdatedEvent)]
    assert new == [[("animals", 1), ("animals", 2)], [("animals", 3)], []]
    assert read[0] == 2
    assert read[1] <= 2, "the new one, and the first one for the names of the classes"


@pytest.mark.parametrize(
    "arguments",
    [["hf://gpt2@step1000/a.pt"], ["hf://gpt2@step1000", "--revisions", "commits"]],
)
def test_a_revision_is_not_taken_for_a_password(arguments, hub, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dsi", "scan", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (2, 3)
    assert "hf://gpt2@step1000" in capsys.readouterr().err
