"""The shared data, which is no part of the repository: the environment variable
``DSI_SHARED`` names its folder.

All tests that need it are in this folder: checkpoints of some thirty trainers and
hostile archives (``zoo``), complete training runs, test images and label tables
(``data``), NLTK's WordNet (``wordnet``) and the check of an output (``checks``).
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

if not os.environ.get("DSI_SHARED"):
    raise pytest.UsageError(
        "tests/shared_data needs data outside the repository:"
        " DSI_SHARED=/path/to/shared make test-shared"
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder that ``DSI_SHARED`` names."""
    return Path(os.environ["DSI_SHARED"]).absolute()


@pytest.fixture(scope="session")
def nltk_wordnet(shared):
    """Return NLTK's reader on the shared WordNet 3.0."""
    # The variable is set before the first import, since newer versions of NLTK refuse
    # any other place.
    os.environ["NLTK_DATA"] = str(shared / "wordnet" / "nltk_data")
    from nltk.corpus import wordnet

    assert wordnet.get_version() == "3.0"
    return wordnet


def _unpacked(archive: Path, folder: Path) -> Path:
    """Unpack by the tar command, which keeps links, pipes and names that are no UTF-8,
    and return the folder.
    """
    if shutil.which("tar") is None:
        pytest.skip("needs the tar command")
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return folder


@pytest.fixture(scope="session")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds a folder for each case of files written by real
    trainers.
    """
    return _unpacked(
        shared / "zoo" / "corpus.tar.gz", tmp_path_factory.mktemp("corpus")
    )


@pytest.fixture(scope="session")
def hostile(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds a folder for each case of damaged and malicious
    files.
    """
    return _unpacked(
        shared / "zoo" / "hostile.tar.gz", tmp_path_factory.mktemp("hostile")
    )


@pytest.fixture(scope="session")
def truth(shared: Path) -> dict[str, dict[str, dict]]:
    """Return what each file of both archives holds."""
    return json.loads((shared / "zoo" / "truth.json").read_text(encoding="utf-8"))
