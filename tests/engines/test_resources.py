"""How much memory there is, and what follows from it."""

import pytest

from dsi_cli import engines
from dsi_cli.analysis import comparison
from dsi_cli.analysis.options import Options


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("3000\n")
    used.write_text("1000\n")
    nothing = (str(tmp_path / "no"), str(tmp_path / "no"))
    monkeypatch.setattr(engines, "_MEMORY_FILES", (nothing, (str(limit), str(used))))
    assert engines.free_memory() == 2000
    used.write_text("5000\n")
    assert engines.free_memory() == 0
    limit.write_text("max\n")
    assert engines.free_memory() == engines._free_on_machine() or engines.free_memory() > 1 << 20


@pytest.mark.parametrize(
    ("classes", "budget", "is_vast", "by_blocks", "threads"),
    [
        (256, 1, False, False, None),
        (257, 1, False, True, None),
        (1000, 4 << 30, False, False, 2),
        (1000, 300_000_000, False, False, 1),
        (4096, 1 << 20, False, True, None),
        (4097, 1 << 50, True, True, None),
    ],
)
def test_matrices_are_whole_where_they_fit(classes, budget, is_vast, by_blocks, threads, monkeypatch):
    monkeypatch.setattr(engines, "usable_cores", lambda: 2)
    found = comparison.make_plan(classes, Options(memory=budget))
    assert (found.is_vast, found.walk is not None, found.threads) == (is_vast, by_blocks, threads)
