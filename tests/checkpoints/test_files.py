"""Checkpoints as people save them: tuples and lists, several epochs in one file,
optimisers in files of their own.
"""

from types import SimpleNamespace

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from dsi_cli.analysis.scan import scan_paths
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions, scan_checkpoint
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
    scanned = scan_checkpoint(one)
    assert (scanned.record.status, scanned.record.reason) == ("ok", None)
    assert scanned.record.fingerprint == print_of(model)
    assert scanned.record.epoch == epoch


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
