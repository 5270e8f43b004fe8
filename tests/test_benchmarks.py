"""The benchmarks of whole commands run, on tiny files: every part gives rows, and the
page keeps what stands around them.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from scipy.stats import binomtest

from benchmarks import rows
from benchmarks.statistics import share_interval

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "startup": ("What a command costs", 4),
    "analysis": ("A whole analysis", 5),
    "many": ("Hundreds of checkpoints", 9),
    "compare": ("A comparison of", 1),
}
"""Title and number of rows of each part that is run. The other parts are type-checked."""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = tmp_path_factory.mktemp("benchmarks") / "performance.md"
    page.write_text(
        f"# Performance\n\nBefore.\n\n{rows.BEGIN}\nold\n{rows.END}\n\nAfter.\n"
    )
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        *PARTS,
        "--quick",
        "--page",
        str(page),
        "--scratch",
        str(page.parent),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    return page.read_text()


@pytest.mark.parametrize(("hits", "number"), [(0, 6), (2, 6), (3, 3)])
def test_share_interval_is_the_exact_one_of_independent_comparisons(hits, number):
    expected = binomtest(hits, number).proportion_ci()
    assert share_interval(hits / number, number) == pytest.approx(
        (expected.low, expected.high)
    )


def test_the_page_keeps_what_stands_around_the_tables(page):
    assert page.startswith("# Performance\n\nBefore.\n")
    assert page.endswith("\n\nAfter.\n")
    assert "\nold\n" not in page
    assert re.search(
        r"Measured \d{4}-\d\d-\d\d by `python -m benchmarks` on .+, \d+ cores", page
    )


@pytest.mark.parametrize(("title", "least"), PARTS.values())
def test_every_part_gives_rows(page, title, least):
    section = page.partition(f"### {title}")[2].partition("###")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert len(lines) >= least
    assert all(line.count("|") >= 5 for line in lines)


def test_no_part_failed(page):
    reasons = re.findall(r"not measured: ([^|]*)", page)
    expected = r"(no NLTK data|.* not installed|the folder of NLTK data)"
    assert all(re.match(expected, reason) for reason in reasons), reasons
