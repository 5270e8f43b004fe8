"""Running a model in another process: all that travels is pickled, and data that are
not the same there are told.
"""

import os
import pickle
import shutil
import socket
from contextlib import nullcontext

import pytest
from helpers.errors import raises
from helpers.outputs import contents

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.errors import UsageError


def copied(one):
    return pickle.loads(pickle.dumps(one))


class Copies:
    """An engine in this process that has nothing but copies of what it is given, as
    another process has.
    """

    def __init__(self, before):
        self.before = before

    def tasks_per_machine(self):
        return 2

    def map_in_order(self, function, jobs, lost, *, per_machine=False):  # noqa: ARG002
        if per_machine:
            self.before()
        carried = copied(function)
        return (copied(carried(copied(job))) for job in jobs)


@pytest.fixture
def evaluated(own_run, few, tmp_path, monkeypatch):
    """Return ``evaluated(before)``: an analysis with answers from copies, and what it
    said; ``before`` is called before them.
    """
    shutil.copytree(few, tmp_path / "images")

    def made(before=lambda: None, out="elsewhere", copies=True):
        said = []
        options = Options(
            evaluation=Evaluation(
                test=str(tmp_path / "images"),
                model=own_run.options[1],
                templates=True,
                skip_bad_images=True,
                device="cpu",
            ),
            **{"draws": 0, "permutations": 0},
        )
        with monkeypatch.context() as patch:
            if copies:
                patch.setattr(
                    "dsi_cli.analysis.analyze.open_engine",
                    lambda _: nullcontext(Copies(before)),
                )
            analyze([own_run.folder], tmp_path / out, options, say=said.append)
        return contents(tmp_path / out), said

    return made


def test_ray_copies_give_the_same_results_and_warnings_once(evaluated, tmp_path):
    next((tmp_path / "images").rglob("*.png")).write_bytes(b"no image")
    found, said = evaluated()
    assert "leaves out 1 image that cannot be decoded" in " ".join(said)
    assert (found, said) == evaluated(out="here", copies=False)


def test_other_data_at_the_same_place_are_told(evaluated, tmp_path):
    path = next((tmp_path / "images").rglob("*.png"))
    with raises("other-data", UsageError):
        evaluated(lambda: os.utime(path, (1, 1)))


def test_data_that_a_node_does_not_see_are_told(evaluated, tmp_path):
    node = f"{socket.gethostname()}, a node of the cluster"
    with pytest.raises(UsageError, match=f"^{node}: expected a folder of class"):
        evaluated(lambda: shutil.rmtree(tmp_path / "images"))
