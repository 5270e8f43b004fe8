"""The classifier head of every network of the corpus `networks`: right, or rightly
asked about, and never another matrix.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import cases
from networks.cases import Network

from dsi_cli.checkpoints.checkpoint_reader import (
    HeadOptions,
    ScanResult,
    require_file,
    scan_checkpoint,
)
from dsi_cli.checkpoints.records import FAILED, OK

CASES = cases()
ALL = pytest.mark.parametrize("name", CASES)
DECIDABLE = pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if not case.only_with_count]
)
"""Those that somebody could decide without the number of classes."""


@cache
def network_of(name: str) -> Network:
    """Return one network; it is built once for both tests, and by the worker that needs
    it.
    """
    return CASES[name].network()


def scanned(network: Network, folder: Path, classes: int | None) -> ScanResult:
    """Save a network as a trainer would, and scan the file."""
    path = folder / "model.pt"
    torch.save(network.contents, path)
    return scan_checkpoint(require_file(path), HeadOptions(), classes)


def require_right(network: Network, found: ScanResult, may_ask: bool) -> None:
    """Require the right head, or no matrix at all and a reason of one line where that
    is as good.
    """
    truth = (
        "no classifier"
        if network.head is None
        else f"{network.head_name} {network.head.shape}"
    )
    if found.weight is not None:
        assert found.record.status == OK
        right = [
            one
            for one in (network.head, *network.also)
            if one is not None and one.shape == found.weight.shape
        ]
        is_right = any(
            np.allclose(one, found.weight, rtol=1e-4, atol=1e-5) for one in right
        )
        assert is_right, (
            f"took {found.record.head} {found.weight.shape}, the truth is {truth}"
        )
        assert not network.must_refuse, (
            f"took {found.record.head}, but the head cannot be known"
        )
        return
    assert found.record.status == FAILED
    assert found.record.reason
    assert "\n" not in found.record.reason
    if network.must_refuse:
        assert re.search(network.must_refuse, found.record.reason)
    else:
        assert may_ask or network.head is None, (
            f"found none ({found.record.reason}), the truth is {truth}"
        )


@DECIDABLE
def test_scan_without_the_number_of_classes_finds_the_head_or_asks(
    name: str, tmp_path: Path
) -> None:
    network = network_of(name)
    require_right(network, scanned(network, tmp_path, None), network.may_ask)


@ALL
def test_scan_with_the_number_of_classes_finds_the_head(
    name: str, tmp_path: Path
) -> None:
    network = network_of(name)
    require_right(
        network, scanned(network, tmp_path, network.classes), network.may_ask_with_count
    )
