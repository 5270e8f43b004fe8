"""The HTML that a notebook shows for a results folder."""

from helpers.errors import raises
from helpers.outputs import ANIMALS

import dsi_cli
from dsi_cli.errors import UsageError
from dsi_cli.queries.findings import headline
from dsi_cli.report import notebook_card, overview

HOSTILE = "<img src=x onerror=window.hacked=1>"


def text_of(run, open_file, tmp_path, **options):
    """Return the fragment as a browser shows it, in a page."""
    page = (
        "<!doctype html><meta charset='utf-8'><meta name='color-scheme' content='light"
        f" dark'><body>{run._repr_html_()}</body>"
    )
    (tmp_path / "card.html").write_text(page, encoding="utf-8")
    return open_file(tmp_path / "card.html", **options)


def test_card_shows_the_headline_and_the_last_values_of_each_run(
    analysed, open_file, tmp_path
):
    run = dsi_cli.open_results(analysed.out)
    page = text_of(run, open_file, tmp_path)
    assert page.locator("p").first.inner_text() == f"Results of dsi in {run.path}"
    _, good, *_ = page.locator("tbody tr").all()
    sai = run.curves_of("cifar100-vit").query(
        "metric == 'sai' and of == 'ncsm,scsm' and variant == 'pearson'"
    )
    cells = good.locator("td").all_inner_texts()
    assert cells[:3] == ["cifar100-vit", "31, 0 to 30", "100"]
    assert cells[3] == f"{sai['value'].iloc[-1]:.3f}"
    assert page.locator("strong").inner_text() == headline(overview.all_findings(run))


def test_card_with_markup_in_names_escapes_them_and_is_legible(
    make_run, open_file, tmp_path
):
    run = dsi_cli.analyze(
        make_run(HOSTILE, labels=(HOSTILE, *ANIMALS[1:])),
        tmp_path / "out",
        draws=0,
        measures=["cosine"],
        report=False,
    )
    assert "<script" not in run._repr_html_()
    for scheme, ink in (("light", "rgb(0, 0, 0)"), ("dark", "rgb(255, 255, 255)")):
        page = text_of(run, open_file, tmp_path, scheme=scheme)
        assert (page.locator("p").first.inner_text(), page.locator("img").count()) == (
            f"Results of dsi in {run.path}",
            0,
        )
        assert page.evaluate("window.hacked") is None
        assert page.locator("tbody td").first.inner_text() == HOSTILE
        assert HOSTILE in page.locator("p").last.inner_text()
        assert (
            page.locator("td").first.evaluate("node => getComputedStyle(node).color")
            == ink
        )


def test_card_of_many_runs_shows_the_first(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(notebook_card, "MAX_RUNS", 2)
    run = dsi_cli.analyze(
        [make_run(name, epochs=1) for name in "abc"],
        tmp_path / "out",
        draws=0,
        report=False,
    )
    shown = run._repr_html_()
    assert "without 1 more runs" in shown
    assert "<td>b</td>" in shown
    assert "<td>c</td>" not in shown


def test_show_report_is_a_frame_with_a_source_relative_to_the_notebook(
    make_run, tmp_path, monkeypatch
):
    run = dsi_cli.analyze(
        make_run("one", epochs=1), tmp_path / "out & more\udcff", draws=0, report=False
    )
    with raises("no-report", UsageError, path=str(run.path)):
        run.show_report()
    assert not any(
        text in run._repr_html_() for text in ("report.html", "results.show_report()")
    )
    (run.path / "report.html").write_text("<p>report")
    assert all(
        text in run._repr_html_() for text in ("report.html", "results.show_report()")
    )
    monkeypatch.chdir(tmp_path)
    assert (
        '<iframe src="out%20%26%20more%FF/report.html" width="100%" height="400"'
        in run.show_report(400)._repr_html_()
    )
