"""Agreement, reliability and corrected agreement of real trainings with several seeds,
against values that other code computed.
"""

from pathlib import Path

import numpy as np
import pytest

from dsi_cli import read_head, wordnet_csm
from dsi_cli.metrics.reliability import seed_estimates
from dsi_cli.similarity import weight_similarity

CIFAR100 = {
    ("cnn", 1): (0.280, 0.869, 0.300),
    ("cnn", 4): (0.370, 0.945, 0.380),
    ("cnn", 12): (0.410, 0.946, 0.421),
    ("vit", 1): (0.120, 0.267, 0.233),
    ("vit", 4): (0.341, 0.861, 0.367),
    ("vit", 12): (0.368, 0.908, 0.386),
}


def estimates(folder, network, epoch, seeds, labels):
    csms = [
        weight_similarity(
            read_head(folder / f"{network}_seed{seed}" / f"epoch_{epoch:03}.pt")
        )
        for seed in range(seeds)
    ]
    reference = wordnet_csm(labels).to_numpy()
    return np.array(csms), reference, seed_estimates(np.array(csms), reference)


@pytest.mark.parametrize(("network", "epoch"), CIFAR100)
def test_estimates_of_cifar100_seeds_equal_published_values(shared, network, epoch):
    folder = shared / "data" / "seeds-cifar100"
    *_, found = estimates(folder, network, epoch, 6, "cifar100")
    values = [found[name].value for name in ("agreement", "reliability", "corrected")]
    assert values == pytest.approx(CIFAR100[network, epoch], abs=6e-4)


@pytest.mark.parametrize("network", ["mean", "attn"])
def test_corrected_agreement_of_text_networks_stays_while_the_agreement_falls(
    shared, network
):
    folder = shared / "data" / "seeds"
    labels = str(folder / "mean_seed0" / "classes.txt")
    found = {}
    for epoch in (4, 15):
        csms, reference, found[epoch] = estimates(folder, network, epoch, 12, labels)
        off = ~np.eye(len(reference), dtype=bool)
        correlations = np.corrcoef([*(csm[off] for csm in csms), reference[off]])
        between = correlations[:-1, :-1][np.triu_indices(12, 1)].mean()
        agreement = correlations[:-1, -1].mean()
        corrected = agreement / np.sqrt(between)
        assert found[epoch]["corrected"].value == pytest.approx(corrected)
    early, late = (
        {name: one.value for name, one in found[epoch].items()} for epoch in (4, 15)
    )
    assert late["agreement"] < early["agreement"] - 0.05
    assert late["corrected"] == pytest.approx(early["corrected"], abs=0.015)


def rows_of_page(first_title):
    """Return the rows of a table of the page of findings as numbers, by epoch."""
    page = (Path(__file__).parents[2] / "docs" / "findings.md").read_text()
    table = page[page.index(f"| epoch | {first_title}") :].split("\n\n")[0]
    found = {}
    for line in table.splitlines()[2:]:
        epoch, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[int(epoch)] = [float(cell.split()[0]) for cell in cells]
    return found


@pytest.mark.parametrize(
    ("folder", "networks", "seeds"),
    [("seeds-cifar100", ("cnn", "vit"), 6), ("seeds", ("mean", "attn"), 12)],
)
def test_tables_of_the_findings_are_those_of_the_trainings(
    shared, folder, networks, seeds
):
    path = shared / "data" / folder
    labels = "cifar100"
    if folder == "seeds":
        labels = str(path / "mean_seed0" / "classes.txt")
    title = {"cnn": "CNN", "mean": "mean"}[networks[0]]
    for epoch, values in rows_of_page(f"{title}: agreement").items():
        for network, expected in zip(networks, (values[:3], values[3:]), strict=True):
            *_, found = estimates(path, network, epoch, seeds, labels)
            names = ("agreement", "reliability", "corrected")
            assert [found[name].value for name in names] == pytest.approx(
                expected, abs=6e-4
            )
