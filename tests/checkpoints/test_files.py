"""Checkpoints as people save them: tuples and lists, several epochs in one file,
optimisers in files of their own.
"""

from types import SimpleNamespace

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, scan_each
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.checkpoints.head_weight import weight_hash as fingerprint


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 5)
    )


def trained(seed: int = 0) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Return a network and its optimiser after one step, so that the optimiser has a
    state.
    """
    model = network(seed)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 6)).sum().backward()
    optimizer.step()
    return model, optimizer


def print_of(model: torch.nn.Module) -> str:
    return fingerprint(model.state_dict()["2.weight"].numpy())


def records_of(folder, **choice):
    return [
        record
        for _, records in scan_paths([folder], HeadOptions(**choice))
        for record in records
    ]


@pytest.mark.parametrize(
    ("saved", "epoch"),
    [
        (lambda of: (of.model.state_dict(), of.optimizer.state_dict(), 7), 7),
        (lambda of: (of.model, of.optimizer, 7), 7),
        (lambda of: [of.model.state_dict(), of.optimizer.state_dict()], None),
        (lambda of: [7, {"loss": 0.5}, of.model.state_dict()], 7),
        (lambda of: (of.model.state_dict(), 7, 3), None),
        (lambda of: (of.model.state_dict(), 40_000), None),
        (lambda of: {"nets": [of.model.state_dict()], "epoch": 7}, 7),
    ],
)
def test_scan_reads_a_state_dict_within_a_list_or_tuple(saved, epoch, tmp_path):
    model, optimizer = trained()
    torch.save(
        saved(SimpleNamespace(model=model, optimizer=optimizer)), tmp_path / "ckpt.pt"
    )
    (one,) = discover([tmp_path])[0].checkpoints
    (scanned,) = scan_each(one)
    assert (scanned.record.status, scanned.record.reason) == ("ok", None)
    assert scanned.record.fingerprint == print_of(model)
    assert scanned.record.epoch == epoch


@pytest.mark.parametrize(
    ("saved", "source", "log_epochs"),
    [
        (
            lambda states: dict(zip((1, 2, 10), states, strict=True)),
            "contents",
            [1, 2, 10],
        ),
        (
            lambda states: {
                f"epoch_{n}": state for n, state in zip((1, 2, 10), states, strict=True)
            },
            "contents",
            [1, 2, 10],
        ),
        (list, "order", [1, 2, 3]),
        (
            lambda states: [
                {"model": state, "epoch": n}
                for n, state in zip((4, 5, 6), states, strict=True)
            ],
            "contents",
            [4, 5, 6],
        ),
    ],
)
def test_scan_reads_each_of_several_epochs_in_one_file(
    saved, source, log_epochs, tmp_path
):
    models = [network(seed) for seed in range(3)]
    (tmp_path / "run").mkdir()
    torch.save(
        saved([model.state_dict() for model in models]), tmp_path / "run/history.pt"
    )
    records = records_of(tmp_path)
    assert [record.fingerprint for record in records] == [
        print_of(model) for model in models
    ]
    assert [(record.epoch, record.epoch_source) for record in records] == [
        (epoch, source) for epoch in log_epochs
    ]
    assert len({record.path for record in records}) == 3


def test_scan_takes_each_file_of_several_epochs_for_a_run(tmp_path):
    (tmp_path / "ckpts").mkdir()
    for place, name in enumerate(("adam", "sgd")):
        torch.save(
            [network(10 * place + seed).state_dict() for seed in (1, 2, 3)],
            tmp_path / f"ckpts/{name}.pt",
        )
    torch.save(network(7).state_dict(), tmp_path / "ckpts/epoch_9.pt")
    runs = {
        run.name: [record.epoch for record in records]
        for run, records in scan_paths([tmp_path], HeadOptions())
    }
    assert runs == {"ckpts": [9], "ckpts/adam": [1, 2, 3], "ckpts/sgd": [1, 2, 3]}


def test_scan_skips_files_that_hold_no_network(tmp_path):
    model, optimizer = trained()
    torch.save(model.state_dict(), tmp_path / "params.pt")
    criterion, schedule = (
        torch.nn.CrossEntropyLoss,
        torch.optim.lr_scheduler.StepLR(optimizer, 3),
    )
    names = (
        "optimizer.pt optimizer_3.pth scheduler.pt criterion.pt criterion_b.pt"
        " extra_state.pt a.pkl b.randomstate"
    )
    states = [
        one.state_dict()
        for one in (
            optimizer,
            optimizer,
            schedule,
            criterion(),
            criterion(torch.ones(5)),
        )
    ]
    states += [
        {"epoch": 3},
        {"loss": [0.5, 0.25], "names": ("a", None)},
        [torch.get_rng_state()],
    ]
    (tmp_path / "state").mkdir()  # a folder without networks is no run
    for name, state in zip(
        [*names.split(), "state/optimizer.pt"], [*states, states[0]], strict=True
    ):
        torch.save(state, tmp_path / name)
    found = {
        record.path.rpartition("/")[2]: record.status for record in records_of(tmp_path)
    }
    assert (found.pop("params.pt"), len(found), set(found.values())) == (
        "ok",
        8,
        {"skipped"},
    )


def test_ema_reads_the_whole_state_dict_of_an_averaged_model(tmp_path):
    model = AveragedModel(network())
    torch.save(model.state_dict(), tmp_path / "swa.pt")
    for ema in (True, False):
        (record,) = records_of(tmp_path, ema=ema)
        assert (record.status, record.weights_used, record.fingerprint) == (
            "ok",
            "ema",
            print_of(model.module),
        )
