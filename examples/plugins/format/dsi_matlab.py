"""MATLAB files of version 5 as checkpoints: ``save('epoch_1.mat', 'fc_weight', ...)``.

dsi imports this module in its own process and calls ``read`` in a child process with
limits of memory and time, so that a damaged file is one failed checkpoint. Libraries
are imported in ``read``.
"""

from typing import IO

import numpy as np

# The first bytes of each file, at most 16.
MAGIC = b"MATLAB 5.0 MAT-f"


def read(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name, in the order of the network's layers.

    MATLAB allows no dots in names, so ``fc_weight`` stands for ``fc.weight``. As in
    torch, a weight has a row for each output.
    """
    from scipy.io import loadmat

    contents = loadmat(file)
    return {
        name.replace("_weight", ".weight").replace("_bias", ".bias"): array
        for name, array in contents.items()
        if isinstance(array, np.ndarray) and array.dtype.kind == "f"
    }
