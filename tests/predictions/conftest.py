"""One small test set at three epochs, written in every form."""

import numpy as np
import pytest

from dsi_cli.predictions.files import read_predictions

NAMES = ("cat", "dog", "aquarium_fish", "7")
EPOCHS, SAMPLES, CLASSES = (0, 1, 2), 40, len(NAMES)


@pytest.fixture(scope="session")
def targets():
    return np.random.default_rng(1).integers(0, CLASSES, SAMPLES)


@pytest.fixture(scope="session")
def predictions():
    return np.random.default_rng(2).integers(0, CLASSES, (len(EPOCHS), SAMPLES))


@pytest.fixture(scope="session")
def counts(targets, predictions):
    """Return the counts ``(epochs, C, C)``, by the definition."""
    found = np.zeros((len(EPOCHS), CLASSES, CLASSES), dtype=np.int64)
    for epoch in EPOCHS:
        for target, prediction in zip(targets, predictions[epoch], strict=True):
            found[epoch, target, prediction] += 1
    return found


@pytest.fixture
def save(tmp_path):
    """Return a function that saves text, bytes, an array, or arrays by name, under a
    name, and returns the path.
    """

    def save(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            np.savez(path, **content)
        elif isinstance(content, np.ndarray):
            np.save(path, content)
        else:
            path.write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
        return path

    return save


@pytest.fixture
def counts_of():
    """Return a function that reads predictions and returns the counts ``(epochs, C,
    C)`` of the three epochs.
    """

    def counts_of(path, targets=None, truth="rows", epochs=EPOCHS, run=None):
        found = read_predictions(path, targets, truth=truth).results(
            epochs, CLASSES, NAMES, run
        )
        return np.array([outcome.counts for outcome in found.values()])

    return counts_of
