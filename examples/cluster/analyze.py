"""Analyse checkpoints on a Ray cluster with a GPU for each task: ``python analyze.py
ADDRESS``.
"""

import sys

import dsi_cli

evaluation = dsi_cli.Evaluation(test="data/val")
dsi_cli.analyze(
    "runs/resnet50",
    "dsi-out",
    evaluation=evaluation,
    engine="ray",
    address=sys.argv[1],
    gpus_per_task=1,
)
