"""How much memory there is, and what follows from it."""

from __future__ import annotations

import pytest

from dsi_cli.engines import local
from dsi_cli.pipeline import memory, plan
from dsi_cli.pipeline.options import Options


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("3000\n")
    used.write_text("1000\n")
    nothing = (str(tmp_path / "no"), str(tmp_path / "no"))
    monkeypatch.setattr(memory, "_LIMITS", (nothing, (str(limit), str(used))))
    assert memory.free() == 2000
    used.write_text("5000\n")
    assert memory.free() == 0
    limit.write_text("max\n")
    assert memory.free() == memory._of_machine() or memory.free() > 1 << 20


@pytest.mark.parametrize(
    ("classes", "budget", "is_vast", "by_blocks"),
    [
        (256, 1, False, False),
        (257, 1, False, True),
        (1000, 4 << 30, False, False),
        (4096, 1 << 20, False, True),
        (4097, 1 << 50, True, True),
    ],
)
def test_matrices_are_whole_where_they_fit(classes, budget, is_vast, by_blocks, monkeypatch):
    monkeypatch.setattr(local, "usable_cores", lambda: 2)
    found = plan.of(classes, Options(memory=budget))
    assert (found.is_vast, found.walk is not None) == (is_vast, by_blocks)
    assert found.each is (map if by_blocks else local.map_in_order)
