"""Products of float32 rows on a device of torch's: what blocks of a very large matrix are made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.evaluation.precision import full_precision
from dsi_cli.evaluation.predict import device_of, first_line

Chosen = NDArray[np.intp] | slice


class Products:
    """``rows[a] @ rows[b].T`` in float32, with the rows in the device's memory.

    Parameters
    ----------
    rows : (C, d) float32
    device : as for `dsi_cli.evaluation.predict.device_of`

    Raises
    ------
    UsageError
        There is no such device, or it cannot do it: its memory is full.
    """

    def __init__(self, rows: NDArray[np.float32], device: str) -> None:
        self._device, self._lock = device_of(device), Lock()
        with self._told():
            self._rows = torch.from_numpy(rows).to(self._device)

    def __call__(self, rows: Chosen, columns: Chosen) -> NDArray[np.float32]:
        """Return the products of some rows with some others."""
        with self._lock, full_precision(), self._told():  # the precision is the whole process's
            found: NDArray[np.float32] = (self._of(rows) @ self._of(columns).T).cpu().numpy()
        return found

    def _of(self, chosen: Chosen) -> torch.Tensor:
        return self._rows[chosen if isinstance(chosen, slice) else torch.from_numpy(chosen).to(self._device)]

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise UsageError(f"--device {self._device} cannot multiply here: {first_line(error)}; try cpu") from None
