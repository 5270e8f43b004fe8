"""The log for bug reports."""

import logging
import re

import typer

from dsi_cli.cli.app import COMMANDS, app


def test_verbose_scan_logs_each_file_on_stderr(dsi, make_run):
    run = make_run()
    plain, verbose = dsi("scan", run, "-q"), dsi("scan", run, "-q", "--verbose")
    assert (verbose.code, verbose.out, plain.err) == (plain.code, plain.out, "")
    first, *others = verbose.err.splitlines()
    assert re.fullmatch(
        r" +0\.\d{3} s  dsi_cli: dsi \d[\w.]+, Python 3[\d.]+, .*", first
    )
    assert len(others) == 4  # a line per file
    assert all(re.match(r" +\d+\.\d{3} s  [a-z_.]+: ", line) for line in others)
    assert logging.getLogger("dsi_cli").handlers == []


def test_log_of_analyze_has_what_it_found(dsi, make_run, tmp_path):
    ended = dsi("analyze", make_run(), "-o", tmp_path / "out", "-v")
    for said in (
        "run run in ",
        "epoch_3.pt', epoch=3, ",
        "8 labels from classes.txt",
        "report.html: ",
    ):
        assert said in ended.err, said
    assert (
        "report.html is up to date"
        in dsi("analyze", tmp_path / "run", "-o", tmp_path / "out", "-v").err
    )


def test_bug_says_what_to_report_and_verbose_has_the_traceback(
    dsi, make_run, monkeypatch
):
    def broken(*_, **__):
        raise ZeroDivisionError("no such luck\x1b[31m")

    monkeypatch.setattr("dsi_cli.analysis.scan.scan_paths", broken)
    line = (
        "error: this is a bug in dsi (ZeroDivisionError: no such luck\\x1b[31m)\n"
        "hint: please report it with what dsi doctor --json prints, and what the same"
        " command prints with --verbose\n"
    )
    assert dsi("scan", make_run()) == (1, "", line)
    ended = dsi("scan", make_run("other"), "-v")
    assert ended.err.endswith(line)
    assert "Traceback (most recent call last):" in ended.err
    assert "in broken" in ended.err
    assert "\x1b" not in ended.err


def test_verbose_is_an_option_of_every_command(dsi):
    commands = typer.main.get_command(app).commands
    assert [
        name
        for name in COMMANDS
        if not any("--verbose" in one.opts for one in commands[name].params)
    ] == []
