"""The HTML file: no external requests, and the same bytes for the same tables."""

import json
import re

import pytest
from helpers.outputs import ANIMALS

from dsi_cli.analysis import report_file
from dsi_cli.report import html

HOSTILE = '</script><img src=x onerror="alert(1)">\u2028&'


@pytest.fixture
def out(make_results):
    return make_results(labels=(HOSTILE, *ANIMALS[1:]))


def test_report_with_markup_in_a_label_escapes_it(out):
    page = report_file.write_report(out).read_text(encoding="utf-8")
    assert "<img" not in page
    text = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL
    )[1]
    assert not set(text) & set("<>&\u2028")
    assert HOSTILE in {row[0] for row in json.loads(text)["classes"][0]}


def test_report_has_no_external_requests(out):
    page = report_file.write_report(out).read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page
    assert (
        re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?!#|data:)(\w+:|//)', page) == []
    )
    assert "unsafe" not in page.split("</head>")[0].split("<style>")[0]


def test_report_of_equal_tables_has_equal_bytes(out, tmp_path):
    assert (
        report_file.write_report(out, tmp_path / "again.html").read_bytes()
        == report_file.write_report(out).read_bytes()
    )


def test_scripts_define_each_name_once_in_short_lines():
    pattern = re.compile(r"^(?:async )?(?:function|const|let) (\w+)", re.MULTILINE)
    names = [name for file in html.SCRIPTS for name in pattern.findall(html.part(file))]
    assert sorted(names) == sorted(set(names))
    assert (
        max(
            map(
                len,
                html.script((*html.SCRIPTS, "comparison.js", "diff.js")).splitlines(),
            )
        )
        <= 132
    )
