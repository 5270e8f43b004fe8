"""How well phases are found on made-up curves whose phases are known; ``python -m benchmarks.phases`` writes ``docs/phases.md``.

The noise is measured on the runs that ship with dsi. Every trial is a call of `dsi_cli.metrics.phases.phases`, seeded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import write
from dsi_cli.metrics import changes
from dsi_cli.metrics import phases as metric
from dsi_cli.metrics.phases import LOG_ODDS, Phases, phases
from dsi_cli.store.runs import Run

Values = NDArray[np.float64]
Make = Callable[[np.random.Generator, int], Values]

DOCS = Path(__file__).resolve().parent.parent / "docs"
TRIALS, FEWER = 1000, 200
SEED = 20260
WITHIN = {31: 2, 100: 5}
REQUIRED = {31: 0.80, 100: 0.95}
THRESHOLDS = np.arange(0.0, 12.01, 0.5)
ROUND = 0.05
"""Share of a run to either side over which a corner is rounded."""
NULLS = ("noise", "noise that remembers (0.7)", "random walk")


class Noise(NamedTuple):
    """Of one real curve after its surge."""

    run: str
    deviation: float
    memory: float
    """Correlation at neighbouring epochs."""
    kind: str = ""
    """"fades": down to none at the end of the run, the same on average; "round": the curve has no corners."""


def real() -> Iterator[tuple[str, Values, Values]]:
    """Yield name, epochs and SAI excess of the runs that ship with dsi."""
    from dsi_cli.demo import runs_folder
    from dsi_cli.pipeline.analysis import analyze
    from dsi_cli.pipeline.options import Options

    with tempfile.TemporaryDirectory() as scratch, runs_folder() as folder:
        analyze([folder], Path(scratch) / "out", Options(draws=0))
        curves = Run(Path(scratch) / "out").curves
        sai = curves[(curves["metric"] == "sai") & (curves["of"] == "ncsm,scsm") & (curves["variant"] == "cosine")]
        for name, points in sai.groupby("run"):
            yield str(name), points["epoch"].to_numpy(dtype=float), points["excess"].to_numpy(dtype=float)


def measured(name: str, epochs: Values, values: Values) -> list[Noise]:
    """Return the noise of a curve after its surge, twice: beside the curves that are drawn, and without any curve."""
    end = phases(epochs, values).found[0].last_epoch
    drawn = changes.curves(epochs, values)
    later = epochs > end
    time, curve = epochs[later], values[later]
    variance = covariance = 0.0
    for bends, weight in zip(drawn.bends, drawn.weight, strict=True):
        known = bends[bends > time[0]]  # NaN is not
        design = np.column_stack([np.ones(len(time)), time, *[np.maximum(time - bend, 0) for bend in known]])
        left = curve - design @ np.linalg.lstsq(design, curve, rcond=None)[0]
        freedom = len(time) - 2 - 2 * len(known)  # a bend has a place and a change of slope
        variance += weight * (left @ left) / freedom
        covariance += weight * (left[1:] @ left[:-1]) / freedom
    beside = Noise(f"{name}, beside lines", float(np.sqrt(variance)), covariance / variance)
    return [beside, by_differences(f"{name}, by differences", curve)]


def by_differences(name: str, curve: Values) -> Noise:
    """Return the noise of a curve from how far its points lie from the mean of their neighbours, one and two epochs away.

    Gasser, Sroka and Jennen-Steinmetz (1986), for noise that remembers; what the curve itself bends counts as noise.
    """
    near, far = (np.mean((curve[k:-k] - (curve[: -2 * k] + curve[2 * k :]) / 2) ** 2) for k in (1, 2))
    memories = np.linspace(-0.9, 0.9, 1801)
    one, two = (1.5 - 2 * memories**k + memories ** (2 * k) / 2 for k in (1, 2))
    best = int(np.abs(np.log(two / one) - np.log(far / near)).argmin())
    return Noise(name, float(np.sqrt(near / one[best])), float(memories[best]))


def remembering(generator: np.random.Generator, n: int, memory: float) -> Values:
    """Return noise of deviation 1 whose neighbours correlate by ``memory``."""
    noise = generator.standard_normal(n)
    for place in range(1, n):
        noise[place] = memory * noise[place - 1] + np.sqrt(1 - memory**2) * noise[place]
    return noise


def shape(generator: np.random.Generator, n: int) -> tuple[Values, Values]:
    """Return where a made-up run's two bends lie, and its excess at start, bends and end; longer runs are stretched."""
    scale = (n - 1) / 30
    while True:
        surge, rest = generator.uniform(1, 6) * scale, generator.uniform(4, 12) * scale
        height = generator.uniform(0.2, 0.45)
        more = generator.uniform(0.1, 0.35) * height
        if more / rest <= height / surge / 4:
            return np.array([surge, surge + rest]), np.array([0.0, height, height + more, height + more])


