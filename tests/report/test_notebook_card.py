"""The HTML that a notebook shows for a results folder."""

from helpers.errors import raises
from helpers.outputs import ANIMALS

import dsi_cli
from dsi_cli.errors import UsageError
from dsi_cli.report import notebook_card

HOSTILE = "<img src=x onerror=window.hacked=1>"


def text_of(run, open_file, tmp_path, **options):
    """Return the fragment as a browser shows it, in a page."""
    page = f"<!doctype html><meta charset='utf-8'><meta name='color-scheme' content='light dark'><body>{run._repr_html_()}</body>"
    (tmp_path / "card.html").write_text(page, encoding="utf-8")
    return open_file(tmp_path / "card.html", **options)


def test_card_shows_runs_best_epochs_phases_and_code(analysed, open_file, tmp_path):
    run = dsi_cli.open_results(analysed.out)
    page = text_of(run, open_file, tmp_path)
    assert page.locator("p").first.inner_text() == f"Results of dsi in {run.path}"
    _, good, collapsed, _ = page.locator("tbody tr").all()
    sai = run.curves_of("cifar100-vit").query("metric == 'sai' and of == 'ncsm,scsm' and variant == 'pearson'")
    last, best = sai.iloc[-1], sai.loc[sai["value"].idxmax()]
    cells = good.locator("td").all_inner_texts()
    assert cells[:3] == ["cifar100-vit", "31, 0 to 30", "100"]
    assert cells[3].split("\n") == [
        f"{last['value']:.2f} above chance",
        f"95 % CI {last['low']:.2f} to {last['high']:.2f}",
        f"peak {best['value']:.2f} at epoch {best['epoch']}",
    ]
    assert "within chance" in collapsed.locator("td").nth(3).inner_text()
    assert page.locator("li").first.inner_text().startswith("cifar100-cnn: phases of the agreement: surge ")
    assert 'results["cifar100-cnn"].csm("ncsm")' in page.locator("pre").inner_text()


def test_card_code_can_be_evaluated(make_run, tmp_path):
    for names in (["one"], ["one", "two"]):
        run = dsi_cli.analyze([make_run(names[-1], epochs=1)], tmp_path / "out", draws=0)
        assert run.names == names
        lines = run._repr_html_().split("<pre>")[1].split("</pre>")[0].replace("&#34;", '"').split("\n")
        for line in filter(None, lines):
            assert eval(line, {"results": run}) is not None


def test_card_with_markup_in_names_escapes_them_and_is_legible(make_run, open_file, tmp_path):
    run = dsi_cli.analyze(
        make_run(HOSTILE, labels=(HOSTILE, *ANIMALS[1:])), tmp_path / "out", draws=0, measures=["cosine"], report=False
    )
    assert "<script" not in run._repr_html_()
    for scheme, ink in (("light", "rgb(0, 0, 0)"), ("dark", "rgb(255, 255, 255)")):
        page = text_of(run, open_file, tmp_path, scheme=scheme)
        assert (page.locator("p").first.inner_text(), page.locator("img").count()) == (f"Results of dsi in {run.path}", 0)
        assert page.evaluate("window.hacked") is None
        assert page.locator("tbody td").first.inner_text() == HOSTILE
        assert HOSTILE in page.locator(".dsi-warnings").inner_text()
        assert page.locator("td").first.evaluate("node => getComputedStyle(node).color") == ink


def test_card_of_many_runs_shows_the_first(make_run, tmp_path, monkeypatch):
    monkeypatch.setattr(notebook_card, "MAX_RUNS", 2)
    run = dsi_cli.analyze([make_run(name, epochs=1) for name in "abc"], tmp_path / "out", draws=0, report=False)
    shown = run._repr_html_()
    assert "The table leaves out 1 more runs" in shown
    assert "<b>b</b>" in shown
    assert "<b>c</b>" not in shown


def test_show_report_is_a_frame_with_a_source_relative_to_the_notebook(make_run, tmp_path, monkeypatch):
    run = dsi_cli.analyze(make_run("one", epochs=1), tmp_path / "out & more\udcff", draws=0, report=False)
    with raises("no-report", UsageError, path=str(run.path)):
        run.show_report()
    assert not any(text in run._repr_html_() for text in ("report.html", "results.show_report()"))
    (run.path / "report.html").write_text("<p>report")
    assert all(text in run._repr_html_() for text in ("report.html", "results.show_report()"))
    monkeypatch.chdir(tmp_path)
    assert '<iframe src="out%20%26%20more%FF/report.html" width="100%" height="400"' in run.show_report(400)._repr_html_()
