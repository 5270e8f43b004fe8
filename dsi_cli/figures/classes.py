"""Single classes and pairs of classes: agreement with WordNet, neighbours over the
epochs, ranks of all pairs, and class geometry.

The geometry is that of the class vectors: norms, drift, distance from a simplex (neural
collapse), rank and spectrum.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dsi_cli.errors import UsageError
from dsi_cli.figures import axes as drawing
from dsi_cli.figures import curves
from dsi_cli.figures.catalogue import Drawing, FigureOptions
from dsi_cli.figures.heatmaps import frames_at_epochs, requested_frames, short_name
from dsi_cli.figures.style import CHANCE, COLOURS, MARKERS, POSITIVE_COLOURS
from dsi_cli.metrics.permutation_null import MIN_Z
from dsi_cli.queries import matrices
from dsi_cli.queries.neighbors import neighbor_history
from dsi_cli.queries.run_classes import (
    agreement_rows,
    by_class,
    class_index_by_name,
    class_names,
    spectrum_by_epoch,
)
from dsi_cli.store.results import Results

# classes with a row; of more classes, those of lowest and of highest agreement are
# shown
MAX_CLASSES = 40
MAX_RANK, NAMED_RANK = 10, 5
"""The largest rank in a rank chart, and the largest rank at the last epoch of a class
with a name and a colour.
"""
# number of named pairs of either kind: near in the network and far in WordNet, and the
# reverse
OUTLIERS = 4
MAX_DOTS = 600  # pairs that are dots; more pairs are counted in hexagons
# classes with the longest, and with the shortest vectors at the last epoch, that have
# names
NAMED_CLASSES = 2
MAX_FAINT_CLASSES = 200  # other classes with a line


def agreement(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of a row of dots per class, one dot per run; None without
    labels.
    """
    by_run = {
        run: rows
        for run in options.names(results)
        if len(rows := class_agreements(results, run, options.epochs))
    }
    names = options.names(results)
    style = options.style

    def draw() -> Figure:
        # The classes are in order of the first run's agreement.
        rising = (
            next(iter(by_run.values()))["pearson"]
            .sort_values(kind="stable")
            .index.tolist()
        )
        half = MAX_CLASSES // 2
        left_out = max(0, len(rising) - MAX_CLASSES)
        shown = (
            [*rising[:half], f"… {left_out} more classes …", *rising[-half:]]
            if left_out
            else rising
        )

        figure = drawing.grid(style, 1)
        figure.set_figheight((len(shown) + 5) * 1.3 * style.size / 72)
        (axes,) = figure.axes
        places = np.arange(len(shown))
        for run, rows in by_run.items():
            at = rows.reindex(shown)
            spread = MIN_Z * (at["pearson"] / at["z"]).abs().to_numpy(dtype=np.float64)
            index = names.index(run)
            marker = MARKERS[drawing.colour_round(index) % len(MARKERS)]
            axes.fill_betweenx(places, -spread, spread, **drawing.CHANCE_BAND)
            look: dict[str, Any] = {
                "color": drawing.colour(index),
                "marker": marker,
                "linestyle": "",
                "markersize": 3.5,
            }
            axes.plot(
                at["pearson"], places, label=drawing.short(run), gid="dots", **look
            )
        axes.axvline(0, color=CHANCE, linewidth=0.8)
        axes.set_yticks(
            places,
            [short_name(str(name)) for name in shown],
            size=style.size - 2,
            parse_math=False,
        )
        title = (
            "Agreement of each class with"
            f" {matrices.reference_title(results, next(iter(by_run)))}"
        )
        axes.set(
            ylim=(-0.7, len(shown) - 0.3), xlabel=curves.AGREEMENT.axis, title=title
        )
        axes.grid(axis="y", color="#eeeeee", linewidth=0.5)
        axes.set_axisbelow(True)
        handles, texts = axes.get_legend_handles_labels()
        drawing.draw_legend(
            figure,
            dict(
                zip(
                    [*texts, f"chance ± {MIN_Z:g} std"],
                    [*handles, axes.collections[0]],
                    strict=True,
                )
            ),
        )
        return figure

    return draw if by_run else None