def made(generator: np.random.Generator, n: int, noise: Noise) -> tuple[Values, Values]:
    """Return the bends of a made-up curve, and the curve."""
    bends, heights = shape(generator, n)
    half = ROUND * (n - 1) if noise.kind == "round" else 0.0
    offsets = np.linspace(-half, half, 21)
    curve = np.mean([np.interp(np.arange(n) + offset, [0, *bends, n - 1], heights) for offset in offsets], axis=0)
    fades = np.sqrt(3) * np.linspace(1, 0, n) if noise.kind == "fades" else 1.0
    return bends, curve + noise.deviation * fades * remembering(generator, n, noise.memory)


def hits(found: Phases, bends: Values, within: float) -> tuple[bool, bool, list[bool]]:
    """Return whether the surge's end is right, whether all is, and whether each interval holds the truth."""
    ends = [phase.last_epoch for phase in found.found]
    surge = bool(found.found) and found.found[0].name == metric.SURGE and abs(ends[0] - bends[0]) <= within
    if len(ends) != 3:
        return surge, False, []
    # Epochs are whole: an interval reaches half of one further.
    covers = [phase.low - 0.5 <= bend <= phase.high + 0.5 for phase, bend in zip(found.found, bends, strict=False)]
    return surge, surge and abs(ends[1] - bends[1]) <= within, covers


def trials(n: int, noise: Noise, number: int) -> tuple[float, float, float]:
    """Return the shares of trials with the surge's end right, with all right, and of intervals that hold the truth."""
    generator = np.random.default_rng(SEED + n)
    seen = []
    for _ in range(number):
        bends, curve = made(generator, n, noise)
        seen.append(hits(phases(np.arange(n), curve), bends, WITHIN[n]))
    covers = [cover for *_, of_one in seen for cover in of_one]
    return tuple(float(np.mean(column)) for column in ([s for s, _, _ in seen], [a for _, a, _ in seen], covers))


def odds(make: Make, n: int, number: int) -> Values:
    """Return the log odds of each trial in which any phase is found, whatever the threshold; -inf of the others."""
    generator = np.random.default_rng(SEED + 1000 + n)
    found = [phases(np.arange(n), make(generator, n), log_odds=-np.inf) for _ in range(number)]
    return np.array([one.log_odds if one.found else -np.inf for one in found])


def null(kind: str) -> Make:
    if kind == "random walk":
        return lambda generator, n: np.cumsum(generator.standard_normal(n))
    return lambda generator, n: remembering(generator, n, 0.7 if "remembers" in kind else 0.0)


