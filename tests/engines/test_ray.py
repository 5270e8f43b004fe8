"""Ray: a real cluster of two nodes on this machine, with nodes and workers that die,
gives what threads give.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers.errors import raises
from helpers.outputs import contents

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.classifiers.checkpoint_scanner import CheckpointScanner, scan_run
from dsi_cli.analysis.classifiers.heads import Heads
from dsi_cli.analysis.options import Evaluation, Options
from dsi_cli.checkpoints.checkpoint_reader import HeadOptions
from dsi_cli.checkpoints.discovery import discover
from dsi_cli.engines import EngineOptions, open_engine
from dsi_cli.errors import EngineError, UsageError

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'dsi-cli[ray]'")

NODE = {"num_cpus": 1, "num_gpus": 1, "object_store_memory": 80 << 20}
"""The GPU is one by word alone, which is all that giving it out needs."""
RAY = EngineOptions("ray")


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two nodes of one core each, which this process is connected to; its
    files lie in a temporary home.
    """
    from ray.cluster_utils import Cluster

    home = tempfile.mkdtemp(prefix="dsi-", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", home)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        # 127.0.0.1, as on macOS
        patch.setattr(ray._private.ray_constants, "ENABLE_RAY_CLUSTER", False)
        made = Cluster(
            initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
        )
        try:
            made.add_node(**NODE)
            ray.init(made.address, log_to_driver=False, logging_level="CRITICAL")
            yield made
        finally:
            ray.shutdown()
            made.shutdown()
            shutil.rmtree(home)


@pytest.fixture
def engine(cluster):
    with open_engine(RAY) as found:
        yield found


@pytest.fixture
def mend(cluster):
    """Afterwards the cluster has two nodes again."""
    yield
    while len(cluster.list_all_nodes()) < 2:
        cluster.add_node(**NODE)


def refuses(job, reason):
    raise AssertionError(f"{job} was lost: {reason}")


def test_results_come_in_the_order_of_the_jobs_from_both_nodes(engine):
    def slow_first(job):
        time.sleep(0.3 if job in (0, 2) else 0.02)
        return job * job, ray.get_runtime_context().get_node_id()

    results = list(engine.map_in_order(slow_first, range(30), refuses))
    assert [result for result, _ in results] == [job * job for job in range(30)]
    assert len({node for _, node in results}) == 2


def test_the_function_travels_once_and_learns(engine):
    class Learns:
        def __init__(self):
            self.seen = 0

        def __call__(self, _):
            self.seen += 1
            return os.getpid(), self.seen

    results = list(engine.map_in_order(Learns(), range(40), refuses))
    for process in {process for process, _ in results}:
        counts = [seen for one, seen in results if one == process]
        assert sorted(counts) == list(range(1, len(counts) + 1))


def test_ray_job_that_raises_ends_the_iteration(engine):
    results = engine.map_in_order(lambda job: 6 // (3 - job), range(1000), refuses)
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not list(results)


def test_a_job_that_kills_its_worker_is_given_up_alone(engine, tmp_path, capfd):
    def kills(job):
        with (tmp_path / str(job)).open("a") as file:
            file.write(".")
        if job == 21:
            os.kill(os.getpid(), signal.SIGKILL)
        return job

    results = list(
        engine.map_in_order(kills, range(40), lambda job, reason: (job, reason))
    )
    assert [result for result in results if not isinstance(result, tuple)] == [
        job for job in range(40) if job != 21
    ]
    number, reason = results[21]
    assert number == 21
    assert reason.startswith("given up after 3 attempts: WorkerCrashedError: ")
    assert (tmp_path / "21").read_text() == "..."
    time.sleep(1)  # Ray tells of it in its own time
    assert capfd.readouterr() == ("", "")


def test_jobs_that_fill_a_machine_take_all_its_cores(engine):
    assert engine.tasks_per_machine() == 1

    def taken(_):
        return (
            ray.get_runtime_context().get_assigned_resources(),
            os.environ.get("CUDA_VISIBLE_DEVICES"),
            os.getpid(),
        )

    assert [
        given["CPU"]
        for given, _, _ in engine.map_in_order(
            taken, range(2), refuses, per_machine=True
        )
    ] == [1, 1]
    with open_engine(EngineOptions("ray", gpus_per_task=0.5)) as other:
        assert other.tasks_per_machine() == 1  # there is one core
        found = list(other.map_in_order(taken, range(8), refuses, per_machine=True))
    assert {(given["CPU"], given["GPU"], visible) for given, visible, _ in found} == {
        (1, 0.5, "0")
    }
    assert len({process for _, _, process in found}) <= 2  # a worker keeps its model
    with (
        open_engine(EngineOptions("ray", gpus_per_task=2)) as other,
        raises("too-many-gpus", UsageError),
    ):
        list(other.map_in_order(abs, [1], refuses, per_machine=True))


def test_other_versions_are_not_mixed(engine, monkeypatch):
    monkeypatch.setattr("dsi_cli.engines.ray.__version__", "0.0.1")
    with pytest.raises(
        UsageError,
        match=r" has dsi .*, but here it is 0\.0\.1; install the same on every node$",
    ):
        list(engine.map_in_order(abs, [1], refuses))


def test_ray_analysis_gives_the_same_tables_as_threads(cluster, four_runs, tmp_path):
    runs = [four_runs / name for name in ("garments", "cifar100-cnn")]
    events: dict[str, list] = {"local": [], "ray": []}
    for name, seen in events.items():
        options = Options(
            epochs="0:4:4",
            centred=True,
            draws=5,
            permutations=5,
            references=("path", "wup"),
            engine=EngineOptions(name),
        )
        analyze(
            runs, tmp_path / name, options, lambda *event, seen=seen: seen.append(event)
        )
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert events["ray"] == events["local"]
    assert sum(run.read for run in analyze(runs, tmp_path / "local", options).runs) == 0
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_a_model_run_on_the_cluster_answers_the_same(cluster, own_run, few, tmp_path):
    said: dict[str, list[str]] = {"local": [], "ray": []}
    for name, lines in said.items():
        evaluation = Evaluation(
            test=str(few), model=own_run.options[1], templates=True, device="cpu"
        )
        options = Options(
            evaluation=evaluation, draws=0, permutations=0, engine=EngineOptions(name)
        )
        analyze([own_run.folder], tmp_path / name, options, say=lines.append)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert said["ray"] == said["local"]


def test_a_node_that_dies_in_the_middle_loses_nothing(
    cluster, mend, four_runs, tmp_path
):
    run = four_runs / "cifar100-cnn"
    analyze(
        [run], tmp_path / "local", Options(epochs="0:20:2", draws=2, permutations=2)
    )
    killed = []

    def kill(stage, done, _total):
        if stage == "comparing matrices" and done == 3 and not killed:
            (node,) = cluster.worker_nodes
            killed.append(node)
            cluster.remove_node(node, allow_graceful=False)

    analyze(
        [run],
        tmp_path / "ray",
        Options(epochs="0:20:2", draws=2, permutations=2, engine=RAY),
        kill,
    )
    assert killed
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


def test_a_checkpoint_whose_answer_kills_the_worker_has_the_reason(
    cluster, make_own, few, tmp_path, monkeypatch
):
    monkeypatch.setattr("dsi_cli.engines.ray.MAX_ATTEMPTS", 1)
    run = make_own(tmp_path / "run", epochs=2)
    code = tmp_path / "net.py"
    code.write_text(
        Path(run.options[1].rpartition(":")[0]).read_text(encoding="utf-8")
        + """
class Killer(Net):
    def forward(self, x):
        if self.norm.num_batches_tracked:  # trained
            import os

            os.kill(os.getpid(), 9)
        return super().forward(x)


def killer(num_classes):
    return Killer(num_classes)
""",
        encoding="utf-8",
    )
    evaluation = Evaluation(test=str(few), model=f"{code}:killer", device="cpu")
    summary = analyze(
        [run.folder],
        tmp_path / "out",
        Options(evaluation=evaluation, draws=0, permutations=0, engine=RAY),
    )
    ((path, split, reason),) = summary.runs[0].not_evaluated
    assert (Path(path).name, split) == ("epoch_1.pt", "test")
    assert reason.startswith("given up after 1 attempts: WorkerCrashedError: ")
    assert summary.exit_code == 4


def test_a_checkpoint_whose_scan_kills_the_worker_is_a_failed_row(engine, make_run):
    (run,) = discover([make_run(epochs=3)])

    class Killing(CheckpointScanner):
        def __call__(self, found):
            if found.path.name == "epoch_1.pt":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(found)

    heads = Heads()
    scanned = scan_run(
        run, Killing(HeadOptions(), names_machine=True), heads, {}, engine
    )
    assert [record.status for record in scanned.records] == ["ok", "failed", "ok"]
    assert scanned.records[1].reason.startswith(
        "given up after 3 attempts: WorkerCrashedError: "
    )
    assert [heads.get(record.path) is not None for record in scanned.records] == [
        True,
        False,
        True,
    ]


def test_a_checkpoint_that_a_node_does_not_see_is_a_failed_row(
    cluster, make_run, tmp_path
):
    folder = make_run(epochs=3)
    opened_here = os.open(folder / "epoch_1.pt", os.O_RDONLY)
    fcntl = pytest.importorskip("fcntl", reason="only POSIX has it")
    hidden = fcntl.fcntl(opened_here, fcntl.F_DUPFD, 700)  # a number that no worker has
    link = folder / "epoch_7.pt"
    try:
        link.symlink_to(f"/proc/self/fd/{hidden}")  # there for this process alone
        summary = analyze(
            [folder], tmp_path / "out", Options(draws=0, permutations=0, engine=RAY)
        )
    finally:
        os.close(opened_here)
        os.close(hidden)
    ((path, _, reason),) = summary.runs[0].problems
    assert Path(path).name == "epoch_7.pt"
    assert (
        reason
        == f"{socket.gethostname()} cannot see it; put the checkpoints where every node"
        " of the cluster sees them"
    )


def test_a_cluster_without_nodes_ends_the_call(cluster, engine, monkeypatch):
    nodes = [{**node, "Alive": False} for node in ray.nodes()]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    with raises("no-nodes", EngineError):
        list(engine.map_in_order(abs, [1], refuses))


def test_the_command_starts_ray_for_itself_and_ctrl_c_leaves_nothing_of_it(
    make_run, tmp_path
):
    home, out = tempfile.mkdtemp(prefix="d-", dir="/tmp"), tmp_path / "out"
    surroundings = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_")
    }
    command = [
        sys.executable,
        "-m",
        "dsi_cli",
        "analyze",
        str(make_run(epochs=40)),
        "-o",
        str(out),
        "--engine",
        "ray",
    ]
    started = subprocess.Popen(
        [*command, "--permutations", "200000"],
        env={**surroundings, "TMPDIR": home, "HOME": home},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 100
    while not list(out.glob("csms/run/ncsm/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(Path(home).glob("dsi-*/session_latest/sockets/raylet"))
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does: to Ray's processes too
    printed, said = started.communicate(timeout=100)
    assert (printed, said) == (
        "",
        (
            "error: interrupted\nhint: finished work is kept; run the same command again to"
            " continue\n"
        ),
    )
    assert (started.returncode, list(Path(home).iterdir())) == (130, [])
    shutil.rmtree(home)


def test_a_cluster_answers_the_probe(cluster):
    from dsi_cli.engines.ray import reason_no_response

    host, port = cluster.address.rsplit(":", 1)
    assert host == "127.0.0.1"
    assert reason_no_response(host, int(port)) is None
