"""The notebooks of the docs, and what each has in its outputs once it was run."""

from pathlib import Path
from typing import NamedTuple

import nbformat

from dsi_cli.store.results import Results


class Shows(NamedTuple):
    """What a notebook has in its outputs; names in brackets are columns of the CNN's
    last SAI by one measure.
    """

    figures: int = 0
    text: tuple[str, ...] = ()
    measure: str = "cosine"


NOTEBOOKS = sorted(
    (Path(__file__).resolve().parents[2] / "docs/notebooks").glob("*.ipynb")
)
SHOWS = {
    "tables": Shows(
        0,
        ("30     {value:.3f}  {low:.3f}  {high:.3f}", "they agree", "ReportFrame("),
        "pearson",
    ),
    "pipes": Shows(
        0,
        (
            (
                "SAI {value:.3f}, by chance {null_mean:.3f}; excess {excess:.3f}, z"
                " {z:.1f}"
            ),
            "class,apple,",
        ),
    ),
    "figures": Shows(5, ("figures/agreement.pdf",)),
    "comparing": Shows(
        0,
        (
            "agreement with WordNet is higher in cifar100-cnn",
            "Another training may reverse this",
        ),
    ),
}


def assert_it_shows(name: str, notebook: nbformat.NotebookNode, out: Path) -> None:
    """Compare what a notebook printed and drew with what it is to show of the output
    folder that it made.
    """
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    assert [one.text for one in outputs if one.get("name") == "stderr"] == []
    shows = SHOWS[name]
    assert sum("image/png" in one.get("data", {}) for one in outputs) == shows.figures
    text = "\n".join(one.get("text") or one.data["text/plain"] for one in outputs)
    curves = Results(out).curves
    cnn = (
        "run == 'cifar100-cnn' and epoch == 30 and metric == 'sai' and of =="
        " 'ncsm,scsm' and variant == @shows.measure"
    )
    for part in shows.text:
        assert part.format(**curves.query(cnn).iloc[0]) in text
