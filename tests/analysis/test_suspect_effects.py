"""The effects of suspects, which their words name."""

import numpy as np

from dsi_cli import wordnet_csm
from dsi_cli.analysis.tables.suspects import EFFECTS
from dsi_cli.metrics.pair_residuals import fisher
from dsi_cli.metrics.suspects import Network, Suspect
from dsi_cli.suspect_kinds import WEIGHTS

CLASSES = 40


def test_effect_of_a_single_name_that_fits_best_names_another_one():
    reference = wordnet_csm("cifar100").to_numpy()[:CLASSES, :CLASSES]
    network = Network(fisher(reference), reference=reference)
    assert (network.gains.argmax(axis=1) == np.arange(CLASSES)).any()
    for one in range(CLASSES):
        suspect = Suspect("wrong-label", WEIGHTS, (one,), 3.0)
        assert EFFECTS[suspect.kind](suspect, network)["other"] != one