def trial_table(noises: list[Noise]) -> str:
    lines = [
        "| noise | deviation | memory | epochs | all boundaries within | share | required | surge's end | an interval holds |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    last = max(noises, key=lambda noise: noise.deviation)
    harder = [
        last._replace(run="half as much again", deviation=last.deviation * 1.5),
        last._replace(run="longer memory", memory=0.6),
        last._replace(run="fades, as the learning rate does", kind="fades"),
        last._replace(run="corners rounded", kind="round"),
    ]
    for one in [*noises, *harder]:
        for n, within in WITHIN.items():
            number = TRIALS if one in noises else FEWER
            surge, every, covers = trials(n, one, number)
            required = f"{REQUIRED[n]:.0%}" if one in noises else ""
            lines.append(
                f"| {one.run} | {one.deviation:.4f} | {one.memory:.2f} | {n} | {within} epochs | {every:.1%} of {number:,}"
                f" | {required} | {surge:.1%} | {covers:.1%} |"
            )
    return "\n".join(lines)


def null_table(found: dict[tuple[str, int], Values]) -> str:
    lines = ["| curve | epochs | phases claimed | required |", "|---|---|---|---|"]
    for (kind, n), one in found.items():
        required = "5 %" if kind == "noise" else ""
        lines.append(f"| {kind} | {n} | {(one >= LOG_ODDS).mean():.1%} of {len(one):,} | {required} |")
    return "\n".join(lines)


def draw(
    target: Path, curves: list[tuple[str, Values, Values]], walks: dict[int, Values], real_ones: dict[int, Values]
) -> None:
    """Draw the trade-off, and the real runs with their phases."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from dsi_cli.figures.style import COLOURS

    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, *others) = plt.subplots(1, 1 + len(curves), figsize=(11, 3.2), layout="constrained")
    for colour, line, n in zip(COLOURS, ("-", "--", "-."), walks, strict=False):
        false = [100 * (walks[n] >= least).mean() for least in THRESHOLDS]
        right = [100 * (real_ones[n] >= least).mean() for least in THRESHOLDS]
        left.plot(false, right, line, color=colour, label=f"{n} epochs")
        chosen = list(THRESHOLDS).index(LOG_ODDS)
        left.plot(false[chosen], right[chosen], "o", color=colour, markersize=6)
    left.set(xlabel="random walks with phases claimed, %", ylabel="runs whose phases are found, %", ylim=(0, 104))
    left.set_title(f"as the threshold varies; dot: log odds {LOG_ODDS:g}", fontsize=9)
    left.legend(frameon=False, loc="lower right")
    for axes, (name, epochs, values) in zip(others, curves, strict=True):
        axes.plot(epochs, values, "o-", color="0.15", markersize=2.5, linewidth=1)
        found = phases(epochs, values).found
        for shade, phase in zip(("#D55E00", "#E69F00", "#56B4E9"), found, strict=False):
            axes.axvspan(phase.first_epoch, phase.last_epoch, color=shade, alpha=0.25, linewidth=0, label=phase.name)
        axes.set(xlabel="epoch", ylabel="SAI excess")
        axes.set_title(name, fontsize=9)
        axes.legend(frameon=False, loc="lower right")
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    plt.close(figure)


def cost() -> str:
    generator = np.random.default_rng(0)
    lines = ["| epochs | a run's three curves |", "|---|---|"]
    for n in (31, 100, 400):
        curves = [made(generator, n, Noise("", 0.004, 0.0))[1] for _ in range(3)]
        taken = []
        for _ in range(7):
            start = process_time()
            for curve in curves:
                phases(np.arange(n), curve)
            taken.append(process_time() - start)
        lines.append(f"| {n} | {1e3 * np.median(taken):.0f} ms |")
    return "\n".join(lines)


def main() -> int:
    curves = list(real())
    noises = [noise for one in curves for noise in measured(*one)]
    nulls = {(kind, n): odds(null(kind), n, TRIALS) for kind in NULLS for n in WITHIN}
    lengths = (10, 16, 31)
    walks = {n: nulls["random walk", n] if n in WITHIN else odds(null("random walk"), n, TRIALS) for n in lengths}
    hard = max(noises, key=lambda noise: noise.deviation)
    hard = hard._replace(deviation=hard.deviation * 3)
    found = {n: odds(lambda generator, n: made(generator, n, hard)[1], n, FEWER) for n in lengths}
    draw(DOCS / "images" / "phases.png", curves, walks, found)
    said = "The noise is that of each real run's SAI excess after the surge; the harder rows change the largest of them."
    parts = [said, trial_table(noises)]
    parts += ["Curves without phases, at the threshold that dsi takes:", null_table(nulls), "Processor time:", cost()]
    text = "\n\n".join(parts)
    print(text)
    write(DOCS / "phases.md", text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
