"""Draw the README's picture from an output of ``dsi demo``: python docs/make_figure.py OUT."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from dsi_cli import Run, open_run

COLOURS = {"cifar100-cnn": "#0072b2", "cifar100-vit": "#d55e00"}
NAMES = {"cifar100-cnn": "small CNN", "cifar100-vit": "tiny ViT"}


def draw_curves(axes: plt.Axes, run: Run) -> None:
    sai = run.curves.query("metric == 'sai' and of == 'ncsm,scsm' and variant == 'cosine'")
    for name, points in sai.groupby("run"):
        epochs = points["epochs_completed"].astype(int)
        band = 2 * points["null_std"] / (1 - points["null_mean"])
        axes.plot(epochs, points["excess"], color=COLOURS[name], label=NAMES[name], marker="o", markersize=3)
        axes.fill_between(epochs, -band, band, color=COLOURS[name], alpha=0.2, linewidth=0)
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.annotate("chance, ± 2 deviations", (30, 0.026), ha="right", va="bottom", color="0.3", fontsize=8)
    axes.set(xlabel="finished epochs", ylabel="alignment with WordNet\n(SAI excess: 0 chance, 1 identity)")
    axes.legend(frameon=False, loc="center right")


def draw_matrix(axes: plt.Axes, run: Run, epoch: int) -> None:
    classes = run.classes.query("run == 'cifar100-cnn'").sort_values("class_index")
    order = np.argsort(classes["display_order"].astype(int).to_numpy())
    matrix = run.csm("ncsm", epoch, run="cifar100-cnn").to_numpy(copy=True)
    np.fill_diagonal(matrix, np.nan)
    image = axes.imshow(matrix[np.ix_(order, order)], cmap="RdBu_r", vmin=-0.5, vmax=0.5, interpolation="nearest")
    axes.set(title=f"epoch {epoch}", xticks=[], yticks=[])
    axes.figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, ticks=[-0.5, 0, 0.5])


def main(out: Path, target: Path) -> None:
    run = open_run(out)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "dsi"})
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2), width_ratios=(1.5, 1, 1), layout="constrained")
    draw_curves(left, run)
    draw_matrix(middle, run, 0)
    draw_matrix(right, run, 30)
    middle.set_ylabel("CNN's class similarity, 100 classes\nin taxonomy order")
    figure.savefig(target, dpi=130)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).parent / "images/demo.png")
