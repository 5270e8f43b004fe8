"""``--log-to`` of ``dsi analyze`` and ``dsi export``."""

import pytest

pytest.importorskip("tensorboard", reason="the tracker that these tests log to")

QUICK = ("--no-report",)


def test_analyze_logs_and_says_where_and_export_logs_the_same(make_run, tmp_path, dsi):
    run, out, logs = make_run(), tmp_path / "out", tmp_path / "logs"
    ended = dsi("analyze", run, "-o", out, *QUICK, "--log-to", f"tensorboard:{logs}")
    assert ended.code == 0
    (line,) = [
        line for line in ended.out.splitlines() if line.startswith("tensorboard: ")
    ]
    assert line.startswith(f"tensorboard: {logs} (1 run, ")
    assert line.endswith(f" points); tensorboard --logdir {logs}")
    exported = dsi(
        "export",
        out,
        "--log-to",
        f"tensorboard:{tmp_path}/again",
        "--log-to",
        f"tensorboard:{tmp_path}/third",
    )
    assert (exported.code, exported.err) == (0, "")
    told = [text.split(" (")[0] for text in exported.out.splitlines()]
    assert told == [f"tensorboard: {tmp_path}/again", f"tensorboard: {tmp_path}/third"]
    (path,) = (logs / "run").iterdir()
    assert (tmp_path / "again/run" / path.name).read_bytes() == path.read_bytes()


def test_analyze_failing_tracker_keeps_the_tables(make_run, tmp_path, dsi):
    out, logs = tmp_path / "out", tmp_path / "logs"
    logs.write_text("x", encoding="utf-8")
    ended = dsi(
        "analyze", make_run(), "-o", out, *QUICK, "--log-to", f"tensorboard:{logs}"
    )
    assert ended.code == 5
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert line.startswith(
        f"error: the curves were not logged: {logs}/run/events.out.tfevents.0.dsi."
    )
    assert line.endswith(
        "Not a directory; choose another output with --log-to tensorboard:DIR"
    )
    assert f"\nhint: run dsi export {out} --log-to\n" in ended.err
    assert f"  Tables     {out}\n" in ended.out
    logs.unlink()
    assert dsi("export", out, "--log-to", f"tensorboard:{logs}").code == 0


def test_export_all_curves_logs_more_points(make_run, tmp_path, dsi):
    out, log_to = tmp_path / "out", ("--log-to", f"tensorboard:{tmp_path}/logs")
    dsi("analyze", make_run(), "-o", out, *QUICK)
    main, every = (
        dsi("export", out, *log_to, *options).out for options in ((), ("--all-curves",))
    )
    assert "(1 run, 20 points)" in main
    assert "(1 run, 20 points)" not in every


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--epoch", 2), "--epoch"),
        (("--table", "curves", "-o", "x.csv"), "--table, --out"),
        (("--sorted",), "--sorted"),
    ],
)
def test_export_to_a_file_and_to_a_tracker_at_once_is_wrong_usage(
    make_run, tmp_path, dsi, options, named
):
    out = tmp_path / "out"
    dsi("analyze", make_run(epochs=2), "-o", out, *QUICK)
    ended = dsi("export", out, "--log-to", f"tensorboard:{tmp_path}/logs", *options)
    assert ended.code == 2
    assert (
        ended.err
        == f"error: --log-to logs curves and takes no {named}\nhint: export to a file"
        " in a separate call\n"
    )
    assert not (tmp_path / "logs").exists()
