"""What a prepared side keeps for its next partners changes no number, and is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from dsi_cli.metrics import DEFAULT_MEASURES, prepared
from dsi_cli.metrics.alignment import MatrixPair
from dsi_cli.metrics.prepared import PreparedMatrix


@pytest.mark.parametrize("kind", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("room", [None, 3000])
def test_a_prepared_side_gives_each_partner_what_a_fresh_one_gives(make_pair, kind, room, monkeypatch):
    if room is not None:
        monkeypatch.setattr(prepared, "MAX_CACHED_BYTES", room)
    (a, b), (other, _) = make_pair(kind, 14), make_pair("asymmetric", 14)
    order = np.random.default_rng(0).permutation(14)
    lasting = PreparedMatrix(b)
    lasting.prepare()
    for first in (a, other, a):
        for draws, seed in ((200, 0), (30, 1)):
            asked = (DEFAULT_MEASURES, 5, draws, seed)
            assert MatrixPair(PreparedMatrix(first), lasting, order).alignments(*asked) == MatrixPair(
                PreparedMatrix(first), PreparedMatrix(b), order
            ).alignments(*asked)


def test_what_it_keeps_is_made_once_while_there_is_room():
    one, made = PreparedMatrix(np.eye(5)), []

    def make() -> tuple[np.ndarray]:
        made.append(len(made))
        return (np.full(10, made[-1], dtype=np.float64),)

    assert [one.lasting("a", make)[0][0] for _ in range(2)] == [0, 1]
    one.prepare()
    one._room = 100
    assert [one.lasting(key, make)[0][0] for key in ("a", "a", "b", "b")] == [2, 2, 3, 4]
