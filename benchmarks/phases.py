"""How often phases are claimed, and how often their intervals hold: ``make
bench-phases`` writes ``benchmarks/results/phases.md``.

The curves are simulated, so their true times are known: curves that saturate with or
without a decline, with noise between epochs, and curves of noise alone. A curve with
class-wise values is the mean of 40 classes that differ in their rise and in their
noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import write
from dsi_cli.metrics.phases import FINAL_NOISE_DEVIATIONS, REFINEMENT, Phases, phases

PAGE = Path(__file__).resolve().parent / "results" / "phases.md"
PLATEAU, CLASSES, SPREAD, DECLINE = 0.5, 40, 0.6, 0.05
DRAWS = 1000  # of the random curves of an interval
QUANTITIES = ("t50", "t90", "t95", "gain")
SEED = 20261
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """A kind of simulated curve."""

    rate: float  # per epoch
    deviation: float  # of the noise
    memory: float  # the correlation of the noise at neighbouring epochs
    step: int = 1  # each which checkpoint is kept
    epochs: int = 31
    classes: str = (
        ""  # "own" if each class has noise of its own, "common" if all have the same
    )
    decline: float = 0.0

    @property
    def clean(self) -> Curve:
        """The curve without noise, at all epochs."""
        epochs = np.arange(self.epochs)
        fall = np.interp(
            epochs, [0, self.epochs // 5, self.epochs - 1], [0, 0, -self.decline]
        )
        return PLATEAU * (1 - np.exp(-self.rate * epochs)) + fall

    def phases(self, seed: int, draws: int = DRAWS) -> Phases:
        """Return the phases of one random curve."""
        rng = np.random.default_rng([SEED, seed])
        clean, without = self.clean, None
        if not self.classes:
            curve = clean + self.deviation * process(rng, self.memory, self.epochs)
        else:
            common = self.deviation * process(rng, self.memory, self.epochs)
            own = [
                self.deviation * CLASSES**0.5 * process(rng, self.memory, self.epochs)
                for _ in range(CLASSES)
            ]
            noise = np.stack(own, axis=1) if self.classes == "own" else common[:, None]
            values = (
                clean[:, None]
                + SPREAD * clean[:, None] ** 2 * rng.standard_normal(CLASSES)
                + noise
            )
            curve = values.mean(axis=1)
            without = (curve - (values - curve[:, None]).T / (CLASSES - 1)).T[
                :: self.step
            ]
        kept = np.arange(self.epochs)[:: self.step]
        return phases(
            kept, curve[kept], start=0.0, without=without, draws=draws, seed=seed
        )


def process(rng: np.random.Generator, memory: float, epochs: int) -> Curve:
    """Return noise with a deviation of 1 and a correlation of neighbours; a random walk
    if this is 1.
    """
    noise = rng.standard_normal(epochs)
    fresh = (1 - memory**2) ** 0.5 if memory < 1 else 1.0
    for epoch in range(1, epochs):
        noise[epoch] = memory * noise[epoch - 1] + fresh * noise[epoch]
    return noise


def rate(number: int, trials: int) -> str:
    """Return a percentage with its 95 % confidence interval (Wilson 1927,
    doi:10.1080/01621459.1927.10502953).
    """
    share, square = number / trials, 1.96**2
    centre = (share + square / 2 / trials) / (1 + square / trials)
    half = (
        1.96
        / (1 + square / trials)
        * (share * (1 - share) / trials + square / 4 / trials**2) ** 0.5
    )
    return (
        f"{100 * share:.1f} % [{100 * max(0.0, centre - half):.1f},"
        f" {100 * min(1.0, centre + half):.1f}]"
    )


def is_refined(setting: Setting, seed: int) -> bool | None:
    """Return whether one random curve has a refinement, which does not depend on the
    random curves; None without phases.
    """
    found = setting.phases(seed, draws=2).found
    return any(phase.name == REFINEMENT for phase in found) if found else None


def held(setting: Setting, seed: int) -> list[bool] | None:
    """Return which intervals hold the values of the curve without noise, interpolated
    between the epochs; None without phases.
    """
    found, clean = setting.phases(seed), setting.clean
    if not found.found:
        return None
    truths = [
        float(np.interp(share * clean[-1], clean, np.arange(setting.epochs)))
        for share in (0.5, 0.9, 0.95)
    ]
    times = [
        next(phase for phase in found.found if phase.name == name)
        for name in QUANTITIES[:3]
    ]
    holds = [
        phase.low <= truth <= phase.high
        for phase, truth in zip(times, truths, strict=True)
    ]
    return [*holds, (times[0].gain_low or 0) <= clean[-1] <= (times[0].gain_high or 0)]


def noise_trial(epochs: int, memory: float, start: float | None, seed: int) -> bool:
    """Return whether a curve of noise alone has a phase; its chance level, if it has
    one, is known with its deviation.
    """
    rng = np.random.default_rng([SEED, seed])
    curve = process(rng, memory, epochs)
    return bool(
        phases(
            np.arange(epochs),
            curve,
            start=start,
            least_gain=3.0 if start == 0 else 0.0,
            draws=2,
        ).found
    )


def is_end_held(deviation: float, memory: float, seed: int) -> bool | None:
    """Return whether the interval of the end of a refinement holds the epoch from which
    the clean curve is near its final value.

    The curve declines by a fifth of its rise from epoch 5 to 15. None if no refinement
    is found.
    """
    epochs = np.arange(31)
    clean = PLATEAU * (1 - np.exp(-0.8 * epochs) - np.clip((epochs - 5) / 10, 0, 1) / 5)
    is_far = np.abs(clean - np.median(clean[-3:])) > FINAL_NOISE_DEVIATIONS * deviation
    truth = np.flatnonzero(is_far)[-1] + 1
    curve = clean + deviation * process(np.random.default_rng([SEED, seed]), memory, 31)
    found = phases(epochs, curve, start=0.0, draws=DRAWS, seed=seed).found
    return next(
        (
            phase.low <= truth <= phase.high
            for phase in found
            if phase.name == REFINEMENT
        ),
        None,
    )


def described(setting: Setting) -> str:
    """Return the setting in words."""
    noise = "independent noise" if not setting.memory else f"AR {setting.memory:g}"
    kept = {1: "every checkpoint", 2: "every 2nd", 3: "every 3rd"}[setting.step]
    classes = {
        "": "",
        "own": ", classes with own noise",
        "common": ", classes with common noise",
    }[setting.classes]
    return (
        f"rate {setting.rate:g}, {noise} of {100 * setting.deviation / PLATEAU:g} %,"
        f" {setting.epochs} epochs, {kept}{classes}"
    )


def lines(trials: int, run: Callable[..., list[object]]) -> Iterator[str]:
    """Yield the tables; ``run`` calls a function with each of its arguments."""
    seeds = range(trials)
    grid = product((0.2, 0.6), (0.002, 0.01), (0.0, 0.5), (1, 3))
    settings = [
        Setting(speed, noise, memory, step) for speed, noise, memory, step in grid
    ]
    settings += [
        Setting(speed, 0.01, memory, 2)
        for speed, memory in product((0.2, 0.6), (0.0, 0.5))
    ]
    settings += [
        Setting(speed, 0.01, memory, classes="own")
        for speed, memory in product((0.2, 0.6), (0.0, 0.5))
    ]
    yield (
        "| the 95 % interval holds the true value | t50 | t90 | t95 | gain"
        " |\n|---|---|---|---|---|"
    )
    for setting in settings:
        results = [result for result in run(held, [setting] * trials, seeds) if result]
        hits = np.sum(results, axis=0)
        yield (
            f"| {described(setting)} |"
            f" {' | '.join(rate(int(number), len(results)) for number in hits)} |"
        )

    yield (
        "\n| decline by 20 % of the rise from epoch 5 to 15 | refinement found | 95 %"
        " interval holds its end |\n|---|---|---|"
    )
    for deviation, memory in product((0.002, 0.005), (0.0, 0.5)):
        results = [
            is_held
            for is_held in run(
                is_end_held, [deviation] * trials, [memory] * trials, seeds
            )
            if is_held is not None
        ]
        noise = "independent noise" if not memory else f"AR {memory:g}"
        kind = (
            f"{noise} of {100 * deviation / PLATEAU:g} %, 31 epochs, every checkpoint"
        )
        yield (
            f"| {kind} | {rate(len(results), trials)} |"
            f" {rate(sum(map(bool, results)), len(results))} |"
        )

    yield (
        "\n| curves of a steep rise with a refinement | no decline | decline of 10 %"
        " |\n|---|---|---|"
    )
    kinds = [*product((31, 16), (1,), ("", "own", "common")), (31, 3, "")]
    for (epochs, step, classes), memory in product(kinds, (0.0, 0.5, 0.7, 0.9)):
        rates = []
        for decline in (0.0, DECLINE):
            setting = Setting(0.6, 0.01, memory, step, epochs, classes, decline)
            results = [
                result
                for result in run(is_refined, [setting] * trials, seeds)
                if result is not None
            ]
            rates.append(rate(sum(map(bool, results)), len(results)))
        yield f"| {described(setting)} | {' | '.join(rates)} |"

    yield (
        "\n| curves of noise alone with a phase | 8 epochs | 16 epochs | 31 epochs |"
        " 101 epochs |\n|---|---|---|---|---|"
    )
    for start, memory in [
        *product((None,), (0.0, 0.5, 0.9, 0.97, 1.0)),
        *product((0.0,), (0.0, 0.5, 0.9, 0.97)),
    ]:
        rates = []
        for epochs in (8, 16, 31, 101):
            number = 2 * trials
            found = run(
                noise_trial,
                [epochs] * number,
                [memory] * number,
                [start] * number,
                range(number),
            )
            rates.append(rate(sum(map(bool, found)), number))
        noise = {0.0: "independent noise", 1.0: "random walk"}.get(
            memory, f"AR {memory:g}"
        )
        yield (
            f"| {noise}, {'without' if start is None else 'with'} a chance level |"
            f" {' | '.join(rates)} |"
        )


def main() -> int:
    """Measure all rates, print the tables and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--trials", type=int, default=500, help="the number of curves of each kind"
    )
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    found = []
    with ProcessPoolExecutor(options.processes) as pool:
        for line in lines(
            options.trials, lambda *arguments: list(pool.map(*arguments, chunksize=20))
        ):
            found.append(line)
            print(line, flush=True)
    write(PAGE, "\n".join(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