def class_agreements(
    results: Results, run: str, epochs: tuple[int, ...] | None = None
) -> pd.DataFrame:
    """Return the agreement of a run's classes with the main reference at the last
    (requested) epoch, by class name.
    """
    rows = agreement_rows(results, run, epochs)
    rows = rows[rows["class_index"].notna() & rows["pearson"].notna()]
    names = class_names(results, run)
    return rows.set_axis([names[int(index)] for index in rows["class_index"]], axis=0)


def neighbors(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of the rank chart of a class's neighbours over the epochs, one
    panel per run and class.
    """
    all_frames = requested_frames(results, options)
    if not all_frames:
        return None
    names = options.class_names
    if (
        not names
    ):  # take the class whose agreement with WordNet is lowest in the first run
        rows = class_agreements(results, all_frames[0].run)
        names = (
            (
                str(rows["pearson"].idxmin())
                if len(rows)
                else class_names(results, all_frames[0].run)[0]
            ),
        )
    parts = []
    for frames, name in product(all_frames, names):
        try:
            class_index_by_name(name, class_names(results, frames.run))
            parts.append((frames, name))
        except UsageError:
            if options.class_names is not None and len(all_frames) == 1:
                raise
    style = options.style

    def draw() -> Figure:
        figure = drawing.grid(style, len(parts), across=2, share_y=True, aspect=1.2)
        for axes, (frames, name) in zip(figure.axes, parts, strict=True):
            history = neighbor_history(
                results,
                name,
                kind=frames.kind.name,
                split=frames.split,
                run=frames.run,
                most=MAX_RANK,
            )
            epochs, colours = np.array(history.attrs["epochs"]), iter(range(NAMED_RANK))
            for track, places in zip(history["name"], history["places"], strict=True):
                ranks = np.array(places, dtype=np.float64)
                if ranks[-1] <= NAMED_RANK:
                    drawing.draw_line(
                        axes,
                        epochs,
                        ranks,
                        short_name(track),
                        color=drawing.colour(next(colours)),
                    )
                else:
                    drawing.draw_line(
                        axes, epochs, ranks, "_other", color="#cfcfcf", linewidth=0.7
                    )
            axes.set_title(
                f"{drawing.short(frames.run)}: neighbours of {short_name(history.attrs['of'])}"
            )
            axes.set(ylim=(MAX_RANK + 0.5, 0.5), yticks=[1, NAMED_RANK, MAX_RANK])
        figure.supylabel("rank by the network's similarity", fontsize=style.size)
        drawing.format_epochs(figure)
        return curves.finish(figure)

    return draw if parts else None


def scatter(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of the last requested epoch, one panel per run, or None
    without matrices or labels.
    """
    all_frames = frames_at_epochs(results, options, with_reference=True)

    def draw() -> Figure:
        figure = drawing.grid(
            options.style, len(all_frames), across=2, share_y=True, aspect=1.3
        )
        for axes, frames in zip(figure.axes, all_frames, strict=True):
            # Rank the pairs that both matrices have.
            epoch = frames.among(options.epochs)[-1]
            values = matrices.epoch_matrix(results, frames, epoch)
            reference = matrices.reference_matrix(results, frames.run)
            assert reference is not None
            symmetric = (values + values.T) / 2
            rows, columns = np.nonzero(np.triu(np.isfinite(symmetric + reference), 1))
            similarity, semantic = symmetric[rows, columns], reference[rows, columns]
            of_network, of_wordnet = (
                matrices.percentile_ranks(similarity),
                matrices.percentile_ranks(semantic),
            )
            # Equal values of WordNet are spread at random over their ranks, so that
            # they do not form lines.
            falling = np.lexsort(
                (np.random.default_rng(0).permutation(len(rows)), semantic)
            )
            spread = np.empty(len(rows))
            spread[falling] = (np.arange(len(rows)) + 0.5) / len(rows)
            if len(rows) <= MAX_DOTS:
                look: dict[str, Any] = {
                    "color": POSITIVE_COLOURS[5],
                    "markersize": 3,
                    "alpha": 0.6,
                    "markeredgewidth": 0,
                }
                axes.plot(spread, of_network, ".", rasterized=True, **look)
            else:
                palette = LinearSegmentedColormap.from_list("dsi", POSITIVE_COLOURS)
                axes.hexbin(
                    spread,
                    of_network,
                    gridsize=min(40, round(len(rows) ** 0.5 / 3)),
                    cmap=palette,
                    linewidths=0,
                )
            axes.axhline(0.5, color=CHANCE, linewidth=0.8, label="chance")
            tenths = np.minimum((of_wordnet * 10).astype(int), 9)
            medians = {
                (tenth + 0.5) / 10: np.median(of_network[tenths == tenth])
                for tenth in np.unique(tenths)
            }
            axes.plot(
                list(medians), list(medians.values()), color="black", label="median"
            )
            names = [short_name(name) for name in class_names(results, frames.run)]
            texts = [
                f"{names[i]} – {names[j]}" for i, j in zip(rows, columns, strict=True)
            ]
            _name_outliers(axes, of_wordnet, of_network, texts)
            title = (
                f"{drawing.short(frames.run)}: {frames.title}, epoch"
                f" {results.shown_epoch(epoch, frames.run)}"
            )
            axes.set(title=title, xlim=(0, 1), ylim=(0, 1), aspect="equal")
            axes.set_xlabel(
                f"rank in {matrices.reference_title(results, frames.run)} (1 is the"
                " most similar pair)"
            )
            # Both axes show percentiles. Their ticks are ranks at round numbers.
            step = max(1, int(float(f"{len(texts) / 4:.0e}")))
            ranks = [1, *range(step, len(texts) + 1, step)]
            places, labels = (
                [1 - (rank - 0.5) / len(texts) for rank in ranks],
                [f"{rank:,}" for rank in ranks],
            )
            axes.set_xticks(places, labels)
            axes.set_yticks(places, labels)
        figure.supylabel("rank in the network", fontsize=options.style.size)
        handles, texts = figure.axes[0].get_legend_handles_labels()
        drawing.draw_legend(figure, dict(zip(texts, handles, strict=True)))
        return figure

    return draw if all_frames else None


def _name_outliers(
    axes: Axes, x: NDArray[Any], y: NDArray[Any], texts: list[str]
) -> None:
    """Name the pairs that are nearest in the network relative to WordNet at the upper
    left, and the reverse at the lower right.
    """
    look: dict[str, Any] = {
        "size": drawing.text_size("legend.fontsize") - 1,
        "va": "center",
        "parse_math": False,
    }
    look["bbox"] = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5}
    falling, most = np.argsort(x - y, kind="stable"), min(OUTLIERS, len(x) // 2)
    for chosen, text_x, side, colour in (
        (falling[:most], 0.3, "left", COLOURS[1]),
        (falling[::-1][:most], 0.7, "right", COLOURS[0]),
    ):
        rising = sorted(chosen, key=lambda pair: y[pair])
        places = drawing.spread([float(y[pair]) for pair in rising], 0.055, 0.03, 0.97)
        for pair, place in zip(rising, places, strict=True):
            arrow = {"arrowstyle": "-", "color": colour, "linewidth": 0.5}
            axes.annotate(
                texts[pair],
                (x[pair], y[pair]),
                (text_x, place),
                ha=side,
                color=colour,
                arrowprops=arrow,
                **look,
            )
            axes.plot(x[pair], y[pair], "o", color=colour, markersize=3)


def geometry(results: Results, options: FigureOptions) -> Drawing | None:
    """Return the drawing of a column of panels per run: norms, drift, simplex, rank and
    spectrum; None without a classifier.
    """
    known = [
        run
        for run in options.names(results)
        if not by_class(results, run, "norm").empty
    ]
    runs = known[: options.style.across]

    def draw() -> Figure:
        figure = drawing.grid(
            options.style, 5 * len(runs), across=len(runs), aspect=0.8
        )
        *rows, last_row = np.array(figure.axes).reshape(5, len(runs))
        for run, norms, drift, simplex, rank in zip(runs, *rows, strict=True):
            _draw_norms(
                norms,
                by_class(results, run, "norm"),
                class_names(results, run),
                options.class_names,
            )
            norms.set(title=f"{drawing.short(run)}: norms of classes")
            _draw_drift(
                drift,
                by_class(results, run, "angle_previous"),
                by_class(results, run, "angle_last"),
            )
            for axes, name in ((simplex, "simplex"), (rank, "effective_rank")):
                panel = curves.find_panel(name, results, [run])
                if panel is None:
                    axes.set_axis_off()
                    continue
                for index, curve in enumerate(panel.series):
                    colour = drawing.colour(index)
                    drawing.draw_chance(
                        axes, curve.epochs, curve.chance, curve.chance_std, colour
                    )
                    drawing.draw_line(
                        axes, curve.epochs, curve.value, curve.label, color=colour
                    )
                axes.set(title=panel.kind.title, ylabel=panel.axis, ylim=(0, None))
        for row in rows:
            top = max(axes.get_ylim()[1] for axes in row)
            for axes in row:
                axes.set_ylim(0, top)
        # The horizontal axis of the spectra has singular values in place of epochs, so
        # the panels above have their own labels.
        places = [axes.get_subplotspec() for axes in last_row]
        for axes, above in zip(last_row, rows[-1], strict=True):
            axes.remove()
            above.tick_params(labelbottom=True)
        drawing.format_epochs(figure)
        for run, place in zip(runs, places, strict=True):
            _draw_spectrum(figure.add_subplot(place), results, run, options.epochs)
        return curves.finish(figure, options.style, len(runs), len(known))

    return draw if runs else None


def _draw_norms(
    axes: Axes, norms: pd.DataFrame, names: list[str], chosen: tuple[str, ...] | None
) -> None:
    """Draw the norm of each class; the chosen classes, or those with the longest and
    shortest vectors, have names.
    """
    falling = norms[norms.columns[-1]].sort_values(ascending=False, kind="stable").index
    named = [index for index in falling if names[int(index)] in (chosen or ())]
    named = named or list(
        dict.fromkeys([*falling[:NAMED_CLASSES], *falling[-NAMED_CLASSES:]])
    )
    others = [index for index in falling if index not in named]
    epochs = norms.columns.to_numpy(dtype=np.float64)
    for index in others[:: max(1, len(others) // MAX_FAINT_CLASSES)]:
        drawing.draw_line(
            axes,
            epochs,
            norms.loc[index].to_numpy(),
            "_other",
            color="#cfcfcf",
            linewidth=0.5,
        )
    for place, index in enumerate(named):
        values = norms.loc[index].to_numpy()
        drawing.draw_line(
            axes,
            epochs,
            values,
            short_name(str(names[int(index)])),
            color=drawing.colour(place),
        )
    axes.set(ylabel="norm", ylim=(0, None))


def _draw_drift(axes: Axes, previous: pd.DataFrame, last: pd.DataFrame) -> None:
    """Draw the median angle to the previous and to the last checkpoint, and the range
    of 80 % of the classes.
    """
    for place, (name, frame) in enumerate(
        (("to the last", last), ("to the previous", previous))
    ):
        known = frame.loc[:, frame.notna().any()]
        if known.shape[1]:
            epochs = known.columns.to_numpy(dtype=np.float64)
            low, middle, high = np.nanquantile(
                known.to_numpy(), [0.1, 0.5, 0.9], axis=0
            )
            axes.fill_between(
                epochs, low, high, color=drawing.colour(place), alpha=0.18, linewidth=0
            )
            drawing.draw_line(axes, epochs, middle, name, color=drawing.colour(place))
    axes.axhline(90, color=CHANCE, linewidth=0.8)
    axes.set(title="Drift (median, 80 % of classes)", ylabel="degrees", ylim=(0, 95))


def _draw_spectrum(
    axes: Axes, results: Results, run: str, epochs: tuple[int, ...] | None
) -> None:
    """Draw the share of each singular value at the first and the last epoch, or at the
    first and the chosen ones.
    """
    shares, chance = spectrum_by_epoch(results, run)
    if shares.empty:
        axes.set_axis_off()
        return
    known = [int(epoch) for epoch in shares.columns]
    chosen = [epoch for epoch in epochs or () if epoch in known] or known[-1:]
    for place, epoch in enumerate(dict.fromkeys([known[0], *chosen])):
        share = shares[epoch].where(shares[epoch] > 0)
        drawing.draw_line(
            axes,
            shares.index.to_numpy(),
            share.to_numpy(),
            f"epoch {epoch}",
            color=drawing.colour(place),
        )
    # An untrained head is close to chance, so the chance level is above its line.
    axes.plot(
        chance.index,
        chance,
        "--",
        color="black",
        linewidth=0.8,
        label="chance",
        gid="chance",
        zorder=4,
    )
    axes.set(
        title="Spectrum of the head",
        xlabel="singular value",
        ylabel="share of the squared sum",
        yscale="log",
    )
    axes.set_xlim(1, max(2, len(shares)))
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.5)
    axes.set_axisbelow(True)
