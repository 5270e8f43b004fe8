"""``dsi report``, and the report that other verbs write."""

import json

import pytest
from helpers.outputs import ANIMALS, heads, save_head
from helpers.table_comparison import write_output, write_run

from dsi_cli.queries.comparison.reliability import results_reliability
from dsi_cli.report.conclusions import number
from dsi_cli.store.results import Results


def test_report_command_equals_the_report_of_analyze(make_run, tmp_path, dsi):
    run, out = make_run(), tmp_path / "out"
    ended = dsi("analyze", run, "-o", out, "--no-report")
    assert (ended.code, "report:" in ended.out, (out / "report.html").exists()) == (
        0,
        False,
        False,
    )
    ended = dsi("analyze", run, "-o", out)
    assert ended.code == 0
    assert (
        ended.out
        == f"Nothing new: 4 of 4 checkpoints. {out}/report.html is up to date.\n"
    )
    document = json.loads(dsi("analyze", run, "-o", out, "--json").out)
    assert (document["report"], document["report_problem"]) == (
        f"{out}/report.html",
        None,
    )
    ended = dsi("report", out, "-o", tmp_path / "page.html")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"report: {tmp_path}/page.html (")
    assert (tmp_path / "page.html").read_bytes() == (out / "report.html").read_bytes()
    document = json.loads(dsi("report", out, "--json").out)
    assert document == {
        "report": f"{out}/report.html",
        "bytes": (out / "report.html").stat().st_size,
    }


def test_analyze_report_that_cannot_be_written_exits_with_5(make_run, tmp_path, dsi):
    out = tmp_path / "out"
    (out / "report.html").mkdir(parents=True)
    ended = dsi("analyze", make_run(), "-o", out)
    assert ended.code == 5
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(
        f"error: no report, because {out}/report.html could not be written: "
    )
    assert f"to write it again, run dsi report {out}\n" in ended.err
    assert f"  Tables     {out}\n" in ended.out
    assert (out / "curves.parquet").is_file()


def test_report_with_a_group_shows_the_repetitions_of_that_name(tmp_path, dsi):
    runs = [
        write_run(tmp_path / f"cnn-try{number}", seed=number) for number in range(3)
    ]
    out = write_output(tmp_path / "out", *runs)

    def page(*options):
        ended = dsi("report", out, "-o", tmp_path / "page.html", *options)
        assert (ended.code, ended.err) == (0, "")
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    heading = "Repeated trainings at their last common epoch"
    assert heading not in page()
    grouped = page("--group", "(.*)-try")
    assert heading in grouped
    assert '<th scope="row">cnn</th><td class="number">3</td>' in grouped
    assert "stands for other seeds and other classes like these." in grouped
    assert heading not in page()


@pytest.mark.parametrize("is_of_analysis", [True, False])
def test_report_has_the_intervals_of_repetitions_over_clusters(
    tmp_path, dsi, is_of_analysis
):
    runs = [write_run(tmp_path / f"cnn_seed{seed}") for seed in range(3)]
    for seed, run in enumerate(runs):  # the seeds share a signal
        noise = heads(3, seed=10 + seed)
        for epoch, weight in enumerate(heads(3)):
            head = weight + 0.3 * noise[epoch]
            save_head(run / f"epoch_{epoch}.pt", head, epoch=epoch)
    clusters = dict(zip(ANIMALS, "aabbccde", strict=True))
    file = tmp_path / "clusters.csv"
    lines = [f"{name},{cluster}\n" for name, cluster in clusters.items()]
    file.write_text("name,superclass\n" + "".join(lines))
    out = write_output(
        tmp_path / "out", *runs, clusters=str(file) if is_of_analysis else None
    )
    options = () if is_of_analysis else ("--clusters", file)
    ended = dsi("report", out, "-o", tmp_path / "page.html", *options)
    assert (ended.code, ended.err) == (0, "")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Its interval stands for other seeds and other superclasses like" in page
    found = results_reliability(Results(out), "seed", clusters).table.iloc[-1]
    over_classes = results_reliability(Results(out), "seed").table.iloc[-1]
    assert found["low"] != pytest.approx(over_classes["low"], abs=1e-3)
    assert f"{number(found['low'])} to {number(found['high'])}" in page


def test_report_with_clusters_but_no_repetitions_exits_with_2(tmp_path, dsi):
    out = write_output(tmp_path / "out", write_run(tmp_path / "cnn"))
    ended = dsi("report", out, "--clusters", "group")
    assert ended.code == 2
    assert "no training has repetitions" in ended.err
